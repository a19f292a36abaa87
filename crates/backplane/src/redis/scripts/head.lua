-- The place of the newest entry of the log, and a mark at the same place in the order of all events.
-- KEYS: log. ARGV: publishing command, channel, mark.
local log = redis.call('HMGET', KEYS[1], 'epoch', 'n')
redis.call(ARGV[1], ARGV[2], ARGV[3])
if not log[1] then
  return redis.error_reply('NOEPOCH the log has no epoch')
end
return log[1] .. '.' .. string.format('%016.0f', tonumber(log[2]))
