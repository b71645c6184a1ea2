-- Checks all limits of one or more calls and counts each call only if all of its limits admit it.
--
-- KEYS[1]   the generation of the rules
-- KEYS[i+1] the log that limit i counts in; no two are the same
-- ARGV[1]   of each limit: max_requests (u32), window (double, microseconds), cost, group (u32) and
--           shadow (u8); then of each call: how many limits it has, and which (u16, big-endian, from 1)
--
-- A log is the total of its entries (u32), since when it is kept (double, microseconds: what was
-- admitted before is not in it, see refund.lua), until when Redis keeps it (double, microseconds),
-- and its entries: the newest, then the others, oldest first. An entry is when the last of its
-- admissions was (double, microseconds) and how many they are (u32). It takes admissions until it
-- has `group` of them, so that a log stays short; the time of its last one stands for all, so that
-- none is forgotten too early. All but the calls is little-endian.
--
-- Calls are decided one after the other; a log is read once and written once, however many count in
-- it. Where only the newest entry changes it is written in place, and the time that a key has to
-- live is renewed once a second at most.
--
-- Returns the generation and the time (double each), and for each limit of each call what is used
-- after this (u32) and the microseconds until it can admit the cost (double; 0 if it does).
local HEADER, ENTRY, RULE = 32, 12, 21
-- A limit and its log by position: tables with names take twice as long to make. So would functions:
-- each call of the script makes them anew.
local MAX, WINDOW, COST, SHADOW, GROUP = 1, 2, 3, 4, 5
local TOTAL, SINCE, KEPT, STAMP, COUNT, BODY = 6, 7, 8, 9, 10, 11
-- Whether more than the newest entry is not what Redis has; whether a call was admitted.
local REBUILT, COUNTED = 12, 13

local call, pack, read, sub = redis.call, struct.pack, struct.unpack, string.sub
local keys, question = KEYS, ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local generation = tonumber(redis.pcall('GET', keys[1])) or 0

-- 1. The limits and their logs as they are now.
local limits = {}
for i = 1, #keys - 1 do
  local max, window, cost, group, shadow = read('<I4dI4I4B', question, (i - 1) * RULE + 1)
  local log = redis.pcall('GET', keys[i + 1])
  local total, since, kept, stamp, count, body, rebuilt = 0, now, 0, now, 0, '', true
  -- What is no log has nothing to say.
  if log and #log >= HEADER and (#log - HEADER) % ENTRY == 0 then
    total, since, kept, stamp, count = read('<I4dddI4', log)
    rebuilt = false
    if #log > HEADER then
      body = sub(log, HEADER + 1)
    end
    -- A clock that was put back must not hold anybody longer than one window. What was admitted by
    -- the clock before cannot be told apart any more, so that none of it can be taken back.
    if stamp > now then
      local parts = {}
      for at = 1, #body, ENTRY do
        local ended, some = read('<dI4', body, at)
        parts[#parts + 1] = pack('<dI4', math.min(ended, now), some)
      end
      since, stamp, body, rebuilt = math.max(since, stamp + 1), now, table.concat(parts), true
    end
    -- What is no longer within the window is forgotten.
    local over, first = now - window, 1
    while first <= #body do
      local ended, some = read('<dI4', body, first)
      if ended > over then
        break
      end
      total, first = total - some, first + ENTRY
    end
    if first > 1 then
      body, rebuilt = sub(body, first), true
    end
    if stamp <= over then
      total, count = 0, 0
    end
  elseif type(log) == 'table' and not string.find(log.err, 'WRONGTYPE', 1, true) then
    return log
  end
  limits[i] = { max, window, cost, shadow, group, total, since, kept, stamp, count, body, rebuilt, false }
end

-- 2. The calls, one after the other.
local numbers = (#question - #limits * RULE) / 2
local calls = { read('>' .. string.rep('I2', numbers), question, #limits * RULE + 1) }
local reply, told, at = { generation, now, nil, nil, nil, nil, nil, nil }, 2, 1
while at <= numbers do
  local till, admitted = at + calls[at], true
  -- Where there is one limit alone, whether it admits is seen when it counts.
  for k = at + 1, till > at + 1 and till or at do
    local limit = limits[calls[k]]
    if limit[TOTAL] + limit[COST] > limit[MAX] and limit[SHADOW] == 0 then
      admitted = false
      break
    end
  end
  for k = at + 1, till do
    local limit = limits[calls[k]]
    local total, cost, max, wait = limit[TOTAL], limit[COST], limit[MAX], 0
    if total + cost > max then
      -- Until so many of the oldest are forgotten that it fits.
      local left, body, ended = total, limit[BODY], now
      if cost <= max then
        ended = limit[STAMP]
        for from = 1, #body, ENTRY do
          local stamp, some = read('<dI4', body, from)
          left = left - some
          if left + cost <= max then
            ended = stamp
            break
          end
        end
      end
      wait = math.ceil(ended + limit[WINDOW] - now)
    elseif admitted and cost > 0 then
      local count = limit[COUNT]
      if count >= limit[GROUP] then
        limit[BODY] = limit[BODY] .. pack('<dI4', limit[STAMP], count)
        limit[REBUILT], count = true, 0
      end
      total = total + cost
      limit[TOTAL], limit[STAMP], limit[COUNT], limit[COUNTED] = total, now, count + cost, true
    end
    reply[told + 1], reply[told + 2] = total, wait
    told = told + 2
  end
  at = till + 1
end

-- 3. What was counted is written. A log has to outlive its newest entry; it lives one second longer,
-- so that Redis need not be told with each call.
for i = 1, #limits do
  local limit = limits[i]
  if limit[COUNTED] then
    local window, kept = limit[WINDOW], limit[KEPT]
    local spare, live = kept - now - window, math.ceil(window / 1000) + 1000
    local renew = spare < 0 or spare > 1000000
    if renew then
      -- Ten milliseconds less than Redis is told: it may look at a clock that is rounded.
      kept = now + live * 1000 - 10000
    end
    local header = pack('<I4dddI4', limit[TOTAL], limit[SINCE], kept, limit[STAMP], limit[COUNT])
    if renew then
      call('SET', keys[i + 1], header .. limit[BODY], 'PX', live)
    elseif limit[REBUILT] then
      call('SET', keys[i + 1], header .. limit[BODY], 'KEEPTTL')
    else
      call('SETRANGE', keys[i + 1], '0', header)
    end
  end
end
return pack('<dd' .. string.rep('I4d', (told - 2) / 2), unpack(reply, 1, told))
