--- One turn of the mock: what it says to a request, whatever the dialect. Pure.
---
--- A dialect reads its request into an `ask`: model, said (the last text of the
--- user), input (tokens), stream, most (tokens of the answer), stop (list), tools (list
--- of { name, schema }), force (true, or a tool's name), result ({ name, text } when
--- a tool has answered), schema (of a JSON answer). The `turn` that comes back is written
--- down again by the dialect: text, reason (stop length sequence tool policy), calls (list of
--- { name, arguments }), input, output, cached, reasoning (tokens), id.
local json = require "keycycle.json"

local turn = {}

local WORDS = 3 -- words in one event of a stream
local LONG = "one two three four five six seven eight nine ten eleven twelve"
local usual = { string = "x", integer = 1, number = 1, boolean = true, null = json.null }

--- Tokens of a text: a quarter of its bytes, rounded up.
function turn.tokens(text)
  return -(-#text // 4)
end

local function table_or_empty(value)
  return type(value) == "table" and value or {}
end

--- A value that a JSON schema allows: what is required and no more.
function turn.fill(schema)
  if type(schema) ~= "table" then return "x" end
  if schema.const ~= nil then return schema.const end
  if table_or_empty(schema.enum)[1] ~= nil then return schema.enum[1] end
  local properties = table_or_empty(schema.properties)
  local kind = type(schema.type) == "table" and schema.type[1] or schema.type
  kind = tostring(kind or next(properties) and "object" or "string"):lower()
  if kind == "array" then return json.array { turn.fill(schema.items) } end
  if kind ~= "object" then return usual[kind] == nil and "x" or usual[kind] end
  local out = {}
  for _, name in ipairs(table_or_empty(schema.required)) do
    if type(name) == "string" then out[name] = turn.fill(properties[name]) end
  end
  return out
end

--- The events' pieces of a text; joined they are the text.
function turn.pieces(text)
  local words, pieces = {}, {}
  for word in text:gmatch "%s*%S+" do words[#words + 1] = word end
  for i = 1, #words, WORDS do
    pieces[#pieces + 1] = table.concat(words, "", i, math.min(i + WORDS - 1, #words))
  end
  return pieces
end

-- "mock:tool=a mock:tool=b" asks for these, "mock:tool" for the first, and "mock:then=c"
-- for one more when another has answered.
local function called(ask)
  local tools, calls = ask.tools or {}, {}
  if #tools == 0 then return calls end
  local function call(tool)
    calls[#calls + 1] = { name = tool.name, arguments = turn.fill(tool.schema or {}) }
  end
  local by_name = {}
  for _, tool in ipairs(tools) do by_name[tool.name] = tool end
  local last = ask.result and ask.result.name
  for name in ask.said:gmatch((ask.result and "mock:then" or "mock:tool") .. "=([%w_.-]+)") do
    if by_name[name] and name ~= last then call(by_name[name]) end
  end
  if #calls > 0 or ask.result then return calls end
  local wanted = ask.force
  if wanted == nil and ask.said:find "mock:tool%f[^%w]" and not ask.said:find "mock:tool=" then
    wanted = true
  end
  if wanted then call(by_name[wanted] or tools[1]) end
  return calls
end

local function asked_number(said, name)
  return math.tointeger(tonumber(said:match("mock:" .. name .. "=(%d+)"))) or 0
end

local function text_of(ask)
  if ask.result then
    return ("The tool %s said: %s"):format(ask.result.name or "?", ask.result.text)
  end
  if ask.schema then return json.encode(turn.fill(ask.schema)) end
  return "You said: " .. (ask.long and LONG or ask.said)
end

-- The text up to the first of the stop texts, and that one.
local function stopped(text, stops)
  local first, which
  for _, stop in ipairs(table_or_empty(stops)) do
    local at = type(stop) == "string" and stop ~= "" and text:find(stop, 1, true)
    if at and (not first or at < first) then first, which = at, stop end
  end
  return first and text:sub(1, first - 1) or text, which
end

--- What is said to `ask`.
function turn.take(ask)
  local t = { input = ask.input, reason = "stop", calls = called(ask), text = "",
    cached = math.min(asked_number(ask.said, "cached"), ask.input),
    reasoning = asked_number(ask.said, "reasoning"), model = ask.model }
  if ask.refused then
    t.reason, t.calls = "policy", {}
  elseif #t.calls > 0 then
    t.reason = "tool"
  else
    t.text, t.sequence = stopped(text_of(ask), ask.stop)
    if t.sequence then t.reason = "sequence" end
    if ask.most and turn.tokens(t.text) > ask.most then
      local cut = utf8.offset(t.text, 0, ask.most * 4 + 1) or ask.most * 4 + 1
      t.text, t.reason = t.text:sub(1, cut - 1), "length"
    end
  end
  t.output = turn.tokens(t.text) + t.reasoning
  for _, call in ipairs(t.calls) do
    t.output = t.output + turn.tokens(call.name) + turn.tokens(json.encode(call.arguments))
  end
  return t
end

--- A small vector that depends on the text alone.
function turn.vector(text, size)
  local vector, sum = {}, 0
  for i = 1, #text do sum = (sum * 31 + text:byte(i)) % 1000003 end
  for i = 1, size or 8 do vector[i] = ((sum * i) % 2000 - 1000) / 1000 end
  return vector
end

--- Seconds as a Go duration: `120ms`, `7.66s`, `6m0s`, `1h2m3.5s`.
function turn.duration(seconds)
  if seconds < 1 then return ("%dms"):format(math.ceil(seconds * 1000)) end
  local hundredths = math.ceil(seconds * 100 - 1e-6)
  local whole, minutes = hundredths // 100, hundredths // 6000
  local rest = (hundredths % 100 == 0 and "%ds" or "%d%ss"):format(whole % 60,
    (".%02d"):format(hundredths % 100):gsub("0$", ""))
  if minutes == 0 then return rest end
  if minutes < 60 then return ("%dm%s"):format(minutes, rest) end
  return ("%dh%dm%s"):format(minutes // 60, minutes % 60, rest)
end

--- Seconds since 1970 as RFC 3339, rounded up to a whole second.
function turn.instant(seconds)
  return os.date("!%Y-%m-%dT%H:%M:%SZ", math.ceil(seconds))
end

--- A positive whole number, or nil.
function turn.whole(value)
  local n = math.tointeger(value)
  return n and n > 0 and n or nil
end

return turn
