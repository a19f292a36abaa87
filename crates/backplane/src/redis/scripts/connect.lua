-- A user has connections on a node. Answers 1 where the user was offline.
-- KEYS: online, the node's users, nodes. ARGV: user, time, what the keys of nodes' users start with.
redis.call('SADD', KEYS[2], ARGV[1])
-- Who comes back from a node that has left is no longer waited for there.
for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', '(0')) do
  redis.call('SREM', ARGV[3] .. node, ARGV[1])
end
return redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
