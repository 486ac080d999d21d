--- Delays that an answer states, in seconds from now: in headers, in fields of the
--- body, in its sentences; and when a calendar's window begins anew.
---
--- Pure but for the zones' files: each function that needs the time is told it.
local ascii = require "keycycle.ascii"
local core = require "keycycle.core"

local delay = {}

local DAY = 86400
local MOST_TEXT = 2000 -- bytes of a sentence that are looked at

local months = { Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8,
  Sep = 9, Oct = 10, Nov = 11, Dec = 12 }

-- Days since 1970-01-01 of a date in the proleptic Gregorian calendar
-- (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
local function days(y, m, d)
  if m <= 2 then y = y - 1 end
  local era = y // 400
  local yoe = y - era * 400
  local doy = (153 * (m + (m > 2 and -3 or 9)) + 2) // 5 + d - 1
  return era * 146097 + yoe * 365 + yoe // 4 - yoe // 100 + doy - 719468
end

--- Epoch seconds of an HTTP date (RFC 9110, 5.6.7, the fixed form); nil else.
function delay.http_date(text)
  local d, mon, y, h, mi, s =
    text:match "^%a+, (%d%d) (%a%a%a) (%d%d%d%d) (%d%d):(%d%d):(%d%d) GMT$"
  local m = months[mon]
  if not m then return nil end
  return days(tonumber(y), m, tonumber(d)) * DAY + h * 3600 + mi * 60 + s
end

--- Epoch seconds of an RFC 3339 time, "2026-01-02T03:04:05.6Z" or with an offset;
--- nil else.
function delay.rfc3339(text)
  local y, mo, d, h, mi, s, zone =
    text:match "^(%d%d%d%d)-(%d%d)-(%d%d)[Tt ](%d%d):(%d%d):([%d.]+)(.+)$"
  local seconds = tonumber(s)
  if not seconds then return nil end
  local offset = 0
  if not zone:find "^[Zz]$" then
    local sign, oh, om = zone:match "^([+-])(%d%d):?(%d%d)$"
    if not sign then return nil end
    offset = (oh * 3600 + om * 60) * (sign == "-" and -1 or 1)
  end
  return days(tonumber(y), tonumber(mo), tonumber(d)) * DAY + h * 3600 + mi * 60 + seconds - offset
end

local units = { d = DAY, h = 3600, m = 60, s = 1, ms = 0.001, us = 1e-6, ["µs"] = 1e-6,
  ["μs"] = 1e-6, ns = 1e-9 } -- the micro sign, and the Greek letter

--- Seconds of a duration as Go and protobuf print it, "6m0s", "7.66s", "120ms", "1h2m3s",
--- also with days and blanks: "1d 2h"; nil for any other text.
function delay.duration(text)
  local sum, rest = 0, text:gsub("%s+", "")
  if rest == "" then return nil end
  while rest ~= "" do
    local number, unit, more = rest:match "^([%d.]+)([^%d.]+)(.*)$"
    local value = tonumber(number)
    if not value or not units[unit] then return nil end
    sum, rest = sum + value * units[unit], more
  end
  return sum
end

--- At most a day; nil for what is no delay: less than nothing, or no number.
function delay.clamp(seconds)
  if not seconds or seconds ~= seconds or seconds < 0 then return nil end
  return math.min(seconds, DAY)
end

-- A bare number: seconds, or since the epoch where it is that large.
local function of_number(n, now)
  if n >= 1e12 then return n / 1000 - now end
  if n >= 1e9 then return n - now end
  return n
end

--- Seconds that a field states in whatever form: a number of seconds (also as
--- text), a duration, an instant since the epoch in s or ms, a date of HTTP or RFC
--- 3339, the `t=` of a RateLimit header. At most a day; nil: not understood, or past.
---@param value any
---@param now number epoch seconds
function delay.of_value(value, now)
  local n = type(value) == "number" and value or nil
  if type(value) == "string" and #value <= 200 then
    n = tonumber(value)
    local at = not n and (delay.http_date(value) or delay.rfc3339(value))
    if at then return delay.clamp(at - now) end
    if not n then
      return delay.clamp(delay.duration(value) or tonumber(value:match "[;, ]t=(%d+)"))
    end
  end
  return n and delay.clamp(of_number(n, now)) or nil
end

--- The delay that `retry-after` and `retry-after-ms` state, in seconds, at most a
--- day: the larger where both are there (a server sent 1 and 0). nil: none that can
--- be understood; a negative one or a date that has passed says nothing.
---@param headers? table lower-case names
---@param now number epoch seconds
function delay.of_headers(headers, now)
  if not headers then return nil end
  local ms, text = tonumber(headers["retry-after-ms"]), headers["retry-after"]
  local fine = ms and delay.clamp(ms / 1000)
  local coarse = tonumber(text)
  if text and not coarse then
    local date = delay.http_date(text)
    coarse = date and date - now
  end
  coarse = delay.clamp(coarse)
  return fine and coarse and math.max(fine, coarse) or fine or coarse
end

-- What must stand before a time for it to be a delay: a number alone is none.
local phrases = { "try again in ", "try again after ", "retry in ", "retry after ",
  "retry your request in ", "retry your request after ", "wait ", "wait for ", "reset in ",
  "reset after ", "resets in " }

local words = { ns = 1e-9, us = 1e-6, ms = 0.001, millisecond = 0.001, s = 1, sec = 1,
  second = 1, m = 60, min = 60, minute = 60, h = 3600, hr = 3600, hour = 3600, d = DAY,
  day = DAY }

-- The time that a sentence names from byte `at` on: "6m 11.52s", "22 seconds".
local function spoken(text, at)
  local sum
  while true do
    local digits = text:match("^%d+", at)
    if not digits then return sum end
    local fraction = text:match("^%.%d+", at + #digits) or ""
    local number = digits .. fraction
    local word, after = text:match("^ ?(%a+)()", at + #number)
    local unit = word and (words[word] or words[word:match "^(.*)s$"])
    if not unit then return sum end
    sum = (sum or 0) + tonumber(number) * unit
    at = text:find("[^ ,]", after) or after
  end
end

--- The delay that a sentence asks for ("Please try again in 6m11.52s"), in seconds,
--- at most a day; the longest where there are several, nil where there is none.
---@param text string
function delay.of_text(text)
  text = ascii.lower(text:sub(1, MOST_TEXT))
  local most
  for _, phrase in ipairs(phrases) do
    local first, last = text:find(phrase, 1, true)
    while first do
      local seconds = spoken(text, last + 1)
      if seconds then most = math.max(most or 0, seconds) end
      first, last = text:find(phrase, last + 1, true)
    end
  end
  return delay.clamp(most)
end

-- The first midnight of a month in a zone, epoch seconds. Noon of the day before is
-- early enough, and late enough, in every zone less than 12 hours from UTC.
local function month_begins(zone, year, month)
  return core.zone_midnight(zone, math.max(0, days(year, month, 1) * DAY - DAY / 2))
end

--- Seconds until a window of the calendar begins anew in a time zone: the next
--- midnight, or with window "month" the next month's first one. nil for a window
--- that no calendar ends, and for a zone that is not known.
---@param window? string
---@param zone string such as "UTC", "America/Los_Angeles"
---@param now number epoch seconds
function delay.until_reset(window, zone, now)
  local at
  if window == "day" then
    at = core.zone_midnight(zone, now)
  elseif window == "month" then
    local date = os.date("!*t", math.floor(now))
    for month = date.month, date.month + 2 do -- east of UTC the next one may have begun
      local year = month > 12 and date.year + 1 or date.year
      at = month_begins(zone, year, (month - 1) % 12 + 1)
      if at and at > now then break end
    end
  end
  return at and at - now or nil
end

return delay
