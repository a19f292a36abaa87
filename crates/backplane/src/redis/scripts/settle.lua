-- Takes a user without connections offline. Answers 1 where this did it.
-- KEYS: nodes, online. ARGV: user, what the keys of nodes' users start with.
if held(KEYS[1], ARGV[2], ARGV[1]) then
  return 0
end
return redis.call('HDEL', KEYS[2], ARGV[1])
