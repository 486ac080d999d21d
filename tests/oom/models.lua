--- Models and a chain of them over HTTP: an answer, a stream, a member that is down. Every
--- lease ends, and a stream's response is what it said, however often memory ran out.
local keycycle = require "keycycle"

local function register(w, name, url)
  w.wrapper:register_provider(name, { base_url = url, default_model = "m",
    keys = { "sk-oom-first-0001", "sk-oom-second-002" }, limits = { requests_per_day = 900 } })
  return w.wrapper:get_model(name, { max_tokens = 9 })
end

local function path(w, name) return ("http://127.0.0.1:%d/%s"):format(w.oom.port, name) end

return {
  { "register", function(w)
    w.wrapper = w.wrapper or keycycle.MultiClientWrapper.new()
    w.model = register(w, "local", path(w, "ok"))
    w.streaming = register(w, "streaming", path(w, "sse"))
    register(w, "lost", "http://127.0.0.1:1/v1")
    w.chain = w.wrapper:fallback { "lost/m", "local/m", max_retries = 1 }
  end },
  { "answer", function(w)
    local response = w.model:invoke "hello"
    assert(response.content == "ok" and response.usage.total_tokens == 5)
    assert(keycycle.info(response).provider == "local")
  end },
  { "stream", function(w)
    local stream <close> = w.streaming:invoke_stream "hello"
    assert(stream:text() == "Hi")
    assert(stream:response().content == "Hi", stream:response().content)
  end },
  { "stream step by step", function(w)
    -- What memory was too short to read, or to keep, comes again.
    w.stream = w.stream or w.streaming:invoke_stream "hello"
    while w.stream() do end
    assert(w.stream:response().content == "Hi", w.stream:response().content)
  end },
  { "chain", function(w)
    local response = w.chain:invoke "hello"
    assert(response.content == "ok")
    local trail = keycycle.info(response).attempts
    assert(#trail == 2 and trail[1].provider == "lost" and trail[2].kind == "ok")
  end },
  { "in a task", function(w)
    assert(keycycle.run(function() return w.chain:ainvoke("hello"):await() end).content == "ok")
  end },
  check = function(w)
    for _, name in ipairs { "local", "streaming", "lost" } do
      local total = w.wrapper:get_manager(name):get_global_stats().total
      assert(total.in_flight == 0, name)
    end
    w.wrapper:stop()
  end,
}
