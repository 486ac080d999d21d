--- A provider's rate-limit headers in one neutral form, and what a lease learns of
--- them.
local classify = require "keycycle.classify"
local log = require "keycycle.log"

local limit_headers = {}

local MOST = 2 ^ 53
local DAY = 86400

local units = { h = 3600, m = 60, s = 1, ms = 0.001, us = 1e-6, ["µs"] = 1e-6, ns = 1e-9 }

-- A duration as Go prints it: "6m0s", "7.66s", "120ms", "1h2m3s".
local function go_duration(text)
  local sum, rest = 0, text
  while rest ~= "" do
    local number, unit, more = rest:match "^([%d.]+)([^%d.%s]+)(.*)$"
    local value = tonumber(number)
    if not value or not units[unit] then return nil end
    sum, rest = sum + value * units[unit], more
  end
  return text ~= "" and sum or nil
end

local function after(at, now)
  return at and at - now
end

-- How each format tells when a window is fresh again: seconds from now.
local formats = {
  go = function(text) return go_duration(text) or tonumber(text) end,
  seconds = function(text) return tonumber((text:gsub("s$", ""))) end,
  ms = function(text)
    local value = tonumber((text:gsub("ms$", "")))
    return value and value / 1000
  end,
  epoch = function(text, now) return after(tonumber(text), now) end,
  epoch_ms = function(text, now)
    local at = tonumber(text)
    return after(at and at / 1000, now)
  end,
  rfc3339 = function(text, now) return after(classify.rfc3339(text), now) end,
}

local function count(text)
  local n = text and math.tointeger(tonumber(text))
  return n and n >= 0 and n <= MOST and n or nil
end

local function reset_of(line, headers, now)
  local text = line.reset and headers[line.reset]
  local read = formats[line.format or "seconds"]
  local seconds = text and read and read(text, now)
  if not seconds or seconds ~= seconds then return nil end
  return math.max(0, math.min(seconds, DAY))
end

--- What the headers say, line by line: `{ unit, window, limit, remaining, reset }`,
--- each of the last three nil where it is missing or not understood.
---@param lines? table a provider's `limit_headers`
---@param headers table by lower-case name
---@param now number epoch seconds
---@return table list
function limit_headers.read(lines, headers, now)
  local list = {}
  for _, line in ipairs(lines or {}) do
    local found = { unit = line.unit, window = line.window, limit = count(headers[line.limit]),
      remaining = count(headers[line.remaining]), reset = reset_of(line, headers, now) }
    if found.limit or found.remaining or found.reset then list[#list + 1] = found end
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

local counted = { requests = true, tokens = true }
local windows = { minute = true, hour = true, day = true }

--- Has the pool take in what the answer to a lease says: limits, what remains, and
--- whose quota it is.
---@param lease userdata not settled yet
---@param adapter? table the provider's definition
---@param headers table by lower-case name
---@param list table what `read` made of them
function limit_headers.learn(lease, adapter, headers, list)
  local owner = adapter and adapter.charge and adapter.charge.shared_by
  local name = owner and headers[owner]
  if name and name ~= "" and lease:join(name) then
    log.info("key %d of %s shares the quota of %s", lease.index, lease.provider, name)
  end
  for _, line in ipairs(list) do
    if counted[line.unit] and windows[line.window] then
      local ok, err = lease:observe(line.window, line.unit, line.limit, line.remaining)
      if not ok then log.debug("nothing was learned: %s", err.message) end
    end
  end
end

return limit_headers
