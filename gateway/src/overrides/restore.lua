-- Writes what a gateway still knows into a Redis that has lost it. The first gateway wins; where
-- somebody has decided anything since, nothing is written.
--
-- KEYS[1] the overrides by key, KEYS[2] the generation
-- ARGV[1] the generation that was known, then keys and values in turn
if redis.call('EXISTS', KEYS[1], KEYS[2]) > 0 then
  return 0
end
for i = 2, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
redis.call('SET', KEYS[2], ARGV[1])
return redis.call('INCR', KEYS[2])
