-- Takes one provisional admission back out of a log (see check.lua).
--
-- KEYS[1] the log; ARGV[1] when it was admitted (microseconds), ARGV[2] its cost
--
-- It lies in the first entry that does not end before it. That entry keeps its time, so that what
-- else is in it is not forgotten too early.
local HEADER, ENTRY = 4, 12
local log = redis.call('GET', KEYS[1])
local admitted, cost = tonumber(ARGV[1]), tonumber(ARGV[2])
if not log then
  return 0
end
for at = HEADER + 1, #log, ENTRY do
  local stamp, count = struct.unpack('<dI4', log, at)
  if stamp >= admitted then
    local back = math.min(cost, count)
    local entry = ''
    if count > back then
      entry = struct.pack('<dI4', stamp, count - back)
    end
    local total = struct.unpack('<I4', log) - back
    local rest = string.sub(log, HEADER + 1, at - 1) .. entry .. string.sub(log, at + ENTRY)
    redis.call('SET', KEYS[1], struct.pack('<I4', total) .. rest, 'KEEPTTL')
    return back
  end
end
return 0
