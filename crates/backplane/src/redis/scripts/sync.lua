-- Brings what is known of users up to what their node knows. Answers what the node is to announce of them: who came (+)
-- or went (-).
-- KEYS: nodes, online, unannounced, the node's users. ARGV: node, what the keys of nodes' users start with, then for each
-- user what is the case, user, time:
--   +  here                   =  here, and everybody knows it: Redis alone has lost it
--   -  not here any more      ~  not here any more, but to be taken offline later
local news = {}
for i = 3, #ARGV, 3 do
  local case, user, at = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if case == '+' or case == '=' then
    redis.call('SADD', KEYS[4], user)
    local known = redis.call('HGET', KEYS[2], user)
    if not known or tonumber(known) < tonumber(at) then
      redis.call('HSET', KEYS[2], user, at)
    end
    if not known and case == '+' then
      changed(KEYS[3], user, '+', ARGV[1])
    end
  else
    redis.call('SREM', KEYS[4], user)
    if case == '~' then
      redis.call('HSETNX', KEYS[2], user, at)
    elseif not held(KEYS[1], ARGV[2], user) and redis.call('HDEL', KEYS[2], user) == 1 then
      changed(KEYS[3], user, '-', ARGV[1])
    end
  end
  for _, change in ipairs({ '+', '-' }) do
    if is_news(KEYS[3], user, change, ARGV[1]) then
      news[#news + 1] = change .. user
    end
  end
end
return news
