--- Calls over HTTP: nobody listens, an answer, a stream, a refusal.
local keycycle = require "keycycle"

local function register(w, name, url)
  w.wrapper:register_provider(name, { base_url = url, default_model = "m",
    keys = { "sk-oom-first-0001", "sk-oom-second-002" }, limits = { requests_per_day = 90 } })
  return w.wrapper:get_manager(name), w.wrapper:get_rotating_client(name, keycycle.OpenAI)
end

local function path(w, name) return ("http://127.0.0.1:%d/%s"):format(w.oom.port, name) end

local question = { messages = { { role = "user", content = "hello" } } }

return {
  { "register", function(w)
    w.wrapper = w.wrapper or keycycle.MultiClientWrapper.new()
    w.manager, w.client = register(w, "local", path(w, "ok"))
    w.streaming, w.stream_client = register(w, "streaming", path(w, "sse"))
    w.refusing = select(2, register(w, "refusing", path(w, "status?code=400")))
    w.lost = select(2, register(w, "lost", "http://127.0.0.1:1/v1"))
  end },
  { "answer", function(w)
    w.answer = w.client.chat.completions:create(question)
    assert(w.answer.choices[1].message.content == "ok")
    w.usage = keycycle.info(w.answer).usage
  end },
  { "raw", function(w)
    local answer = w.client:request { method = "GET", path = "/models", query = { a = "b c" } }
    assert(answer.choices)
  end },
  { "stream", function(w)
    local stream <close> = w.stream_client.chat.completions:create {
      messages = question.messages, stream = true }
    local text = {}
    for chunk in stream do
      text[#text + 1] = chunk.choices[1].delta.content
    end
    w.text = table.concat(text)
  end },
  { "stream left early", function(w)
    local stream <close> = w.stream_client.chat.completions:create {
      messages = question.messages, stream = true }
    assert(stream())
  end },
  { "refused", function(w)
    local answer, err = keycycle.try(function()
      return w.refusing.chat.completions:create(question)
    end)
    if not keycycle.is(err, keycycle.APIError) then error(err, 0) end
    assert(answer == nil and err.status == 400 and err.message == "as asked", err.message)
  end },
  { "nobody", function(w)
    local answer, err = keycycle.try(function()
      return w.lost.chat.completions:create(question, { max_retries = 0 })
    end)
    if not keycycle.is(err, keycycle.TransportError) then error(err, 0) end
    assert(answer == nil and err.code == "connect", err.code)
  end },
  { "in tasks", function(w)
    w.both = keycycle.run(function()
      return keycycle.gather {
        function() return w.client.chat.completions:create(question).usage.total_tokens end,
        function() return w.client.chat.completions:create(question).usage.total_tokens end,
      }
    end)
  end },
  check = function(w)
    assert(w.text == "Hi" and w.usage.total_tokens == 5)
    assert(w.both[1] == 5 and w.both[2] == 5)
    for _, name in ipairs { "local", "streaming", "refusing", "lost" } do
      local total = w.wrapper:get_manager(name):get_global_stats().total
      assert(total.in_flight == 0, name)
    end
    w.wrapper:stop()
  end,
}
