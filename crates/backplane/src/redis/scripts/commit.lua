-- The events of a chat's message were published.
-- KEYS: the chat's order. ARGV: seq, expiry of the order in ms.
if tonumber(redis.call('GET', KEYS[1]) or -1) == tonumber(ARGV[1]) - 1 then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return 1
