-- A session's record begins with the tag of its node, which has eight characters, and with its version there, which has
-- sixteen digits. One with nothing behind them says that the session has ended.
local function owner(key)
  local tag = redis.call('GETRANGE', key, 0, 7)
  return tag ~= '' and tag or nil
end
