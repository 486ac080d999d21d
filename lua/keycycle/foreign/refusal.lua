--- Failures of other clients, in the forms that they come in, as answers of a provider:
--- `{ status, headers, body, message }`.
---
--- Only what clearly is a status of HTTP counts as one: a number in a name or in a
--- sentence must not put a key away.
local ascii = require "keycycle.ascii"
local classify = require "keycycle.classify"
local core = require "keycycle.core"
local errors = require "keycycle.errors"

local refusal = {}

local MOST_DEPTH = 16 -- of a body
local kept = { string = true, number = true, boolean = true }
local fields = { "status", "http_status", "status_code", "statusCode", "code" }

-- "HTTP 429", "HTTP/1.1 429", "status 429", "Bad status: 429", "status_code=429",
-- "Error code: 429"; and "429: …" where a text begins so.
local forms = {
  "%f[%w]http[/%d.]*[ :]+(%d%d%d)%f[%D]", "%f[%w]http error[ :]+(%d%d%d)%f[%D]",
  "%f[%w]status[_ ]?c?o?d?e?[ :=]+(%d%d%d)%f[%D]", "%f[%w]error code[ :=]+(%d%d%d)%f[%D]",
  "^(%d%d%d):",
}

-- Statuses with their names: "429 Too Many Requests" says it without more.
local phrases = { "400 bad request", "401 unauthorized", "402 payment required", "403 forbidden",
  "404 not found", "408 request timeout", "429 too many requests", "500 internal server error",
  "502 bad gateway", "503 service unavailable", "504 gateway time" }

-- A status that says no, of a number or its digits.
local function as_status(value)
  local n = math.tointeger(tonumber(value))
  return n and n >= 400 and n <= 599 and n or nil
end

local function status_of(low)
  for _, form in ipairs(forms) do
    local status = as_status(low:match(form))
    if status then return status end
  end
  for _, phrase in ipairs(phrases) do
    if low:find("%f[%w]" .. phrase) then return as_status(phrase:sub(1, 3)) end
  end
  return nil
end

local function of_text(text)
  local words = text:gsub("^[^\n:]+:%d+: ", "") -- where Lua says that it was raised
  local status = status_of(ascii.lower(words))
  return status and { status = status, message = words, body = words } or nil
end

local function status_in(object)
  for _, name in ipairs(fields) do
    local value = object[name]
    if type(value) == "number" or type(value) == "string" then
      local status = as_status(value)
      if status then return status end
    end
  end
  return nil
end

local function first_table(...)
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    if type(value) == "table" then return value end
  end
  return nil
end

local function text_of(value)
  return type(value) == "string" and value or nil
end

local function of_table(err)
  local response = first_table(err.response)
  local status = status_in(err) or response and status_in(response)
  if not status then return nil end
  local body = err.body or response and response.body
  local message = text_of(err.message) or text_of(err.error)
  if type(body) ~= "table" and type(body) ~= "string" then
    body = first_table(err.error) and { error = err.error } or message
  end
  return { status = status, message = message, body = body,
    headers = first_table(err.headers, response and response.headers) }
end

local function of_error(err)
  if errors.is_error(err) then return nil end -- ours: it has been dealt with
  if type(err) == "string" then return of_text(err) end
  if type(err) ~= "table" then return nil end
  local ok, found = pcall(of_table, err) -- it may be an object of any kind
  if not ok and found == "not enough memory" then error(found, 0) end
  return ok and found or nil
end

--- What a client raised, if it is a refusal: a table with a status, or a text with one.
---@param err any
---@return table? response
function refusal.raised(err)
  return of_error(err)
end

local function of_nil(results)
  local err = results[2]
  local found = of_error(err)
  if errors.is_error(err) or found and found.headers then return found end
  for i = 3, results.n do
    local value = results[i]
    local status = math.type(value) == "integer" and as_status(value)
    if not found and status then found = { status = status, message = text_of(err) } end
  end
  if found then found.body = first_table(err, table.unpack(results, 3, results.n)) or found.body end
  return found
end

--- What a client returned, if it is a refusal: `nil, err`, where err is one as above or
--- a status follows; or a status, its body and perhaps headers (`429, body, headers`).
---@param results table packed
---@return table? response
function refusal.returned(results)
  if results.n < 2 then return nil end
  local first, body = results[1], results[2]
  if not first then return of_nil(results) end
  local status = math.type(first) == "integer" and as_status(first)
  if not status or type(body) ~= "table" and type(body) ~= "string" then return nil end
  return { status = status, body = body, headers = first_table(results[3]) }
end

--- What is wrong with what a program's own function made of results; nil: nothing.
---@param response any
---@return string?
function refusal.fault(response)
  if response == nil or response == false then return nil end
  if type(response) ~= "table" then return "it answered a " .. type(response) .. ", not a table" end
  if response.status ~= nil and not as_status(response.status) then
    return "status is no status from 400 to 599"
  end
  return nil
end

-- A copy of what JSON has, without what others put in the place of its null.
local function plain(value, depth)
  if type(value) ~= "table" then return kept[type(value)] and value or nil end
  if depth == 0 then return nil end
  local copy = {}
  for name, field in next, value do
    if type(name) == "string" or type(name) == "number" then
      copy[name] = plain(field, depth - 1)
    end
  end
  return copy
end

-- The body as a text, which can be blacked out and read.
local function body_of(response)
  local body = response.body
  if type(body) == "table" then body = core.json.encode(plain(body, MOST_DEPTH)) end
  return text_of(body) or text_of(response.message) or ""
end

--- A refusal as the result of an attempt: of a status, or, where there is none, of a
--- provider that was not reached.
---@param response table
---@param pool userdata whose keys it must not show
---@return table result
function refusal.result(response, pool)
  local body, message = classify.shown(pool, body_of(response)), text_of(response.message)
  local result = { sent = true, status = as_status(response.status), body = body,
    message = message and classify.shown(pool, message) or classify.message(body),
    headers = classify.lower_names(response.headers) }
  if not result.status then
    result.transport, result.err = true, { code = "connect", message = result.message }
  end
  return result
end

return refusal
