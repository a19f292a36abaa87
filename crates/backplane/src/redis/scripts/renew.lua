-- Renews a node's lease and lists all nodes with what is left of theirs in ms: 0 of one that lapsed, -1 of one that has
-- left, -2 of one whose users are to be taken offline since.
-- The first number says whether the node's own lease had not lapsed.
-- KEYS: nodes. ARGV: node, lease in ms.
local now, lease = now(), tonumber(ARGV[2])
local before = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or 0)
redis.call('ZADD', KEYS[1], now + lease, ARGV[1])
local listed = { before > now and 1 or 0 }
local nodes = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for i = 1, #nodes, 2 do
  local till = tonumber(nodes[i + 1])
  local left
  if till < 0 then
    left = -till > now and -1 or -2
  else
    left = math.max(till - now, 0)
  end
  if left > lease then
    -- The clock was set back, or another server's goes differently.
    left = lease
    redis.call('ZADD', KEYS[1], now + lease, nodes[i])
  end
  listed[#listed + 1] = nodes[i]
  listed[#listed + 1] = left
end
return listed
