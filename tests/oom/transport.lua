--- Calls over a program's own transport: an answer at once and later, a stream, a refusal,
--- what is cancelled and what is forgotten.
local keycycle = require "keycycle"

local JSON, EVENTS = { ["content-type"] = "application/json" },
  { ["content-type"] = "text/event-stream" }
local question = { messages = { { role = "user", content = "hello" } } }

local function answer(x)
  if not x:headers(200, JSON) then return end
  x:data [[{"choices":[{"message":{"content":"ok"}}],]]
  x:data [["usage":{"total_tokens":5}}]]
  x:done()
end

local function stream(x)
  if not x:headers(200, EVENTS) then return end
  x:data 'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n'
  x:data 'data: [DONE]\n\n'
  x:done()
end

local function register(w)
  w.begun, w.cancelled = {}, 0
  local wrapper <const> = keycycle.MultiClientWrapper.new { transport = {
    start = function(request, x) return w.start(request, x) end,
    cancel = function(x)
      w.cancelled = w.cancelled + 1
      x:done()
    end,
    pause = function() end,
  } }
  wrapper:register_provider("p", { base_url = "https://api.example.test/v1", default_model = "m",
    keys = { "sk-oom-first-0001" }, limits = { requests_per_day = 90 } })
  w.wrapper, w.manager = wrapper, wrapper:get_manager "p"
  w.client = wrapper:get_rotating_client("p", { max_retries = 0 })
end

local function ask(w) return w.client.chat.completions:create(question) end

-- An error of the transport's, or of memory, which is raised on.
local function fails(code, fn, ...)
  local ok, err = pcall(fn, ...)
  assert(not ok)
  if type(err) ~= "table" or err.code ~= code then error(err, 0) end
end

return {
  { "register", register },
  { "answer at once", function(w)
    w.start = function(_, x) answer(x) end
    assert(ask(w).usage.total_tokens == 5)
  end },
  { "answer later", function(w)
    local waiting
    -- What is held would stay in flight, where memory fails before its end.
    local _ <close> = setmetatable({}, { __close = function() waiting = nil end })
    w.start = function(_, x) waiting = x end
    local task = keycycle.spawn(ask, w)
    for _ = 1, 3 do
      keycycle.step(0)
      if waiting then answer(waiting) end
    end
    assert(task:await().usage.total_tokens == 5)
  end },
  { "stream", function(w)
    w.start = function(_, x) stream(x) end
    local s <close> = w.client.chat.completions:create { messages = question.messages,
      stream = true }
    assert(s:text() == "Hi")
  end },
  { "refused", function(w)
    w.start = function() return nil, "no network" end
    fails("connect", ask, w)
  end },
  { "cancelled", function(w)
    w.start = function(_, x) w.kept = x end
    fails("timeout", w.client.chat.completions.create, w.client.chat.completions, question,
      { request_timeout = 0.001 })
  end },
  { "forgotten", function(w)
    w.start, w.kept = function() end, nil
    local task = keycycle.spawn(ask, w)
    keycycle.step(0)
    collectgarbage()
    collectgarbage()
    fails("cut", task.await, task)
  end },
  check = function(w)
    assert(w.manager:get_global_stats().total.in_flight == 0)
    w.wrapper:stop()
  end,
}
