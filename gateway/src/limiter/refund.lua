-- Takes one provisional admission back out of a log (see check.lua).
--
-- KEYS[1] the log; ARGV when it was admitted (microseconds), its cost, the window (microseconds)
--
-- It lies in the first entry that does not end before it. That entry keeps its time, so that what
-- else is in it is not forgotten too early. Where it is gone already, since its window is over or
-- the log was begun anew, nothing is taken: what is there is another call's.
--
-- Returns what was taken back.
local HEADER, ENTRY = 32, 12
local admitted, cost, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local log = redis.call('GET', KEYS[1]) or ''
if #log < HEADER or (#log - HEADER) % ENTRY ~= 0 then
  return 0
end
local total, since, kept, newest, left = struct.unpack('<I4dddI4', log)
if admitted <= now - window or admitted > now or admitted < since then
  return 0
end
local back, body = 0, string.sub(log, HEADER + 1)
for at = 1, #body, ENTRY do
  local stamp, count = struct.unpack('<dI4', body, at)
  if stamp >= admitted then
    back = math.min(cost, count)
    local entry = ''
    if count > back then
      entry = struct.pack('<dI4', stamp, count - back)
    end
    body = string.sub(body, 1, at - 1) .. entry .. string.sub(body, at + ENTRY)
    break
  end
end
if back == 0 and newest >= admitted then
  back = math.min(cost, left)
  left = left - back
end
if back > 0 then
  local header = struct.pack('<I4dddI4', total - back, since, kept, newest, left)
  redis.call('SET', KEYS[1], header .. body, 'KEEPTTL')
end
return back
