-- A user has no connection on a node any more. Answers 1 where there is none on any node.
-- KEYS: nodes, the node's users. ARGV: user, what the keys of nodes' users start with.
redis.call('SREM', KEYS[2], ARGV[1])
return held(KEYS[1], ARGV[2], ARGV[1]) and 0 or 1
