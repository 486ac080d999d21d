require "keycycle"
local chat = require "keycycle.protocol.openai_chat"
local embeddings = require "keycycle.protocol.openai_embeddings"

describe("the estimate of a chat request", function()
  it("grows with the text and with what may come back", function()
    local short = { messages = { { role = "user", content = "Hi" } } }
    local long = { messages = { { role = "user", content = ("x"):rep(4000) } } }
    assert.is_true(chat.estimate(short) >= 1 and chat.estimate(short) < 20)
    assert.is_true(chat.estimate(long) >= 1000 and chat.estimate(long) < 1100)
    short.max_tokens = 500
    local with_output = chat.estimate(short)
    assert.is_true(with_output >= 500 and with_output < 520)
    short.max_completion_tokens = 700
    assert.is_true(chat.estimate(short) >= 700 and chat.estimate(short) < 720)
  end)

  it("counts the parts of a message", function()
    local parts = { messages = { { role = "user", content = {
      { type = "text", text = ("x"):rep(400) },
      { type = "image_url", image_url = { url = "data:" } },
    } } } }
    assert.is_true(chat.estimate(parts) >= 100 and chat.estimate(parts) < 120)
  end)

  it("raises for nothing that a caller may have written", function()
    for _, request in ipairs { {}, { messages = "Hi" }, { messages = { 1, "a", {} } },
      { messages = { { content = 5 } } }, { messages = { { content = { 1, {}, { text = 2 } } } } },
      { max_tokens = "many" }, { max_tokens = -5 }, { max_tokens = 1.5 } } do
      local n = chat.estimate(request)
      assert.is_true(math.type(n) == "integer" and n >= 0)
    end
  end)
end)

describe("the usage in an answer", function()
  it("is read with what was cached", function()
    assert.same({ input_tokens = 9, output_tokens = 3, total_tokens = 12, cached_tokens = 4 },
      chat.usage { usage = { prompt_tokens = 9, completion_tokens = 3, total_tokens = 12,
        prompt_tokens_details = { cached_tokens = 4 } } })
  end)

  it("is summed where no total is given", function()
    assert.equal(12, chat.usage({ usage = { prompt_tokens = 9, completion_tokens = 3 } })
      .total_tokens)
  end)

  it("keeps a total that is more than its parts", function()
    local usage = chat.usage { usage = { prompt_tokens = 204, completion_tokens = 1,
      total_tokens = 287 } }
    assert.equal(287, usage.total_tokens)
  end)

  it("is found where Groq's streams have it", function()
    assert.equal(5, chat.usage({ x_groq = { usage = { total_tokens = 5 } } }).total_tokens)
  end)

  it("is none where there is none", function()
    for _, body in ipairs {
      {}, { usage = "much" }, { usage = {} }, { usage = { total_tokens = 0 } },
      { usage = { total_tokens = -5 } }, { usage = { total_tokens = "x" } }, { x_groq = 1 },
    } do
      assert.is_nil(chat.usage(body))
    end
  end)
end)

describe("an event of a stream", function()
  local function chunk(choice) return chat.chunk { choices = { choice } } end

  it("has content when it has text, a tool call or a thought", function()
    local text, content, finished = chunk { delta = { content = "Hi" } }
    assert.same({ "Hi", true, false }, { text, content, finished })
    for _, delta in ipairs { { tool_calls = { {} } }, { reasoning_content = "hm" },
      { reasoning = "hm" }, { refusal = "no" } } do
      text, content = chunk { delta = delta }
      assert.equal("", text)
      assert.is_true(content)
    end
  end)

  it("has none when it has a role or usage only", function()
    for _, event in ipairs { { choices = { { delta = { role = "assistant", content = "" } } } },
      { choices = {}, usage = { total_tokens = 5 } }, {}, { choices = 5 },
      { choices = { { delta = 5 } } } } do
      local text, content, finished = chat.chunk(event)
      assert.same({ "", false, false }, { text, content, finished })
    end
  end)

  it("ends the text where it says why", function()
    local _, _, finished = chunk { delta = {}, finish_reason = "stop" }
    assert.is_true(finished)
    assert.equal("[DONE]", chat.done)
  end)
end)

describe("embeddings", function()
  it("cost what their input is long", function()
    assert.equal(2, embeddings.estimate { input = "12345678" })
    assert.equal(4, embeddings.estimate { input = { "12345678", "12345678" } })
    assert.equal(3, embeddings.estimate { input = { 15, 16, 17 } })
    assert.equal(5, embeddings.estimate { input = { { 1, 2 }, { 3, 4, 5 } } })
    assert.equal(0, embeddings.estimate {})
  end)

  it("use what the answer says", function()
    assert.equal(8, embeddings.usage({ usage = { prompt_tokens = 8, total_tokens = 8 } })
      .total_tokens)
  end)
end)
