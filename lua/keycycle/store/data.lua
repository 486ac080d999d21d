--- What a store written in Lua is given, and gives back: plain data, checked here.
---
--- `{ version = 1, usage = { … }, sums = { … }, states = { … } }`, lists of flat tables of
--- texts, whole numbers and booleans, so that it survives JSON and whatever a game saves
--- with. Keys go by the hash of the whole key. A number that is left out is 0, but for the
--- three `counted…`, which are as many as were made, and `until_ms`, which is never. What
--- is wrong names its place; nothing of data with a fault is taken.
local errors = require "keycycle.errors"

local store_data = {}

local VERSION = 1
local MOST = 2 ^ 53 -- what JSON's numbers hold exactly

local checks = {}

function checks.text(value, most)
  return type(value) == "string" and #value <= most and not value:find "\0"
end

function checks.number(value)
  return value == nil
    or type(value) == "number" and math.tointeger(value) and value >= 0 and value <= MOST
end

function checks.flag(value)
  return value == nil or type(value) == "boolean"
end

function checks.state(value)
  return value == "ready" or value == "cooling" or value == "exhausted" or value == "suspended"
    or value == "invalid"
end

local wants = { text = "a text of at most %d bytes", number = "a whole number, 0 or more",
  flag = "true or false", state = "ready, cooling, exhausted, suspended or invalid" }

-- Fields and what they must be; a number: a text of at most so many bytes.
local names = { provider = 255, key = 79, model = 255 }
local counts = { requests = "number", input = "number", output = "number", total = "number",
  counted = "number", counted_tokens = "number", counted_input = "number", last_ms = "number" }

local function fields(...)
  local all = {}
  for _, list in ipairs { names, ... } do
    for k, v in pairs(list) do all[k] = v end
  end
  return all
end

local lists = {
  usage = fields(counts, { start_ms = "number", span_ms = "number" }),
  sums = fields(counts, { held_requests = "number", held_tokens = "number",
    held_input = "number" }),
  states = fields { label = 63, suffix = 7, reason = 63, learned = 511, state = "state",
    disabled = "flag", guessed = "flag", auth = "flag", tries = "number", until_ms = "number",
    changed_ms = "number" },
}

local function corrupt(fmt, ...)
  errors.raise(errors.StoreError, { code = "corrupt",
    message = "what store.load returned cannot be used: " .. fmt:format(...) })
end

-- Keys that rest do so until some time.
local function check_state(row, where)
  if (row.state == "cooling" or row.state == "suspended") and not row.until_ms then
    corrupt("%s.until_ms is missing: it is %s", where, row.state)
  end
end

local function check_row(row, known, where)
  if type(row) ~= "table" then corrupt("%s must be a table, not a %s", where, type(row)) end
  for name, want in pairs(known) do
    local most = math.type(want) == "integer" and want
    if not checks[most and "text" or want](row[name], most) then
      corrupt("%s.%s must be %s", where, name, wants[most and "text" or want]:format(most))
    end
  end
  if known.state then check_state(row, where) end
end

local function check_list(list, known, name)
  if type(list) ~= "table" then corrupt("%s must be a list, not a %s", name, type(list)) end
  local n = 0
  for _ in pairs(list) do n = n + 1 end
  for i = 1, n do check_row(list[i], known, ("%s[%d]"):format(name, i)) end
end

--- Checks what a program's `load` returned. Raises StoreError (`corrupt`).
---@param data any
---@return table data the same
function store_data.check(data)
  if type(data) ~= "table" then corrupt("it is a %s, not a table", type(data)) end
  if data.version ~= VERSION then
    local version = data.version
    corrupt("its version is %s, and this library reads the number %d",
      type(version) == "string" and ("%q"):format(version:sub(1, 20)) or tostring(version), VERSION)
  end
  for _, name in ipairs { "usage", "sums", "states" } do
    check_list(data[name], lists[name], name)
  end
  return data
end

return store_data
