-- Whether a node has connections of `user`: also one whose lease has lapsed, until it is swept.
local function held(nodes, users, user)
  for _, node in ipairs(redis.call('ZRANGE', nodes, 0, -1)) do
    if redis.call('SISMEMBER', users .. node, user) == 1 then
      return true
    end
  end
  return false
end
