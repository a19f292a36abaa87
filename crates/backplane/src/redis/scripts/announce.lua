-- Publishes that a user came or went, where that is still so and nobody has announced it.
-- KEYS: log, unannounced, streams. ARGV: user, + (came) or - (went), then see append.
local unannounced = redis.call('HGET', KEYS[2], ARGV[1])
if not unannounced or string.sub(unannounced, 1, 1) ~= ARGV[2] then
  return redis.status_reply('KNOWN')
end
local placed = append(KEYS[1], 3, 3)
if placed.ok then
  redis.call('HDEL', KEYS[2], ARGV[1])
end
return placed
