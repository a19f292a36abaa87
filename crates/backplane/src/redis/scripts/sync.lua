-- Brings what is known of users up to what their node knows. Answers who came (+) or went (-) by that.
-- KEYS: nodes, online, the node's users. ARGV: what the keys of nodes' users start with, then for each user what is the
-- case, user, time:
--   +  here, and not told before      =  here, and told before
--   -  not here any more              ~  not here any more, but to be taken offline later
local changes = {}
for i = 2, #ARGV, 3 do
  local case, user, at = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if case == '+' or case == '=' then
    redis.call('SADD', KEYS[3], user)
    local known = redis.call('HGET', KEYS[2], user)
    if not known or tonumber(known) < tonumber(at) then
      redis.call('HSET', KEYS[2], user, at)
    end
    if not known and case == '+' then
      changes[#changes + 1] = '+' .. user
    end
  else
    redis.call('SREM', KEYS[3], user)
    if case == '~' then
      redis.call('HSETNX', KEYS[2], user, at)
    elseif not held(KEYS[1], ARGV[1], user) and redis.call('HDEL', KEYS[2], user) == 1 then
      changes[#changes + 1] = '-' .. user
    end
  end
end
return changes
