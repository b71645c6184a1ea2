-- What was changed since a generation, oldest first, some at a time.
--
-- KEYS   as in revoke.lua
-- ARGV   the generation that is known, how many changes are wanted at most
--
-- Returns the generation of now, then three for each change: its generation, the member, when.
local now = tonumber(redis.call('GET', KEYS[1]) or '0')
local reply = { now }
if now <= tonumber(ARGV[1]) then
  return reply
end
local found = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[1], '+inf',
  'WITHSCORES', 'LIMIT', 0, tonumber(ARGV[2]))
for i = 1, #found, 2 do
  reply[#reply + 1] = tonumber(found[i + 1])
  reply[#reply + 1] = found[i]
  reply[#reply + 1] = redis.call('HGET', KEYS[3], found[i]) or '0'
end
return reply
