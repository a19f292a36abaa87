-- The log's epoch, without which nothing can be appended; or nothing, and the error to answer.
local function epoch_of(log)
  local epoch = redis.call('HGET', log, 'epoch')
  if not epoch then
    return nil, redis.error_reply('NOEPOCH the log has no epoch')
  end
  return epoch
end

-- Appends one broadcast to the log and publishes it. KEYS from `key` on: its streams.
-- ARGV from `at` on: channel, what comes before and after the offset, length of its streams, number of its streams.
-- Answers where the keys and arguments of the next begin.
local function place(log, epoch, command, expiry, key, at)
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
  return key, at + 5
end

-- Appends the broadcasts in ARGV to the log and publishes them, all at one moment.
-- KEYS from `key` on: the streams of each broadcast.
-- ARGV from `arg` on: publishing command, expiry of streams in ms, number of broadcasts; each of them as `place` has it.
local function append(log, key, arg)
  local epoch, missing = epoch_of(log)
  if not epoch then
    return missing
  end
  local command, expiry, at = ARGV[arg], ARGV[arg + 1], arg + 3
  for _ = 1, tonumber(ARGV[arg + 2]) do
    key, at = place(log, epoch, command, expiry, key, at)
  end
  return redis.status_reply('PLACED')
end
