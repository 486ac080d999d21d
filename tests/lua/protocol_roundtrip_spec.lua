-- A conversation with tools goes through each dialect and on in each other one. What a
-- server would understand of a request is read here by hand, without the modules.
local collect = require "keycycle.protocol.collect"
local core = require "keycycle.core"
local keycycle = require "keycycle"
local support = require "tests.support.protocol"

local json = keycycle.json

local function arguments(text) return json.decode(text) end

local function texts(content)
  if type(content) == "string" then return content end
  local out = {}
  for _, part in ipairs(content or {}) do
    if part.text then out[#out + 1] = part.text end
  end
  return table.concat(out)
end

-- Each server reads a request into lines { "user", text }, { "call", id, name,
-- arguments }, { "result", id or name, text }, and answers with a call or a text.
local servers = {}

local function read_openai(request)
  local lines = {}
  for _, m in ipairs(request.messages) do
    local text = texts(m.content)
    if m.role == "tool" then
      lines[#lines + 1] = { "result", m.tool_call_id, text }
    elseif text ~= "" then
      lines[#lines + 1] = { m.role, text }
    end
    for _, call in ipairs(m.tool_calls or {}) do
      lines[#lines + 1] = { "call", call.id, call["function"].name,
        arguments(call["function"].arguments) }
    end
  end
  return lines
end

local function openai_calls(calls)
  local out = {}
  for i, call in ipairs(calls) do
    out[i] = { id = call.id, type = "function",
      ["function"] = { name = call.name, arguments = json.encode(call.arguments) } }
  end
  return out
end

servers.openai_chat = { read = read_openai, call = function(calls)
  return { choices = { { message = { tool_calls = openai_calls(calls) },
    finish_reason = "tool_calls" } } }
end, say = function(text)
  return { choices = { { message = { content = text }, finish_reason = "stop" } } }
end }

servers.cohere = { read = read_openai, call = function(calls)
  return { message = { tool_plan = "I will.", tool_calls = openai_calls(calls) },
    finish_reason = "TOOL_CALL" }
end, say = function(text)
  return { message = { content = { { type = "text", text = text } } }, finish_reason = "COMPLETE" }
end }

servers.openai_responses = { read = function(request)
  local lines = {}
  if request.instructions then lines[1] = { "system", request.instructions } end
  for _, item in ipairs(request.input) do
    if item.type == "function_call" then
      lines[#lines + 1] = { "call", item.call_id, item.name, arguments(item.arguments) }
    elseif item.type == "function_call_output" then
      lines[#lines + 1] = { "result", item.call_id, item.output }
    else
      lines[#lines + 1] = { item.role, texts(item.content) }
    end
  end
  return lines
end, call = function(calls)
  local out = { { type = "reasoning", id = "rs_1", summary = {} } }
  for _, call in ipairs(calls) do
    out[#out + 1] = { type = "function_call", id = "fc_1", call_id = call.id, name = call.name,
      arguments = json.encode(call.arguments) }
  end
  return { status = "completed", output = out }
end, say = function(text)
  return { status = "completed",
    output = { { type = "message", content = { { type = "output_text", text = text } } } } }
end }

servers.anthropic = { read = function(request)
  local lines = {}
  if request.system then lines[1] = { "system", request.system } end
  local last
  for _, m in ipairs(request.messages) do
    assert.not_equal(last, m.role, "roles alternate")
    last = m.role
    local blocks = type(m.content) == "table" and m.content or {}
    if type(m.content) == "string" then lines[#lines + 1] = { m.role, m.content } end
    for _, block in ipairs(blocks) do
      if block.type == "text" then
        lines[#lines + 1] = { m.role, block.text }
      elseif block.type == "tool_use" then
        assert.matches("^[%w_-]+$", block.id)
        lines[#lines + 1] = { "call", block.id, block.name, block.input }
      elseif block.type == "tool_result" then
        lines[#lines + 1] = { "result", block.tool_use_id, block.content }
      end
    end
  end
  return lines
end, call = function(calls)
  local content = { { type = "thinking", thinking = "hm", signature = "c2ln" } }
  for _, call in ipairs(calls) do
    content[#content + 1] = { type = "tool_use", id = call.id, name = call.name,
      input = call.arguments }
  end
  return { content = content, stop_reason = "tool_use" }
end, say = function(text)
  return { content = { { type = "text", text = text } }, stop_reason = "end_turn" }
end }

servers.gemini = { read = function(request)
  local lines = {}
  if request.systemInstruction then
    lines[1] = { "system", texts(request.systemInstruction.parts) }
  end
  for _, content in ipairs(request.contents) do
    local role = content.role == "model" and "assistant" or content.role
    for _, part in ipairs(content.parts) do
      if part.text then
        lines[#lines + 1] = { role, part.text }
      elseif part.functionCall then
        lines[#lines + 1] = { "call", part.functionCall.name, part.functionCall.name,
          part.functionCall.args }
      else
        lines[#lines + 1] = { "result", part.functionResponse.name,
          part.functionResponse.response.output }
      end
    end
  end
  return lines
end, call = function(calls)
  local parts = {}
  for i, call in ipairs(calls) do
    parts[i] = { functionCall = { name = call.name, args = call.arguments },
      thoughtSignature = i == 1 and "c2ln" or nil }
  end
  return { responseId = "r", candidates = { { content = { parts = parts },
    finishReason = "STOP" } } }
end, say = function(text)
  return { candidates = { { content = { parts = { { text = text } } }, finishReason = "STOP" } } }
end }

local names = { "openai_chat", "openai_responses", "anthropic", "gemini", "cohere" }

local function module(name) return require("keycycle.protocol." .. name) end

-- Results stand for the calls before them: their ids become the calls' places.
local function paired(lines)
  local place, count = {}, 0
  for _, line in ipairs(lines) do
    if line[1] == "call" then
      count = count + 1
      place[line[2]] = count
      line[2] = count
    elseif line[1] == "result" then
      assert.is_not_nil(place[line[2]], "a result belongs to a call before it")
      line[2] = place[line[2]]
    end
  end
  return lines
end

local function understood(name, request, options)
  local encoded = module(name).encode(request, options)
  return paired(servers[name].read(support.native(json.encode(encoded.json))))
end

local tools = { { name = "weather" }, { name = "now" } }
local calls = {
  { id = "call_abc", name = "weather", arguments = { town = "Rome", days = { 1, 2 } } },
  { id = "call_def", name = "now", arguments = {} },
}

-- The conversation up to the results, where `name` has made the calls.
local function begun(name)
  local messages = { { role = "system", content = "Be brief." },
    { role = "user", content = "Weather?" } }
  local body = support.native(json.encode(servers[name].call(calls)))
  local response = module(name).decode(body)
  assert.equal("tool_calls", response.finish_reason)
  messages[3] = collect.message(response)
  for i, call in ipairs(response.tool_calls) do
    messages[#messages + 1] = { role = "tool", tool_call_id = call.id, content = "result " .. i }
  end
  return messages
end

describe("a conversation with tools #pure", function()
  for _, first in ipairs(names) do
    for _, second in ipairs(names) do
      it(("that began in %s is understood in %s"):format(first, second), function()
        local messages = begun(first)
        local lines = understood(second, { model = "m", messages = messages, tools = tools })
        assert.same({ { "system", "Be brief." }, { "user", "Weather?" },
          { "call", 1, "weather", { town = "Rome", days = { 1, 2 } } }, { "call", 2, "now", {} },
          { "result", 1, "result 1" }, { "result", 2, "result 2" } }, lines)
        local said = module(second).decode(support.native(json.encode(
          servers[second].say "It is sunny.")))
        assert.same({ "It is sunny.", "stop", {} },
          { said.content, said.finish_reason, said.tool_calls })
      end)
    end
  end

  it("keeps what is one dialect's own out of every other", function()
    for _, first in ipairs(names) do
      for _, second in ipairs(names) do
        local encoded = module(second).encode { model = "m", messages = begun(first) }
        local text = json.encode(encoded.json)
        local own = first == second and (first == "anthropic" or first == "gemini")
        assert.equal(own, text:find("c2ln", 1, true) ~= nil, first .. " in " .. second)
        assert.is_nil(text:find("rs_1", 1, true))
      end
    end
  end)

  it("may have ids of any form, which stay apart and belong together", function()
    local ids = { "", "a", "toolu_01A09q90qw90lq917835lq9", "call:1/2", "ü ö", ("x"):rep(300),
      "123456789", "12345678", "a\nb" }
    for _, name in ipairs(names) do
      for i = 2, #ids do
        for j = 2, #ids do
          if i ~= j then
            local lines = understood(name, { model = "m", messages = {
              { role = "user", content = "Go." },
              { role = "assistant", tool_calls = { { id = ids[i], name = "weather" },
                { id = ids[j], name = "now" } } },
              { role = "tool", tool_call_id = ids[j], content = "second" },
              { role = "tool", tool_call_id = ids[i], content = "first" } } },
              name == "openai_chat" and j % 2 == 0 and { tool_id_length = 9 } or nil)
            -- Gemini has its results in the order of their calls.
            if lines[4][2] == 1 then lines[4], lines[5] = lines[5], lines[4] end
            assert.same({ { "user", "Go." }, { "call", 1, "weather", {} }, { "call", 2, "now", {} },
              { "result", 2, "second" }, { "result", 1, "first" } }, lines)
          end
        end
      end
    end
  end)

  it("has the same calls whether they came whole or as a stream", function()
    local text = json.encode(calls[1].arguments)
    for cut = 1, #text - 1 do
      local collector = collect.new()
      collector:add { tool_call = { index = 1, id = "call_abc", name = "weather",
        arguments = text:sub(1, cut) } }
      collector:add { tool_call = { index = 1, arguments = text:sub(cut + 1) } }
      assert.same(calls[1], collector:response().tool_calls[1])
    end
    assert.is_table(core.json.decode(text))
  end)
end)
