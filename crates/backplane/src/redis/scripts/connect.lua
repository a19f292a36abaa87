-- A user has connections on a node. Answers 1 where the node is to announce that the user came.
-- KEYS: online, unannounced, the node's users, nodes. ARGV: node, user, time, what the keys of nodes' users start with.
redis.call('SADD', KEYS[3], ARGV[2])
-- Who comes back from a node that has left is no longer waited for there.
for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', '(0')) do
  redis.call('SREM', ARGV[4] .. node, ARGV[2])
end
if redis.call('HSET', KEYS[1], ARGV[2], ARGV[3]) == 1 then
  changed(KEYS[2], ARGV[2], '+', ARGV[1])
end
return is_news(KEYS[2], ARGV[2], '+', ARGV[1]) and 1 or 0
