-- Appends the broadcasts in ARGV to the log and publishes them, all at one moment.
-- KEYS from `key` on: the streams of each broadcast.
-- ARGV from `arg` on: publishing command, expiry of streams in ms, number of broadcasts; for each of them channel, what
-- comes before and after the offset, length of its streams, number of its streams.
local function append(log, key, arg)
  local epoch = redis.call('HGET', log, 'epoch')
  if not epoch then
    return redis.error_reply('NOEPOCH the log has no epoch')
  end
  local command, expiry = ARGV[arg], ARGV[arg + 1]
  for i = 1, tonumber(ARGV[arg + 2]) do
    local at = arg + 3 + (i - 1) * 5
    local n = redis.call('HINCRBY', log, 'n', 1)
    local offset = epoch .. '.' .. string.format('%016.0f', n)
    local payload = ARGV[at + 1] .. offset .. ARGV[at + 2]
    local id = string.format('%.0f-0', n)
    for _ = 1, tonumber(ARGV[at + 4]) do
      local stream = KEYS[key]
      local added = redis.pcall('XADD', stream, 'MAXLEN', '~', ARGV[at + 3], id, 'b', payload)
      if type(added) == 'table' and added.err then
        -- Left over from a log that had gone further before its data was lost.
        redis.call('DEL', stream)
        redis.call('XADD', stream, id, 'b', payload)
      end
      redis.call('PEXPIRE', stream, expiry)
      key = key + 1
    end
    redis.call(command, ARGV[at], payload)
  end
  return redis.status_reply('PLACED')
end
