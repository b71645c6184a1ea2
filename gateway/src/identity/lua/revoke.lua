-- Writes one revocation, or one that was taken back, unless what stands there is newer.
--
-- KEYS[1]  the generation: counts changes
-- KEYS[2]  what was changed, by generation
-- KEYS[3]  when: seconds since 1970, below zero where it was taken back
-- KEYS[4]  what is to be forgotten some day, by seconds since 1970
-- ARGV     the member, when (as above), whether it holds for good (0 or 1), the second before which
--          all is forgotten, how many of each sort are kept at most
--
-- Returns 1 if it was written, 0 if that was not necessary, -1 if there is no room.
local member, at, for_good = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1'
local oldest, most = tonumber(ARGV[4]), tonumber(ARGV[5])
local stored = tonumber(redis.call('HGET', KEYS[3], member) or '')
local function forget(members)
  for _, old in ipairs(members) do
    redis.call('ZREM', KEYS[4], old)
    redis.call('ZREM', KEYS[2], old)
    redis.call('HDEL', KEYS[3], old)
  end
end

if stored and (stored == at or math.abs(stored) > math.abs(at)) then
  return 0
end
if not for_good and math.abs(at) < oldest then
  return 0
end
if for_good and not stored
  and redis.call('ZCARD', KEYS[2]) - redis.call('ZCARD', KEYS[4]) >= most then
  return -1
end
redis.call('ZADD', KEYS[2], redis.call('INCR', KEYS[1]), member)
redis.call('HSET', KEYS[3], member, ARGV[2])
if for_good then
  redis.call('ZREM', KEYS[4], member)
else
  redis.call('ZADD', KEYS[4], math.abs(at), member)
end
-- A few at a time: nobody waits for a long list to be cleared.
forget(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', '(' .. ARGV[4], 'LIMIT', 0, 100))
local over = redis.call('ZCARD', KEYS[4]) - most
if over > 0 then
  forget(redis.call('ZRANGE', KEYS[4], 0, math.min(over, 100) - 1))
end
return 1
