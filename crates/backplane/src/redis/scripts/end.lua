-- Ends a session. What is left says so for a while, so that a write of its record that comes late does not bring it back.
-- KEYS: session. ARGV: node, what is left, for how many ms. Answers 0 where the record is another node's by now.
local before = owner(KEYS[1])
if before and before ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
