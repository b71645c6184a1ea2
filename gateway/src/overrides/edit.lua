-- Sets or removes one override, and tells all gateways.
--
-- KEYS[1] the overrides by key, KEYS[2] the generation
-- ARGV[1] the key, ARGV[2] its value ('' none), ARGV[3] how many there may be
-- Answers 1 (0: there is no room) and what was there before ('' nothing).
local before = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if ARGV[2] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  if before == '' and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then
    return {0, ''}
  end
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
redis.call('INCR', KEYS[2])
return {1, before}
