--- What a refusal means: `{ kind, scope, window, retry_after }`.
---
--- First the adapter's ordered rules, then the generic ones by status. No body
--- can make it raise: what is not understood is classified by its status alone.
local errors = require "keycycle.errors"
local json = require "keycycle.core".json

local classify = {}

local DAY = 86400
local MAX_ERROR_BODY = 64 * 1024
-- A 429 whose stated delay is shorter is waited for on the same key.
local TEMPORARY_BELOW = 10

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
function classify.http_date(text)
  local d, mon, y, h, mi, s =
    text:match "^%a+, (%d%d) (%a%a%a) (%d%d%d%d) (%d%d):(%d%d):(%d%d) GMT$"
  local m = months[mon]
  if not m then return nil end
  return days(tonumber(y), m, tonumber(d)) * DAY + h * 3600 + mi * 60 + s
end

--- Epoch seconds of an RFC 3339 time, "2026-01-02T03:04:05.6Z" or with an offset;
--- nil else.
function classify.rfc3339(text)
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

--- A body on its way into an error: without the keys it may echo, and cut.
---@param pool userdata whose keys they are
---@param body string
function classify.shown(pool, body)
  local text, err = pool:redact(body)
  if not text then error(errors.from_core(err), 0) end
  return text:sub(1, MAX_ERROR_BODY)
end

local function clamp(seconds)
  if not seconds or seconds ~= seconds then return nil end
  return math.max(0, math.min(seconds, DAY))
end

--- The delay that the headers state, in seconds, at most a day; nil: none that
--- can be understood. A negative one or a date that has passed says nothing.
---@param headers? table lower-case names
---@param now? number epoch seconds
function classify.retry_after(headers, now)
  if not headers then return nil end
  local ms = headers["retry-after-ms"]
  local seconds = ms and tonumber(ms) and tonumber(ms) / 1000
  local text = headers["retry-after"]
  if not seconds and text then
    seconds = tonumber(text)
    if not seconds then
      local date = classify.http_date(text)
      seconds = date and date - (now or os.time())
    end
  end
  if seconds and seconds < 0 then return nil end
  return clamp(seconds)
end

--- The provider's error object inside a body: `{ message, code, type, … }`.
local function error_of(body)
  if type(body) ~= "table" then return nil end
  local err = body.error
  if type(err) == "table" then return err end
  if type(err) == "string" then return { message = err } end
  if type(body.message) == "string" then return body end
  return nil
end

--- Reads a body, given as text or as a table: the table, or nil.
function classify.body_table(body)
  if type(body) == "table" then return body end
  if type(body) ~= "string" or not body:find "^%s*[%[{]" then return nil end
  local value = json.decode(body, { null = "absent" })
  return type(value) == "table" and value or nil
end

--- What the provider says in words; nil when it says nothing readable.
function classify.message(body)
  local err = error_of(classify.body_table(body))
  local text = err and err.message
  if type(text) ~= "string" then return nil end
  return #text <= 500 and text or text:sub(1, 500) .. "…"
end

local function at_path(value, path)
  for step in path:gmatch "[^.]+" do
    if type(value) ~= "table" then return nil end
    local i = math.tointeger(step)
    value = value[step] or i and value[i]
  end
  return value
end

local tests = {
  equals = function(have, want) return tostring(have):lower() == tostring(want):lower() end,
  prefix = function(have, want) return tostring(have):sub(1, #want) == want end,
  contains = function(have, want)
    return tostring(have):lower():find(tostring(want):lower(), 1, true) ~= nil
  end,
  match = function(have, want) return tostring(have):sub(1, 2000):find(want) ~= nil end,
  exists = function() return true end,
}

local function rule_fits(rule, status, body)
  if rule.status and rule.status ~= status then return false end
  if not rule.path then return rule.status ~= nil end
  local have = at_path(body, rule.path)
  if have == nil or type(have) == "table" then return false end
  local test = tests[rule.op or "equals"]
  return test ~= nil and test(have, rule.value)
end

local by_status = {
  [401] = { "auth", "key" }, [402] = { "payment", "key" },
  [403] = { "permission_region", "key" }, [404] = { "not_found", "request" },
  [408] = { "temporary", "request" }, [413] = { "request_too_large", "request" },
  [503] = { "overloaded", "provider" }, [529] = { "overloaded", "provider" },
}

local function generic(status, retry_after)
  if status == 429 then
    local short = retry_after and retry_after < TEMPORARY_BELOW
    return { kind = short and "temporary" or "quota", scope = "model" }
  end
  local known = by_status[status]
  if known then return { kind = known[1], scope = known[2] } end
  if status and status >= 500 then return { kind = "server", scope = "provider" } end
  return { kind = "invalid_request", scope = "request" }
end

-- An error inside a 200: its own code may be the status it should have had.
local function effective_status(status, body)
  if status and status >= 400 then return status end
  local err = error_of(body)
  local code = err and (math.tointeger(tonumber(err.status)) or math.tointeger(tonumber(err.code)))
  if code and code >= 400 and code <= 599 then return code end
  return err and 500 or status
end

--- Whether a verdict says that a rate or a quota is used up, rather than that
--- something else was refused for a while.
---@param status? integer the status that came, which of a 408 is no limit
function classify.is_limit(verdict, status)
  return verdict.kind == "quota" or (verdict.kind == "temporary" and status ~= 408)
end

--- Header fields by lower-case names, as texts; what is no table is none.
function classify.lower_names(headers)
  local out = {}
  for name, value in pairs(type(headers) == "table" and headers or {}) do
    if type(name) == "string" then out[name:lower()] = tostring(value) end
  end
  return out
end

--- Classifies a response.
---@param adapter? table the provider's definition
---@param response table status, headers (by name), body (text or table)
---@return table verdict kind, scope, window, retry_after
function classify.classify(adapter, response)
  local body = classify.body_table(response.body)
  local status = effective_status(math.tointeger(tonumber(response.status)), body)
  local retry_after = classify.retry_after(classify.lower_names(response.headers))
  for _, rule in ipairs(adapter and adapter.classify or {}) do
    local ok, fits = pcall(rule_fits, rule, status, body)
    if fits == "not enough memory" then error(fits, 0) end
    if ok and fits then
      return { kind = rule.kind, scope = rule.scope or "key", window = rule.window,
        retry_after = retry_after }
    end
  end
  local verdict = generic(status, retry_after)
  verdict.retry_after = retry_after
  return verdict
end

return classify
