-- Changes that nobody has announced yet: `unannounced` has + (came) or - (went) for a user, and the node that made it so.
-- Of two changes that undo each other before that nobody hears.
local function changed(unannounced, user, change, node)
  local before = redis.call('HGET', unannounced, user)
  if before and string.sub(before, 1, 1) ~= change then
    redis.call('HDEL', unannounced, user)
  else
    redis.call('HSET', unannounced, user, change .. node)
  end
end

-- Whether a node is to announce `change` of `user`.
local function is_news(unannounced, user, change, node)
  return redis.call('HGET', unannounced, user) == change .. node
end
