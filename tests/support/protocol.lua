--- For the specs of protocols: native JSON beside neutral tables, streams played to
--- their end, and every way in which an answer can be malformed.
local keycycle = require "keycycle"
local collect = require "keycycle.protocol.collect"
local core = require "keycycle.core"

local protocol = {}

--- JSON as a program receives it: null is absent.
function protocol.native(text)
  return assert(core.json.decode(text, { null = "absent" }))
end

--- What goes over the wire for an encoded request.
function protocol.wire(encoded)
  return protocol.native(keycycle.json.encode(encoded.json))
end

--- The text of an error that a call raises; it must be a text without a position.
function protocol.refusal(encode, request, options)
  local ok, why = pcall(encode, request, options)
  assert(not ok, "nothing was refused")
  assert(type(why) == "string", "an error is a plain text")
  assert(not why:find "%.lua:%d", "an error has no position: " .. why)
  return why
end

--- The events of a stream, each `{ kind, data }`, given as server-sent events or as
--- JSON a line. A line that is indented goes on with the one before.
function protocol.events(text)
  local events, kind = {}, "message"
  for line in text:gsub("\n +", ""):gmatch "[^\n]+" do
    local data = line:match "^data: (.*)$" or line:match "^({.*)$"
    kind = line:match "^event: (.*)$" or kind
    if data and data ~= "[DONE]" then
      events[#events + 1] = { kind = kind, data = protocol.native(data) }
      kind = "message"
    end
  end
  return events
end

--- Plays a stream: the chunks, and the response that they make.
function protocol.play(module, text)
  local state, chunks, collector = {}, {}, collect.new()
  for _, event in ipairs(protocol.events(text)) do
    local chunk = module.event(event.kind, event.data, state)
    chunks[#chunks + 1] = chunk
    collector:add(chunk)
  end
  return chunks, collector:response()
end

local reasons = { stop = true, length = true, tool_calls = true, content_filter = true }

local function check_usage(usage)
  if usage == nil then return end
  for name, value in pairs(usage) do
    assert(math.type(value) == "integer" and value >= 0, name .. " is no count")
  end
  assert(usage.total_tokens == usage.input_tokens + usage.output_tokens, "the sum is wrong")
end

local function check_response(response)
  assert(type(response.content) == "string", "content is no text")
  for _, call in ipairs(response.tool_calls) do
    assert(type(call.id) == "string" and type(call.name) == "string")
    assert(type(call.arguments) == "table")
  end
  assert(reasons[response.finish_reason], "no finish_reason")
  check_usage(response.usage)
end

local function check_chunk(chunk)
  if chunk == nil then return end
  assert(chunk.text == nil or type(chunk.text) == "string")
  assert(chunk.reasoning == nil or type(chunk.reasoning) == "string")
  assert(chunk.finish_reason == nil or reasons[chunk.finish_reason])
  for _, call in ipairs(chunk.tool_calls or {}) do
    assert(math.type(call.index) == "integer" and type(call.arguments) == "string")
  end
  check_usage(chunk.usage)
end

local odd = { false, true, 5, -1, 0.5, 1e300, 0 / 0, "x", "", "{", {}, { {} }, { 1, "a" },
  keycycle.json.null, function() end }

local function copy(value)
  if type(value) ~= "table" then return value end
  local out = setmetatable({}, getmetatable(value))
  for k, v in pairs(value) do out[k] = copy(v) end
  return out
end

--- Calls visit(value) for a value and for each copy of it in which one field, at any
--- depth, is absent or something odd.
function protocol.malformed(value, visit)
  local whole = copy(value)
  visit(whole)
  local function walk(at)
    local names = {}
    for k in pairs(at) do names[#names + 1] = k end
    for _, k in ipairs(names) do
      local kept = at[k]
      at[k] = nil
      visit(whole)
      for _, other in ipairs(odd) do
        at[k] = other
        visit(whole)
      end
      at[k] = kept
      if type(kept) == "table" then walk(kept) end
    end
  end
  if type(whole) == "table" then walk(whole) end
  for _, other in ipairs(odd) do visit(other) end
end

--- Checks that whatever becomes of these answers, events and native requests, the
--- module raises nothing and keeps to the neutral form.
---@param cases table `{ answers, events, requests }`, lists of native tables
function protocol.check_robust(module, cases)
  for _, body in ipairs(cases.answers or {}) do
    protocol.malformed(body, function(value)
      if not cases.other then check_response(module.decode(value)) else module.decode(value) end
      check_usage(module.usage(value))
      if module.failure then assert(type(module.failure(value)) == "boolean") end
    end)
  end
  for i in ipairs(cases.events or {}) do
    protocol.malformed(cases.events[i].data, function(value)
      local state = {}
      for j, event in ipairs(cases.events) do
        local data = event.data
        if i == j then data = value end
        check_chunk(module.event(event.kind, data, state))
      end
    end)
  end
  for _, request in ipairs(cases.requests or {}) do
    protocol.malformed(request, function(value)
      local tokens = module.estimate(value)
      assert(math.type(tokens) == "integer" and tokens >= module.estimate_input(value))
    end)
  end
end

return protocol
