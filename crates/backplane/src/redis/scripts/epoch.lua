-- The log's epoch. A new one where there is none, where it was made on another run of a server, or where the caller
-- knows of events that are not in the log.
-- KEYS: log. ARGV: whether it has to be a new one (1), text for a new one.
-- A run ends with the process, and where a replica becomes the master.
local function told(section, name)
  return string.match(redis.call('INFO', section), name .. ':(%w+)') or ''
end
local run = told('server', 'run_id') .. told('replication', 'master_replid')
local known = redis.call('HMGET', KEYS[1], 'epoch', 'run')
if ARGV[1] == '1' or not known[1] or known[2] ~= run then
  redis.call('HSET', KEYS[1], 'epoch', ARGV[2], 'run', run)
  redis.call('HSETNX', KEYS[1], 'n', 0)
  return ARGV[2]
end
return known[1]
