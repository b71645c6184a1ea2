-- Adds what one gateway has counted of one version. Where there are too many clients, those who
-- call least go into '+'.
--
-- KEYS[1] calls by client, KEYS[2] when each called last
-- ARGV[1] clients that are kept, ARGV[2] milliseconds to live, then client, calls, last in turn
for i = 3, #ARGV, 3 do
  redis.call('ZINCRBY', KEYS[1], ARGV[i + 1], ARGV[i])
  redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 2])
end
local over = redis.call('ZCARD', KEYS[1]) - tonumber(ARGV[1])
if over > 0 then
  local calls = 0
  -- One more than there are too many: '+' takes a place itself.
  local gone = redis.call('ZPOPMIN', KEYS[1], over + 1)
  for i = 1, #gone, 2 do
    calls = calls + tonumber(gone[i + 1])
    redis.call('HDEL', KEYS[2], gone[i])
  end
  redis.call('ZINCRBY', KEYS[1], calls, '+')
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return 1
