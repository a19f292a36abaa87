-- Makes the log's epoch a new one where there is none, where it was made on another run of a server, or where the caller
-- knows of events that are not in the log. Answers what tells all that this run holds from what others held.
-- KEYS: log. ARGV: whether it has to be a new one (1), text for a new one.
-- A run ends with the process, and where a replica becomes the master.
local function told(section, name)
  return string.match(redis.call('INFO', section), name .. ':(%w+)') or ''
end
local run = told('server', 'run_id') .. told('replication', 'master_replid')
local known = redis.call('HMGET', KEYS[1], 'data', 'run')
local is_other = not known[1] or known[2] ~= run
if is_other or ARGV[1] == '1' then
  redis.call('HSET', KEYS[1], 'epoch', ARGV[2])
  redis.call('HSETNX', KEYS[1], 'n', 0)
end
if is_other then
  redis.call('HSET', KEYS[1], 'data', ARGV[2], 'run', run)
  return ARGV[2]
end
return known[1]
