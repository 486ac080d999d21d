--- What the body of a refusal says, whatever its form: JSON, an array of one, JSON in
--- a sentence or in a field, events, HTML, a Python repr, plain text.
---
--- It is read into layers, an error object each, the innermost first: a router or a
--- gateway puts its own words around those of the provider, which are the exact ones.
--- No body makes it raise or run long: depth, layers and bytes are bounded.
local ascii = require "keycycle.ascii"
local json = require "keycycle.core".json

local error_body = {}

local MOST_BYTES = 256 * 1024 -- of a body that is decoded whole
local MOST_TEXT = 64 * 1024   -- of a text inside one
local MOST_LOOSE = 4096       -- of what is not quite JSON
local MOST_PREFIX = 200       -- before the JSON in a sentence
local MOST_DEPTH = 10
local MOST_PARTS = 24         -- layers, and texts
local MOST_ELEMENTS = 4       -- of a list
local MOST_LINES = 256        -- of events or objects, that are decoded

local visit -- below: what it calls calls it again

local function get(object, name)
  return type(object) == "table" and rawget(object, name) or nil
end

local function text_in(object, ...)
  for _, name in ipairs { ... } do
    local value = get(object, name)
    if type(value) == "string" and value ~= "" then return value end
  end
  return nil
end

local function decode(text)
  local value = json.decode(text, { null = "absent" })
  if type(value) == "table" or type(value) == "string" then return value end
  return nil
end

-- A status of HTTP that says no.
local function as_status(value)
  local n = math.tointeger(tonumber(value))
  return n and n >= 400 and n <= 599 and n or nil
end

local status_fields = { "status", "status_code", "statusCode", "http_status", "raw_status_code",
  "code" }

-- Notes the status that an object or a sentence names; the deepest is the exact one.
local function note_status(w, status, depth)
  if status and depth > w.status_depth then w.status, w.status_depth = status, depth end
end

