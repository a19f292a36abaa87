-- Writes a session's record. Answers 0 where it is another node's by now: then it is left alone, as is a newer one.
-- KEYS: session. ARGV: node, record, expiry in ms, which other record gives way: any, none, or not even the node's own (absent).
local before = owner(KEYS[1])
if before and before ~= ARGV[1] and ARGV[4] ~= 'any' then
  return 0
end
if before == ARGV[1] and redis.call('GETRANGE', KEYS[1], 8, 23) > string.sub(ARGV[2], 9, 24) then
  -- This write has come late.
  return 1
end
if before and ARGV[4] == 'absent' then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
else
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return 1
