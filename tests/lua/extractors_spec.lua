local extractors = require "keycycle.foreign.extractors"

local function counts(body)
  local used = extractors.usage(body)
  return used and { used.input_tokens, used.output_tokens, used.total_tokens }
end

describe("usage is read in the form of", function()
  for name, body in pairs {
    ["OpenAI's chat"] = { usage = { prompt_tokens = 3, completion_tokens = 4, total_tokens = 7 } },
    ["OpenAI's embeddings"] = { usage = { prompt_tokens = 7, total_tokens = 7 } },
    ["OpenAI's responses"] = { usage = { input_tokens = 3, output_tokens = 4, total_tokens = 7,
      input_tokens_details = { cached_tokens = 1 } } },
    ["OpenAI's event of a response"] = { type = "response.completed", response = { usage = {
      input_tokens = 3, output_tokens = 4, total_tokens = 7 } } },
    ["Groq's streams"] = { x_groq = { usage = { prompt_tokens = 3, completion_tokens = 4,
      total_tokens = 7 } } },
    ["Anthropic"] = { usage = { input_tokens = 1, cache_read_input_tokens = 2,
      cache_creation_input_tokens = 0, output_tokens = 4 } },
    ["Anthropic's begin of a message"] = { type = "message_start", message = { usage = {
      input_tokens = 3, cache_read_input_tokens = 0, output_tokens = 4 } } },
    ["Cohere"] = { usage = { billed_units = { input_tokens = 3, output_tokens = 4 } } },
    ["Cohere's tokens"] = { usage = { tokens = { input_tokens = 3, output_tokens = 4 },
      billed_units = { input_tokens = 1 } } },
    ["Cohere's end of a message"] = { type = "message-end", delta = { usage = {
      tokens = { input_tokens = 3, output_tokens = 4 } } } },
    ["Cohere's first version"] = { meta = { billed_units = { input_tokens = 3,
      output_tokens = 4 } } },
    ["Gemini"] = { usageMetadata = { promptTokenCount = 3, candidatesTokenCount = 1,
      thoughtsTokenCount = 3, totalTokenCount = 7 } },
    ["a model's response"] = { usage = { input_tokens = 3, output_tokens = 4, total_tokens = 7 } },
  } do
    it(name, function()
      local used = extractors.usage(body)
      assert.equal(7, used.total_tokens)
      if not name:find "embed" then assert.same({ 3, 4, 7 }, counts(body)) end
    end)
  end

  it("nothing that is known: there is none", function()
    for _, body in ipairs { {}, { usage = {} }, { usage = 5 }, { usage = { a = 1 } }, "x", 5, true,
      { meta = "x" }, { message = "x", response = 5, delta = false }, { usageMetadata = {} },
      { usage = { prompt_tokens = "many", total_tokens = -1 } } } do
      assert.is_nil(extractors.usage(body))
    end
  end)
end)

it("usage of events is put together", function()
  local merge = extractors.merge
  local start = merge(nil, { input_tokens = 10, output_tokens = 1, total_tokens = 11 })
  local all = merge(start, { input_tokens = 0, output_tokens = 20, total_tokens = 20 })
  assert.same({ input_tokens = 10, output_tokens = 20, total_tokens = 30 }, all)
  assert.equal(11, start.total_tokens)
  assert.same({ total_tokens = 9 }, merge({ total_tokens = 4 }, { total_tokens = 9 }))
end)

describe("text is read", function()
  for name, piece in pairs {
    ["of a text"] = "hi",
    ["of OpenAI's chunks"] = { choices = { { delta = { content = "hi" } } } },
    ["of OpenAI's completions"] = { choices = { { text = "hi" } } },
    ["of OpenAI's responses"] = { type = "response.output_text.delta", delta = "hi" },
    ["of Anthropic's events"] = { type = "content_block_delta", delta = { type = "text_delta",
      text = "hi" } },
    ["of Cohere's events"] = { type = "content-delta", delta = { message = { content = {
      text = "hi" } } } },
    ["of Cohere's first version"] = { event_type = "text-generation", text = "hi" },
    ["of Gemini's answers"] = { candidates = { { content = { parts = { { text = "thinking",
      thought = true }, { text = "h" }, { text = "i" } } } } } },
    ["of Ollama's answers"] = { message = { role = "assistant", content = "hi" } },
    ["of a delta alone"] = { content = "hi", index = 0 },
  } do
    it(name, function() assert.equal("hi", extractors.text(piece)) end)
  end

  it("of nothing else", function()
    for _, piece in ipairs { {}, { choices = 5 }, { choices = { 5 } }, { delta = 5 }, "", 5, true,
      { candidates = { { content = { parts = "x" } } } }, { message = "x", text = 5 } } do
      assert.is_nil(extractors.text(piece))
    end
  end)
end)
