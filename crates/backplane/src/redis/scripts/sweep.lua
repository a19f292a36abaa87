-- Takes users of a dead node offline, some at a time. Answers whether there may be more (1), and who is to be announced
-- to have gone.
-- KEYS: nodes, online, unannounced, the dead node's users. ARGV: this node, the dead node, what the keys of nodes' users
-- start with, how many.
local lease = redis.call('ZSCORE', KEYS[1], ARGV[2])
if not lease or math.abs(tonumber(lease)) > now() then
  -- Another node has swept it, or it lives again and will say who is there.
  return { 0 }
end
local users = redis.call('SPOP', KEYS[4], ARGV[4])
local gone = { 1 }
for _, user in ipairs(users) do
  if not held(KEYS[1], ARGV[3], user) and redis.call('HDEL', KEYS[2], user) == 1 then
    changed(KEYS[3], user, '-', ARGV[1])
    if is_news(KEYS[3], user, '-', ARGV[1]) then
      gone[#gone + 1] = user
    end
  end
end
if #users < tonumber(ARGV[4]) then
  redis.call('ZREM', KEYS[1], ARGV[2])
  gone[1] = 0
end
return gone