local function add_layer(w, body, err, depth)
  if #w.layers >= MOST_PARTS then return end
  w.layers[#w.layers + 1] = { body = body, error = err }
  for _, object in ipairs { err, body } do
    for _, name in ipairs(status_fields) do
      local value = get(object, name)
      if type(value) == "number" or type(value) == "string" then
        note_status(w, as_status(value), depth)
      end
    end
  end
end

-- Python's repr, or JSON that was cut off: the fields that can still be read.
local function loose(w, text, depth)
  local err = {}
  text = text:sub(1, MOST_LOOSE)
  for name, value in text:gmatch "[\"']([%a_]+)[\"']%s*:%s*[\"']?([^\"',}%]]*)" do
    if err[name] == nil and #value <= 200 and value ~= "" then err[name] = value end
  end
  if err.code or err.type or err.status then add_layer(w, err, err, depth) end
end

-- Server-sent events; true when one of them holds JSON.
local function lines_of_events(w, text, depth)
  local parts, left, found = {}, MOST_LINES, false
  local function flush()
    if #parts == 0 or left == 0 then return end
    local value = decode(table.concat(parts, "\n"))
    if value then
      found = true
      visit(w, value, depth)
    end
    parts, left = {}, left - 1
  end
  for line in text:gmatch "[^\n]*" do
    local data = line:match "^data: ?(.*)$"
    if data then parts[#parts + 1] = data elseif not line:find "%S" then flush() end
  end
  flush()
  return found
end

local function has_events(text)
  return text:find "^%s*data:" or text:find "^%s*%l+:[^\n]*\n%s*data:" or text:find "^:[^\n]*\n"
end

-- Objects a line each; true when there was one.
local function lines_of_json(w, text, depth)
  local found, left = false, MOST_LINES
  for line in text:gmatch "[^\n]+" do
    left = left - 1
    if left < 0 then break end
    local value = line:find "^%s*{" and decode(line)
    if value then
      found = true
      visit(w, value, depth)
    end
  end
  return found
end

-- The JSON in a text, from its first bracket on. True when the text is nothing else.
local function json_in(w, text, depth)
  local at = text:find '^%s*[%["]' or text:find("{", 1, true)
  if not at or at > MOST_PREFIX then return false end
  local rest = text:sub(at)
  local value = decode(rest) or decode(rest:match "^.*[}%]]" or "")
  if value then
    visit(w, value, depth)
  elseif not lines_of_json(w, rest, depth) then
    loose(w, rest, depth)
    return false
  end
  return not text:sub(1, at - 1):find "%S"
end

-- The title of a page, or its words.
local function words_of_page(text)
  local low = ascii.lower(text:sub(1, 8192))
  local open = low:find("<title", 1, true)
  local from = open and low:find(">", open, true)
  local to = from and low:find("</", from, true)
  if to then return text:sub(from + 1, to - 1) end
  return (text:sub(1, 8192):gsub("<[^<>]*>", " "))
end

-- A status before a sentence, as clients put it there.
local leads = { "^%s*(%d%d%d)%f[^%w][ :%-]*()", "^%s*[Ee]rror [Cc]ode:? ?(%d%d%d)%f[^%w][ :%-]*()",
  "^%s*[Ee]rror:? (%d%d%d)%f[^%w][ :%-]*()", "^%s*HTTP[/%d.]* (%d%d%d)%f[^%w][ :%-]*()",
  "^%s*[Ss]tatus [Cc]ode:? ?(%d%d%d)%f[^%w][ :%-]*()" }

local function without_lead(w, text, depth)
  for _, lead in ipairs(leads) do
    local status, at = text:match(lead)
    if as_status(status) then
      note_status(w, as_status(status), depth)
      return at <= #text and text:sub(at) or text
    end
  end
  return text
end

-- A text: a sentence of an error, or what holds one.
local function add_text(w, text, depth)
  if #w.texts >= MOST_PARTS or depth > MOST_DEPTH then return end
  text = text:sub(1, MOST_TEXT)
  if text:find "^%s*<" then
    w.texts[#w.texts + 1] = words_of_page(text)
    return
  end
  if has_events(text) and lines_of_events(w, text, depth + 1) then return end
  text = without_lead(w, text, depth)
  local place = #w.texts + 1 -- before what it holds: the outer words come first
  if not json_in(w, text, depth + 1) then table.insert(w.texts, place, text) end
end

local function add_list(w, list, depth)
  for i = 1, MOST_ELEMENTS do
    local value = rawget(list, i)
    if value == nil then return end
    visit(w, value, depth + 1)
  end
end

-- What an error object says and holds.
local inner = { "message", "Message", "msg", "detail", "title", "error_description", "error",
  "innererror", "inner_error", "faultstring" }

local function follow(w, err, depth)
  for _, name in ipairs(inner) do
    local value = get(err, name)
    if type(value) == "table" or type(value) == "string" then visit(w, value, depth) end
  end
  local raw = get(get(err, "metadata"), "raw")
  if raw ~= nil then visit(w, raw, depth + 1) end
end

local outer = { "errors", "response", "choices", "x_groq", "fault", "result" }

local function add_object(w, object, depth)
  local err = get(object, "error")
  if type(err) == "table" and rawget(err, 1) == nil then
    add_layer(w, object, err, depth)
    w.seen[err] = true
    follow(w, err, depth + 1)
    if text_in(err, "message", "error") == nil then follow(w, object, depth + 1) end
  elseif err ~= nil or text_in(object, "message", "Message", "msg", "detail", "title", "code",
    "type", "__type") or get(object, "detail") or get(object, "code") or get(object, "message") then
    local flat = err == nil and object or { message = text_in(object, "error", "message"),
      code = get(object, "code"), type = get(object, "type"), status = get(object, "status") }
    add_layer(w, object, flat, depth)
    follow(w, object, depth + 1)
  elseif depth == 0 then
    add_layer(w, object, object, depth) -- no error that we know of, but paths name its fields
  end
  for _, name in ipairs(outer) do
    local value = get(object, name)
    if type(value) == "table" then visit(w, value, depth + 1) end
  end
end

function visit(w, value, depth)
  if type(value) == "string" then return add_text(w, value, depth) end
  if type(value) ~= "table" or w.seen[value] or depth > MOST_DEPTH then return end
  w.seen[value] = true
  if rawget(value, 1) ~= nil then return add_list(w, value, depth) end
  add_object(w, value, depth)
end

-- A body too long to be decoded is read as a text.
local function decoded(body)
  if type(body) ~= "string" then return body end
  if #body <= MOST_BYTES and body:find '^%s*[%[{"]' then return decode(body) or body end
  return body
end

--- Reads a body: `layers`, the innermost first, each `{ body, error }` (the object and
--- the error in it, which are the same where it is flat); `texts`, its sentences, the
--- outermost first; `status`, the status of HTTP it names itself, of its deepest layer;
--- `body`, decoded where it is JSON.
---@param body any text, or a table
---@return table
function error_body.read(body)
  body = decoded(body)
  local w = { layers = {}, texts = {}, seen = {}, status_depth = -1 }
  visit(w, body, 0)
  local n = #w.layers
  for i = 1, n // 2 do w.layers[i], w.layers[n + 1 - i] = w.layers[n + 1 - i], w.layers[i] end
  return { layers = w.layers, texts = w.texts, status = w.status, body = body }
end

-- At most 500 bytes of a text, never half a character.
local function cut(text)
  text = text:match "^%s*(.*%S)" or ""
  if #text <= 500 then return text end
  local at = 500
  while at > 490 and text:find("^[\128-\191]", at + 1) do at = at - 1 end
  return text:sub(1, at) .. "…"
end

--- What the provider says in words, a router's words before them; nil when it says
--- nothing readable.
---@param body any text, or a table
---@return string?
function error_body.message(body)
  local texts = error_body.read(body).texts
  local first, last = texts[1], texts[#texts]
  if not first or not first:find "%S" or not utf8.len(first) then return nil end
  if last ~= first and not first:find(last, 1, true) and #first <= 100 then
    return cut(first .. ": " .. last)
  end
  return cut(first)
end

return error_body
