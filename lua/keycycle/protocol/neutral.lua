--- Reading a neutral request: what the protocols' `encode` share.
---
--- Pure. What cannot be read raises a plain text that names the field, without a
--- position: callers make their error of it.
local core = require "keycycle.core"

local neutral = {}

local json = core.json
local roles = { system = true, user = true, assistant = true, tool = true }

--- Raises a plain text.
function neutral.fail(format, ...)
  error(format:format(...), 0)
end

local fail = neutral.fail

local function text_in(value, where)
  if type(value) ~= "string" then fail("%s must be a text, not a %s", where, type(value)) end
  return value
end

local function name_in(value, where)
  if value == nil or value == "" then fail("%s is missing", where) end
  return text_in(value, where)
end

local function list_in(value, where)
  if type(value) ~= "table" then fail("%s must be a list, not a %s", where, type(value)) end
  return value
end

local function table_in(value, where)
  if type(value) ~= "table" then fail("%s must be a table, not a %s", where, type(value)) end
  return value
end

-- An image is a url, or base64 data with its media type; a data: url is the second.
local function image_in(part, where)
  local url, data = part.url, part.data
  if data ~= nil then
    return { type = "image", data = text_in(data, where .. ".data"),
      media_type = name_in(part.media_type, where .. ".media_type") }
  end
  name_in(url, where .. ".url")
  local media_type, inside = url:match "^data:([^;,]*);base64,(.*)$"
  if inside then return { type = "image", data = inside, media_type = media_type } end
  return { type = "image", url = url, media_type = part.media_type }
end

local function parts_in(content, where)
  if type(content) == "string" then return { { type = "text", text = content } } end
  if type(content) ~= "table" then
    fail("%s must be a text or a list of parts, not a %s", where, type(content))
  end
  if #content == 0 and next(content) ~= nil then
    fail("%s must be a list of parts: put this one into { }", where)
  end
  local parts = {}
  for i = 1, #content do
    local part = content[i]
    local at = ("%s[%d]"):format(where, i)
    if type(part) == "string" then
      parts[i] = { type = "text", text = part }
    elseif type(part) ~= "table" then
      fail("%s must be a part, not a %s", at, type(part))
    elseif part.type == "text" then
      parts[i] = { type = "text", text = text_in(part.text, at .. ".text") }
    elseif part.type == "image" then
      parts[i] = image_in(part, at)
    else
      fail("%s.type is %s; a part is text or image", at, tostring(part.type))
    end
  end
  return parts
end

-- Arguments may also be given as their JSON, as OpenAI's wire has them.
local function arguments_in(value, where)
  if value == nil then return {} end
  if type(value) == "string" then
    value = json.decode(value, { null = "absent" })
  end
  if type(value) ~= "table" then fail("%s must be a table", where) end
  return value
end

local function calls_in(message, where)
  local calls = {}
  if message.tool_calls == nil then return calls end
  for i, call in ipairs(list_in(message.tool_calls, where .. ".tool_calls")) do
    local at = ("%s.tool_calls[%d]"):format(where, i)
    if type(call) ~= "table" then fail("%s must be a table, not a %s", at, type(call)) end
    calls[i] = {
      id = name_in(call.id, at .. ".id"), name = name_in(call.name, at .. ".name"),
      arguments = arguments_in(call.arguments, at .. ".arguments"), extra = call.extra,
    }
  end
  return calls
end

local function message_in(message, where)
  if type(message) ~= "table" then fail("%s must be a table, not a %s", where, type(message)) end
  local role, content = message.role, message.content
  if not roles[role] then
    fail("%s.role is %s; it must be system, user, assistant or tool", where, tostring(role))
  end
  local calls = role == "assistant" and calls_in(message, where) or {}
  if content == nil then
    if role ~= "assistant" then fail("%s.content is missing", where) end
    content = ""
  end
  if role == "tool" then name_in(message.tool_call_id, where .. ".tool_call_id") end
  local parts = parts_in(content, where .. ".content")
  if #parts == 0 and role ~= "assistant" then fail("%s.content is empty", where) end
  return {
    role = role, parts = parts, calls = calls, where = where,
    tool_call_id = message.tool_call_id, name = message.name, reasoning = message.reasoning,
    extra = type(message.extra) == "table" and message.extra or {},
  }
end

--- The messages, checked, each as `{ role, parts, calls, tool_call_id, name,
--- reasoning, extra, where }`: content is always parts, `calls` always a list.
---@return table list
function neutral.messages(request)
  local messages = list_in(request.messages, "messages")
  if #messages == 0 then fail "messages is empty" end
  local out = {}
  for i = 1, #messages do -- a gap is no end: what stands behind it must not be lost
    out[i] = message_in(messages[i], ("messages[%d]"):format(i))
  end
  return out
end

--- The text of a checked message. Images raise: where this is called they have no
--- place.
---@param between? string what stands between two parts, default nothing
function neutral.text_of(message, between)
  local texts = {}
  for i, part in ipairs(message.parts) do
    if part.type ~= "text" then
      fail("%s.content[%d]: an image has no place in a %s message here", message.where, i,
        message.role)
    end
    texts[i] = part.text
  end
  return table.concat(texts, between or "")
end

--- Whether a checked message holds text only.
function neutral.is_text(message)
  for _, part in ipairs(message.parts) do
    if part.type ~= "text" then return false end
  end
  return true
