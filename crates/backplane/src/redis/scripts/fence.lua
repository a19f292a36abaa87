-- One place in the order of all events, seen by two nodes.
-- ARGV: publishing command, channel, frame, channel, frame.
redis.call(ARGV[1], ARGV[2], ARGV[3])
redis.call(ARGV[1], ARGV[4], ARGV[5])
return 1
