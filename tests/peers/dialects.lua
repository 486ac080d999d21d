--- How each provider is asked, and where its answers have what the specs look for:
--- all that differs between them, so that one spec asks all alike. A second path of a
--- provider names it as `provider`.
local keycycle = require "keycycle"

local parameters = { type = "object", properties = { city = { type = "string" } } }
local WEATHER = { name = "get_weather", description = "The weather", parameters = parameters }

local function merged(base, more)
  local out = {}
  for k, v in pairs(base) do out[k] = v end
  for k, v in pairs(more) do out[k] = v end
  return out
end

local openai = {
  protocol = "openai_chat", model = "gpt-4o-mini", auth = "authorization",
  ask = function(client) return client.chat.completions.create end,
  request = function(text, stream)
    return { messages = { { role = "system", content = "Be brief." },
      { role = "user", content = text } }, temperature = 0.5, max_tokens = 64,
      tools = { { type = "function", ["function"] = WEATHER } }, stream = stream,
      stream_options = stream and { include_usage = true } or nil }
  end,
  text = function(response) return response.choices[1].message.content end,
  said = function(chunk) return chunk.choices[1] and chunk.choices[1].delta.content end,
  tool = function(response)
    local call = response.choices[1].message.tool_calls[1]["function"]
    return call.name, keycycle.json.decode(call.arguments)
  end,
  tool_piece = function(chunk)
    local choice = chunk.choices[1]
    local call = choice and choice.delta.tool_calls and choice.delta.tool_calls[1]
    if call then return call["function"].name, call["function"].arguments end
  end,
  embed = function(client, texts)
    local response = client.embeddings:create { model = "text-embedding-3-small", input = texts }
    return { response.data[1].embedding, response.data[2].embedding }
  end,
}

local function openai_at(base, more)
  return merged(openai, merged({ base = base, path = base .. "/chat/completions",
    embed_path = base .. "/embeddings" }, more))
end

local responses = {
  provider = "openai", protocol = "openai_responses", base = "/v1", path = "/v1/responses",
  model = "gpt-4o-mini", auth = "authorization",
  ask = function(client) return client.responses.create end,
  request = function(text, stream)
    return { instructions = "Be brief.", input = { { role = "user", content = text } },
      temperature = 0.5, max_output_tokens = 64, stream = stream,
      tools = { merged({ type = "function" }, WEATHER) } }
  end,
  text = function(response) return response.output[1].content[1].text end,
  said = function(event)
    return event.type == "response.output_text.delta" and event.delta or nil
  end,
  tool = function(response)
    local call = response.output[1]
    return call.type == "function_call" and call.name, keycycle.json.decode(call.arguments)
  end,
  tool_piece = function(event)
    if event.type == "response.output_item.added" then return event.item.name end
    if event.type == "response.function_call_arguments.delta" then return nil, event.delta end
  end,
}

local anthropic = {
  protocol = "anthropic", base = "/v1", path = "/v1/messages", model = "claude-sonnet-4-5",
  auth = "x-api-key",
  headers = { ["anthropic-version"] = "2023-06-01" },
  ask = function(client) return client.messages.create end,
  request = function(text, stream)
    return { system = "Be brief.", messages = { { role = "user", content = text } },
      temperature = 0.5, max_tokens = 64, stream = stream,
      tools = { { name = WEATHER.name, description = WEATHER.description,
        input_schema = parameters } } }
  end,
  text = function(response) return response.content[1].text end,
  said = function(chunk) return chunk.delta and chunk.delta.text end,
  tool = function(response)
    local block = response.content[1]
    return block.type == "tool_use" and block.name, block.input
  end,
  tool_piece = function(chunk)
    if chunk.type == "content_block_start" then return chunk.content_block.name end
    if chunk.type == "content_block_delta" then return nil, chunk.delta.partial_json end
  end,
}

local gemini = {
  protocol = "gemini", base = "/v1beta", model = "gemini-2.5-flash", auth = "x-goog-api-key",
  path = "/v1beta/models/gemini-2.5-flash:generateContent",
  stream_path = "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
  talks_at_once = true, -- its first event has text
  ask = function(client, stream)
    if stream then return client.models.generate_content_stream end
    return client.models.generate_content
  end,
  request = function(text)
    return { systemInstruction = { parts = { { text = "Be brief." } } },
      contents = { { role = "user", parts = { { text = text } } } },
      generationConfig = { temperature = 0.5, maxOutputTokens = 64 },
      tools = { { functionDeclarations = { WEATHER } } } }
  end,
  text = function(response) return response.candidates[1].content.parts[1].text end,
  said = function(chunk) return chunk.candidates[1].content.parts[1].text end,
  tool = function(response)
    local call = response.candidates[1].content.parts[1].functionCall
    return call.name, call.args
  end,
  tool_piece = function(chunk)
    local call = chunk.candidates[1].content.parts[1].functionCall
    if call then return call.name, keycycle.json.encode(call.args) end
  end,
  embed_path = "/v1beta/models/gemini-embedding-001:embedContent",
  embed = function(client, texts)
    local vectors = {}
    for i, text in ipairs(texts) do
      vectors[i] = client.models:embed_content { model = "gemini-embedding-001",
        content = { parts = { { text = text } } } }.embedding.values
    end
    return vectors
  end,
}

local cohere = {
  protocol = "cohere", base = "", path = "/v2/chat", model = "command-a-03-2025",
  auth = "authorization",
  ask = function(client) return client.chat end,
  request = function(text, stream)
    return { messages = { { role = "system", content = "Be brief." },
      { role = "user", content = text } }, temperature = 0.5, max_tokens = 64,
      tools = { { type = "function", ["function"] = WEATHER } }, stream = stream }
  end,
  text = function(response) return response.message.content[1].text end,
  said = function(chunk)
    return chunk.type == "content-delta" and chunk.delta.message.content.text or nil
  end,
  tool = function(response)
    local call = response.message.tool_calls[1]["function"]
    return call.name, keycycle.json.decode(call.arguments)
  end,
  tool_piece = function(chunk)
    if not chunk.type:find "^tool%-call" or chunk.type == "tool-call-end" then return end
    local call = chunk.delta.message.tool_calls["function"]
    return call.name, call.arguments
  end,
  embed_path = "/v2/embed",
  embed = function(client, texts)
    return client:embed { model = "embed-v4.0", input_type = "search_document", texts = texts,
      embedding_types = { "float" } }.embeddings.float
  end,
}

local azure = "/openai/deployments/gpt-4o-mini"
local version = "?api-version=2024-10-21"

return {
  openai = openai_at("/v1", {}),
  groq = openai_at("/openai/v1", { model = "llama-3.3-70b-versatile" }),
  openrouter = openai_at("/api/v1", { model = "meta-llama/llama-3.3-70b-instruct" }),
  azure_openai = openai_at("", { auth = "api-key", path = azure .. "/chat/completions" .. version,
    embed_path = "/openai/deployments/text-embedding-3-small/embeddings" .. version }),
  anthropic = anthropic,
  gemini = gemini,
  cohere = cohere,
  ["openai responses"] = responses,
}
