-- A node gives its lease back; its users count for a while, but for those who are on another node already.
-- KEYS: nodes, the node's users. ARGV: node, that while in ms, publishing command, channel, frame that says so, what the
-- keys of nodes' users start with.
redis.call('ZADD', KEYS[1], -(now() + tonumber(ARGV[2])), ARGV[1])
for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], now(), '+inf')) do
  redis.call('SDIFFSTORE', KEYS[2], KEYS[2], ARGV[6] .. node)
end
redis.call(ARGV[3], ARGV[4], ARGV[5])
return 1
