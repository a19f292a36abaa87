-- Publishes that users came or went: of each, where that is still so and nobody has announced it. Answers 1 for each that was
-- announced, 0 for the others.
-- KEYS: log, unannounced, streams. ARGV: publishing command, expiry of streams in ms, number of users; for each of them user,
-- + (came) or - (went), number of broadcasts (1, or 0 where nobody may know), and that one as `place` has it.
local epoch, missing = epoch_of(KEYS[1])
if not epoch then
  return missing
end
local answers, key, at = {}, 3, 4
for i = 1, tonumber(ARGV[3]) do
  local user, change, has_broadcast = ARGV[at], ARGV[at + 1], ARGV[at + 2] == '1'
  at = at + 3
  local unannounced = redis.call('HGET', KEYS[2], user)
  local is_news = unannounced and string.sub(unannounced, 1, 1) == change
  if has_broadcast and is_news then
    key, at = place(KEYS[1], epoch, ARGV[1], ARGV[2], key, at)
  elseif has_broadcast then
    key, at = key + tonumber(ARGV[at + 4]), at + 5
  end
  if is_news then
    redis.call('HDEL', KEYS[2], user)
  end
  answers[i] = is_news and 1 or 0
end
return answers
