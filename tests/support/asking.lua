--- How each wire form is asked and read, natively: all that differs between them, so
--- that one spec asks all providers alike. A form is a table:
---   call(client, stream)      the path of the face
---   request(model, text, stream)  a native request, with a tool; `in_path`: its fields
---                             that the route takes out of the body
---   text(response), said(chunk)   the text of an answer, and of a chunk (nil: none)
---   tool(response)            name and arguments (a table) of its tool call
---   piece(chunk)              name and piece of arguments of a streamed tool call
---   protocol                  the module that reads it; `as`: its name in `protocols`
local keycycle = require "keycycle"

local asking = {}

local SCHEMA = { type = "object", required = { "city", "days" },
  properties = { city = { type = "string" }, days = { type = "integer" } } }

--- The tool that every request offers, and what the mock calls it with.
asking.TOOL = { name = "weather", description = "The weather of a city", parameters = SCHEMA }
asking.ARGUMENTS = { city = "x", days = 1 }

local SAID = "Be brief."

local function openai_tools()
  return { { type = "function", ["function"] = asking.TOOL } }
end

local function of_json(text)
  return keycycle.json.decode(text)
end

asking.chat = {
  as = "chat",
  call = function(client) return client.chat.completions.create end,
  request = function(model, text, stream)
    return { model = model, temperature = 0.5, max_tokens = 64, tools = openai_tools(),
      messages = { { role = "system", content = SAID }, { role = "user", content = text } },
      stream = stream, stream_options = stream and { include_usage = true } or nil }
  end,
  text = function(response) return response.choices[1].message.content end,
  said = function(chunk) return chunk.choices[1] and chunk.choices[1].delta.content end,
  tool = function(response)
    local call = response.choices[1].message.tool_calls[1]["function"]
    return call.name, of_json(call.arguments)
  end,
  piece = function(chunk)
    local choice = chunk.choices[1]
    local call = choice and choice.delta.tool_calls and choice.delta.tool_calls[1]["function"]
    if call then return call.name, call.arguments end
  end,
}

--- As `chat`, of servers that tell the usage unasked, or refuse to be asked for it.
asking.chat_unasked = {}
for k, v in pairs(asking.chat) do asking.chat_unasked[k] = v end
function asking.chat_unasked.request(...)
  local request = asking.chat.request(...)
  request.stream_options = nil
  return request
end

asking.responses = {
  as = "responses",
  call = function(client) return client.responses.create end,
  request = function(model, text, stream)
    local tool = { type = "function", strict = false }
    for k, v in pairs(asking.TOOL) do tool[k] = v end
    return { model = model, instructions = SAID, temperature = 0.5, max_output_tokens = 64,
      input = { { role = "user", content = text } }, tools = { tool }, stream = stream }
  end,
  text = function(response) return response.output[1].content[1].text end,
  said = function(event)
    return event.type == "response.output_text.delta" and event.delta or nil
  end,
  tool = function(response)
    local call = response.output[1]
    return call.type == "function_call" and call.name, of_json(call.arguments)
  end,
  piece = function(event)
    if event.type == "response.output_item.added" then return event.item.name end
    if event.type == "response.function_call_arguments.delta" then return nil, event.delta end
  end,
}

asking.messages = {
  as = "chat",
  call = function(client) return client.messages.create end,
  request = function(model, text, stream)
    return { model = model, system = SAID, messages = { { role = "user", content = text } },
      temperature = 0.5, max_tokens = 64, stream = stream, tools = { { name = asking.TOOL.name,
        description = asking.TOOL.description, input_schema = SCHEMA } } }
  end,
  text = function(response) return response.content[1].text end,
  said = function(chunk) return chunk.delta and chunk.delta.text end,
  tool = function(response)
    local block = response.content[1]
    return block.type == "tool_use" and block.name, block.input
  end,
  piece = function(chunk)
    if chunk.type == "content_block_start" then return chunk.content_block.name end
    if chunk.type == "content_block_delta" then return nil, chunk.delta.partial_json end
  end,
}

asking.contents = {
  as = "chat", in_path = { "model", "stream" },
  call = function(client) return client.models.generate_content end,
  request = function(model, text, stream)
    return { model = model, systemInstruction = { parts = { { text = SAID } } },
      contents = { { role = "user", parts = { { text = text } } } }, stream = stream,
      generationConfig = { temperature = 0.5, maxOutputTokens = 64 },
      tools = { { functionDeclarations = { asking.TOOL } } } }
  end,
  text = function(response) return response.candidates[1].content.parts[1].text end,
  said = function(chunk) return chunk.candidates[1].content.parts[1].text end,
  tool = function(response)
    local call = response.candidates[1].content.parts[1].functionCall
    return call.name, call.args
  end,
  piece = function(chunk)
    local call = chunk.candidates[1].content.parts[1].functionCall
    if call then return call.name, keycycle.json.encode(call.args) end
  end,
}

asking.cohere = {
  as = "chat",
  call = function(client) return client.chat end,
  request = function(model, text, stream)
    return { model = model, temperature = 0.5, max_tokens = 64, tools = openai_tools(),
      messages = { { role = "system", content = SAID }, { role = "user", content = text } },
      stream = stream }
  end,
  text = function(response) return response.message.content[1].text end,
  said = function(chunk)
    return chunk.type == "content-delta" and chunk.delta.message.content.text or nil
  end,
  tool = function(response)
    local call = response.message.tool_calls[1]["function"]
    return call.name, of_json(call.arguments)
  end,
  piece = function(chunk)
    if not chunk.type:find "^tool%-call" or chunk.type == "tool-call-end" then return end
    local call = chunk.delta.message.tool_calls["function"]
    return call.name, call.arguments
  end,
}

asking.analyze = {
  as = "chat",
  call = function(client, stream) return stream and client.analyze_stream or client.analyze end,
  request = function(_, text, stream)
    return { video_id = "mock-video-1", prompt = text, temperature = 0.5, max_tokens = 64,
      stream = stream or false }
  end,
  text = function(response) return response.data end,
  said = function(chunk) return chunk.text end,
}

return asking
