-- KEYS: log, streams. ARGV: see append.
return append(KEYS[1], 2, 1)
