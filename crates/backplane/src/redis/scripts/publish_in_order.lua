-- Publishes the events of one message of a chat, once, and only after those of the message before it.
-- KEYS: log, the chat's order, streams. ARGV: seq, expiry of the order in ms, then see append.
local seq = tonumber(ARGV[1])
local last = redis.call('GET', KEYS[2])
if not last then
  return redis.status_reply('UNSETTLED')
end
last = tonumber(last)
if seq <= last then
  return redis.status_reply('KNOWN')
end
if seq > last + 1 then
  return last + 1
end
local placed = append(KEYS[1], 3, 3)
if placed.ok then
  redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
end
return placed
