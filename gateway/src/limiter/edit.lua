-- Changes what is known of one limit, if it is still what the caller saw, and tells all gateways.
--
-- KEYS[1] the changes by name of limit, KEYS[2] the generation
-- ARGV[1] the name, ARGV[2] what the caller saw ('' nothing), ARGV[3] the new text ('' none)
local seen = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if seen ~= ARGV[2] then
  return 0
end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
return redis.call('INCR', KEYS[2])