end

--- The system messages' texts, joined by blank lines; nil where there are none.
function neutral.system_text(messages)
  local texts = {}
  for _, message in ipairs(messages) do
    if message.role == "system" then texts[#texts + 1] = neutral.text_of(message) end
  end
  return #texts > 0 and table.concat(texts, "\n\n") or nil
end

--- An image as one url.
function neutral.image_url(part)
  return part.url or ("data:%s;base64,%s"):format(part.media_type, part.data)
end

--- The model's name.
function neutral.model(request)
  return name_in(request.model, "model")
end

--- The tools, checked, each `{ name, description, parameters, strict }`; nil: none.
--- A tool without parameters takes an empty object.
function neutral.tools(request)
  if request.tools == nil then return nil end
  local tools = {}
  for i, tool in ipairs(list_in(request.tools, "tools")) do
    local at = ("tools[%d]"):format(i)
    if type(tool) ~= "table" then fail("%s must be a table, not a %s", at, type(tool)) end
    local parameters = tool.parameters or { type = "object", properties = {} }
    tools[i] = {
      name = name_in(tool.name, at .. ".name"), description = tool.description,
      parameters = table_in(parameters, at .. ".parameters"), strict = tool.strict,
    }
  end
  return #tools > 0 and tools or nil
end

--- The choice among tools: "auto", "none", "required", or `{ name }` of one of
--- them. nil where there is nothing to choose from: servers refuse the field then.
function neutral.tool_choice(request, tools)
  local choice = request.tool_choice
  if choice == nil or not tools then return nil end
  if choice == "auto" or choice == "none" or choice == "required" then return choice end
  if type(choice) ~= "table" then
    fail "tool_choice must be auto, none, required or { name = … }"
  end
  local name = name_in(choice.name, "tool_choice.name")
  for _, tool in ipairs(tools) do
    if tool.name == name then return { name = name } end
  end
  fail("tool_choice.name is %q, which is none of the tools", name)
end

--- The form of the answer: `{ type = "json" }`, or `{ type = "json_schema", name,
--- schema, strict }`; nil: text.
function neutral.response_format(request)
  local format = request.response_format
  if format == nil then return nil end
  table_in(format, "response_format")
  if format.type == "text" then return nil end
  if format.type == "json" then return { type = "json" } end
  if format.type ~= "json_schema" then
    fail("response_format.type is %s; it must be text, json or json_schema", tostring(format.type))
  end
  if type(format.schema) ~= "table" then fail "response_format.schema must be a table" end
  return { type = "json_schema", name = format.name or "answer", schema = format.schema,
    strict = format.strict }
end

--- The texts that stop the answer, as a list; nil: none.
function neutral.stop(request)
  local stop = request.stop
  if stop == nil then return nil end
  if type(stop) == "string" then return { stop } end
  for i, text in ipairs(list_in(stop, "stop")) do text_in(text, ("stop[%d]"):format(i)) end
  return #stop > 0 and stop or nil
end

--- A number of the request, or nil.
function neutral.number(request, name)
  local value = request[name]
  if value ~= nil and type(value) ~= "number" then
    fail("%s must be a number, not a %s", name, type(value))
  end
  return value
end

--- A whole number above zero of the request, or nil.
function neutral.count(request, name)
  local value = neutral.number(request, name)
  if value == nil then return nil end
  local whole = math.tointeger(value)
  if not whole or whole < 1 then fail("%s must be a whole number above zero", name) end
  return whole
end

--- The texts of an `input`: one or a list.
function neutral.texts(value, where)
  if type(value) == "string" then return { value } end
  if value == nil then fail("%s is missing", where) end
  for i, text in ipairs(list_in(value, where)) do text_in(text, ("%s[%d]"):format(where, i)) end
  if #value == 0 then fail("%s is empty", where) end
  return value
end

--- `kind` of a request for embeddings: "query", "document" or nil.
function neutral.kind(request)
  local kind = request.kind
  if kind ~= nil and kind ~= "query" and kind ~= "document" then
    fail "kind must be query or document"
  end
  return kind
end

--- Merges `extra`, the native fields that the caller adds, over a body.
---@return table body
function neutral.merge(body, extra)
  if extra == nil then return body end
  for name, value in pairs(table_in(extra, "extra")) do body[name] = value end
  return body
end

-- FNV-1a, 64 bits.
local function hash(text)
  local h = 0xcbf29ce484222325
  for i = 1, #text do h = (h ~ text:byte(i)) * 0x100000001b3 end
  return h
end

local alphanumerics = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

--- The id of a tool call in the form that a server takes. One that fits stays; any
--- other becomes the same new one each time, in the call and in its result.
---@param id string
---@param pattern string what an id that fits matches as a whole
---@param most integer the longest that fits
---@param least? integer the shortest, default 1
function neutral.tool_id(id, pattern, most, least)
  if #id <= most and #id >= (least or 1) and id:find("^" .. pattern .. "$") then return id end
  local h, out = hash(id), {}
  for i = 1, math.min(most, 9) do
    local rest = (h >> 1) // 31 -- h // 62, where h is without a sign
    local digit = h - 62 * rest
    out[i] = alphanumerics:sub(digit + 1, digit + 1)
    h = rest
  end
  return table.concat(out)
end

return neutral
