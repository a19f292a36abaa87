-- A session's record begins with the tag of its node, which has eight characters.
local function owner(key)
  local tag = redis.call('GETRANGE', key, 0, 7)
  return tag ~= '' and tag or nil
end
