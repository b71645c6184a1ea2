-- Checks all limits of one request and counts it only if all of them admit it.
--
-- KEYS[1]   the generation of the rules
-- KEYS[i+1] the log of limit i
-- ARGV      five for each limit: max_requests, window (microseconds), cost, group, shadow (0 or 1)
--
-- A log is the total of its entries (u32), since when it is kept (double, microseconds: what was
-- admitted before is not in it, see refund.lua), then the entries, oldest first: when the last of
-- its admissions was (double, microseconds) and how many they are (u32). An entry takes admissions
-- until it has `group` of them, so that a log stays short; the time of its last one stands for
-- all, so that none is forgotten too early.
--
-- Returns the generation, the time, and for each limit: whether it admits, what is used
-- after this, and the microseconds until it can admit the cost (0 if it does).
local HEADER, ENTRY = 12, 12
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local values = redis.call('MGET', unpack(KEYS))
local limits, admitted = {}, true

-- A clock that was put back must not hold anybody longer than one window. What was admitted by the
-- clock before cannot be told apart any more, so that none of it can be taken back.
local function clamped(log)
  local total, since = struct.unpack('<I4d', log)
  local last = struct.unpack('<d', log, #log - ENTRY + 1)
  local parts = { struct.pack('<I4d', total, math.max(since, last + 1)) }
  for at = HEADER + 1, #log, ENTRY do
    local stamp, count = struct.unpack('<dI4', log, at)
    parts[#parts + 1] = struct.pack('<dI4', math.min(stamp, now), count)
  end
  return table.concat(parts)
end

for i = 1, #KEYS - 1 do
  local base = (i - 1) * 5
  local max, window = tonumber(ARGV[base + 1]), tonumber(ARGV[base + 2])
  local cost, group = tonumber(ARGV[base + 3]), tonumber(ARGV[base + 4])
  local shadow = ARGV[base + 5] == '1'
  local log = values[i + 1] or ''
  local total, since, first = 0, now, HEADER + 1
  if #log > HEADER then
    if struct.unpack('<d', log, #log - ENTRY + 1) > now then
      log = clamped(log)
    end
    total, since = struct.unpack('<I4d', log)
    while first <= #log do
      local stamp, count = struct.unpack('<dI4', log, first)
      if stamp > now - window then
        break
      end
      total = total - count
      first = first + ENTRY
    end
  end
  local fits, wait = total + cost <= max, 0
  if not fits then
    wait = window
    local left, at = total, first
    while at <= #log and cost <= max do
      local stamp, count = struct.unpack('<dI4', log, at)
      left = left - count
      if left + cost <= max then
        wait = stamp + window - now
        break
      end
      at = at + ENTRY
    end
    if not shadow then
      admitted = false
    end
  end
  limits[i] = {
    log = log, first = first, total = total, since = since, fits = fits, wait = wait,
    cost = cost, group = group, window = window,
  }
end

local reply = { tonumber(values[1]) or 0, now }
for i, limit in ipairs(limits) do
  if admitted and limit.fits and limit.cost > 0 then
    local entries = string.sub(limit.log, limit.first)
    local count = 0
    if #entries > 0 then
      count = struct.unpack('<I4', entries, #entries - 3)
    end
    if count > 0 and count < limit.group then
      entries = string.sub(entries, 1, #entries - ENTRY)
    else
      count = 0
    end
    limit.total = limit.total + limit.cost
    local log = struct.pack('<I4d', limit.total, limit.since) .. entries
      .. struct.pack('<dI4', now, count + limit.cost)
    redis.call('SET', KEYS[i + 1], log, 'PX', math.ceil(limit.window / 1000) + 1000)
  end
  reply[#reply + 1] = limit.fits and 1 or 0
  reply[#reply + 1] = limit.total
  reply[#reply + 1] = math.ceil(limit.wait)
end
return reply
