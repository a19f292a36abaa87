-- Takes a user without connections offline. Answers 1 where the node is to announce that the user went.
-- KEYS: nodes, online, unannounced. ARGV: node, user, what the keys of nodes' users start with.
if not held(KEYS[1], ARGV[3], ARGV[2]) and redis.call('HDEL', KEYS[2], ARGV[2]) == 1 then
  changed(KEYS[3], ARGV[2], '-', ARGV[1])
end
return is_news(KEYS[3], ARGV[2], '-', ARGV[1]) and 1 or 0
