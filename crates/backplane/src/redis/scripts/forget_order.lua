-- Nothing is known of a chat's order any more.
-- KEYS: the chat's order. ARGV: the seq that was wrong.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
return 1
