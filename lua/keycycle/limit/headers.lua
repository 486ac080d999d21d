--- A provider's rate-limit headers in one neutral form, and what a lease learns of
--- them.
local ascii = require "keycycle.ascii"
local delay = require "keycycle.refusal.delay"
local errors = require "keycycle.errors"
local log = require "keycycle.log"

local limit_headers = {}

local MOST = 2 ^ 53
local DAY = 86400

local function after(at, now)
  return at and at - now
end

local function number(text)
  return tonumber(text:match "^%s*([%d.]+)%s*$")
end

-- A time of the past century or of the next is none of seconds to wait: what is so
-- large was counted from 1970.
local EPOCH, EPOCH_MS = 1e9, 1e12

local function any(text, now)
  local value = number(text)
  if value and value >= EPOCH_MS then return value / 1000 - now end
  if value and value >= EPOCH then return value - now end
  return value or delay.duration(text) or after(delay.rfc3339(text), now)
    or after(delay.http_date(text), now)
end

-- The item of a structured field (RFC 9651) of which the least remains, as RateLimit of
-- the HTTPAPI working group has it: `"api";r=499;t=112, "day";r=9`.
local function item_of(text)
  local best, least
  for item in text:gmatch "[^,]+" do
    local left = tonumber(item:match ";%s*r=(%d+)")
    if not best or left and left < (least or math.huge) then best, least = item, left end
  end
  return best or ""
end

local function param(text, name)
  return item_of(text):match(";%s*" .. name .. "=(%d+)")
end

-- How each format tells when a window is fresh again: seconds from now.
local formats = {
  go = function(text) return delay.duration(text) or number(text) end,
  seconds = function(text) return number((text:gsub("s%s*$", ""))) end,
  ms = function(text)
    local value = number((text:gsub("ms%s*$", "")))
    return value and value / 1000
  end,
  epoch = function(text, now) return after(number(text), now) end,
  epoch_ms = function(text, now)
    local at = number(text)
    return after(at and at / 1000, now)
  end,
  rfc3339 = function(text, now) return after(delay.rfc3339(text), now) end,
  any = any,
  ietf = function(text) return tonumber(param(text, "t")) end,
}

local fields = { unit = "string", window = "string", limit = "string", remaining = "string",
  reset = "string", format = "string", learn = "boolean" }
local units = { requests = true, tokens = true, input = true, output = true }
local windows = { second = true, ["10_second"] = true, minute = true, ["5_minute"] = true,
  hour = true, day = true, month = true }

local function check_line(line, where)
  if type(line) ~= "table" then errors.invalid("%s must be a table", where) end
  for k, v in pairs(line) do
    if not fields[k] then
      errors.invalid("%s has no field %q (known: %s)", where, tostring(k), errors.list(fields))
    end
    if type(v) ~= fields[k] then
      errors.invalid("%s.%s must be a %s", where, k, fields[k])
    end
  end
  if not units[line.unit] then
    errors.invalid("%s.unit must be requests, tokens, input or output", where)
  end
  if line.window and not windows[line.window] then
    errors.invalid("%s.window must be second, 10_second, minute, 5_minute, hour, day or month",
      where)
  end
  if line.format and not formats[line.format] then
    errors.invalid("%s.format must be go, seconds, ms, epoch, epoch_ms, rfc3339, ietf or any",
      where)
  end
  for _, name in ipairs { "limit", "remaining", "reset" } do
    if line[name] and line[name] ~= ascii.lower(line[name]) then
      errors.invalid("%s.%s: names of headers are in small letters here", where, name)
    end
  end
end

