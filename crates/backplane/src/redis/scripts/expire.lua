-- Sets when records of a node expire. Answers which of them are not the node's.
-- KEYS: sessions. ARGV: node, expiry in ms.
local foreign = {}
for i, key in ipairs(KEYS) do
  if owner(key) == ARGV[1] then
    redis.call('PEXPIRE', key, ARGV[2])
  else
    foreign[#foreign + 1] = i - 1
  end
end
return foreign