--- Checks a provider's `limit_headers`: lines of `{ unit, window, limit, remaining, reset,
--- format, learn }`. unit "requests", "tokens", "input" or "output"; window "second",
--- "10_second", "minute", "5_minute", "hour", "day", "month", or nil where nobody says;
--- limit, remaining, reset: names of headers, nil where there is none; format of the reset:
--- "seconds" (default), "go", "ms", "epoch", "epoch_ms", "rfc3339", "any" (whichever it
--- looks like), "ietf" (all three in structured fields); learn false: it tells how long to
--- wait and nothing else. Raises InvalidConfigurationError.
---@param lines table
---@param where string names the place in errors
function limit_headers.check(lines, where)
  for i in pairs(lines) do
    if not math.tointeger(i) then errors.invalid("%s must be a list", where) end
  end
  for i, line in ipairs(lines) do check_line(line, ("%s[%d]"):format(where, i)) end
end

local MOST_DIGITS = 15 -- of a number that is surely below MOST

-- A count, which may be a decimal; parts of a unit are none.
local function count(text)
  local n = #text <= MOST_DIGITS and tonumber(text, 10) -- as nearly all of them are
  if n and n >= 0 then return n end
  n = number(text)
  return n and n <= MOST and math.floor(n) or nil
end

-- What remains, which may be less than nothing.
local function left(text)
  return count(text) or text:find "^%s*%-[%d.]+%s*$" and 0 or nil
end

local function reset_of(line, headers, now)
  local text = headers[line.reset]
  local read = formats[line.format or "seconds"]
  local seconds = text and read and read(text, now)
  if not seconds or seconds ~= seconds then return nil end
  return math.max(0, math.min(seconds, DAY))
end

-- The limit that a line tells, and what remains of it.
local function counts_of(line, headers)
  local limit, remaining = headers[line.limit], headers[line.remaining]
  if line.format == "ietf" then
    limit, remaining = limit and param(limit, "q"), remaining and param(remaining, "r")
  end
  return limit and count(limit), remaining and left(remaining)
end

--- What the headers say, line by line: `{ unit, window, limit, remaining, reset }`,
--- each of the last three nil where it is missing or not understood; reset in seconds.
---@param lines? table a provider's `limit_headers`
---@param headers table texts by lower-case name
---@param now number epoch seconds
---@return table list
function limit_headers.read(lines, headers, now)
  local list = {}
  for _, line in ipairs(lines or {}) do
    local limit, remaining = counts_of(line, headers)
    local reset = reset_of(line, headers, now)
    if limit or remaining or reset then
      list[#list + 1] = { unit = line.unit, window = line.window, limit = limit,
        remaining = remaining, reset = reset }
    end
  end
  return list
end

--- Seconds until what is used up is fresh again, by these lines; nil: none is
--- used up, or none says when.
function limit_headers.wait(list)
  local most
  for _, line in ipairs(list) do
    if line.remaining == 0 and line.reset then most = math.max(most or 0, line.reset) end
  end
  return most
end

local learned = {
  minute = { requests = true, tokens = true, input = true, output = true },
  hour = { requests = true, tokens = true }, day = { requests = true, tokens = true },
}

local function least(a, b)
  return a and b and math.min(a, b) or a or b
end

local known = setmetatable({}, { __mode = "k" }) -- what taught makes, by the lines

-- The lines that tell what a pool can learn, by the limit they tell of:
-- `{ window, unit, lines }`.
local function taught(lines)
  local groups, by_name = {}, {}
  for _, line in ipairs(lines) do
    local window, unit = line.window, line.unit
    if line.learn ~= false and learned[window] and learned[window][unit] then
      local name = window .. unit
      local group = by_name[name]
      if not group then
        group = { window = window, unit = unit, lines = {} }
        by_name[name], groups[#groups + 1] = group, group
      end
      group.lines[#group.lines + 1] = line
    end
  end
  return groups
end

-- Where several lines tell of one limit (an organisation's and its project's) the
-- tightest holds.
local function learn_limit(lease, group, headers)
  local limit, remaining
  for i, line in ipairs(group.lines) do
    local most, still = counts_of(line, headers)
    if i > 1 then most, still = least(limit, most), least(remaining, still) end
    limit, remaining = most, still
  end
  if not limit and not remaining then return end
  local ok, err = lease:observe(group.window, group.unit, limit, remaining)
  if not ok then log.debug("nothing was learned: %s", err.message) end
end

--- Has the pool take in what the answer to a lease says: limits, what remains, and
--- whose quota it is.
---@param lease userdata not settled yet
---@param adapter? table the provider's definition
---@param headers table texts by lower-case name
function limit_headers.learn(lease, adapter, headers)
  if not adapter then return end
  local owner = adapter.charge and adapter.charge.shared_by
  local name = owner and headers[owner]
  if name and name ~= "" and lease:join(name) then
    log.info("key %d of %s shares the quota of %s", lease.index, lease.provider, name)
  end
  local lines = adapter.limit_headers
  if not lines then return end
  known[lines] = known[lines] or taught(lines)
  for _, group in ipairs(known[lines]) do learn_limit(lease, group, headers) end
end

return limit_headers
