local keycycle = require "keycycle"
local log = require "keycycle.log"
local chat = require "keycycle.protocol.openai_chat"
local stream = require "keycycle.call.stream"

local KEY = "sk-test-0123456789abcdefghij"

-- A transfer whose events are all here: texts, or tables that are encoded. What
-- ends it is an error of the transport, or nothing.
local function transfer(events, err)
  local call = { at = 0, closed = 0 }
  function call.id() return 0 end
  function call.ready() return true end
  function call.status() return 200 end
  function call.headers() return { ["content-type"] = "text/event-stream" } end
  function call.error() return err end
  function call.close() call.closed = call.closed + 1 end
  function call.event()
    call.at = call.at + 1
    local event = events[call.at]
    if not event then return nil, "end" end
    return "message", type(event) == "table" and keycycle.json.encode(event) or event
  end
  return call
end

local function lease_of()
  local lease = { settled = false, commits = {} }
  function lease:commit(usage)
    assert(not self.settled, "settled already")
    self.settled = true
    self.commits[#self.commits + 1] = usage or "as reserved"
  end
  function lease:cooldown(_, _, reason)
    assert(self.settled, "put away before it is settled")
    self.cooled = reason
    return true
  end
  return lease
end

local function run_of(opts)
  return {
    protocol = chat, opts = opts or {}, attempts = {}, model = "m",
    tried = { key_index = 1, kind = "ok" },
    request = { json = { messages = { { role = "user", content = "12345678" } } } }, input = 6,
    adapter = { classify = {} }, entry = { name = "p", streams = {}, pool = {
      redact = function(_, text) return (text:gsub(KEY:gsub("%-", "%%-"), "***")) end,
      now = function() return 1e9 end,
    } },
  }
end

local function text(content) return { choices = { { delta = { content = content } } } } end
local role = { choices = { { delta = { role = "assistant", content = "" } } } }
local stop = { choices = { { delta = {}, finish_reason = "stop" } } }
local used = { choices = keycycle.json.array {}, usage = { prompt_tokens = 9,
  completion_tokens = 3, total_tokens = 12 } }

local function open(events, err, opts)
  local lease, call = lease_of(), transfer(events, err)
  return stream.open(run_of(opts), lease, call), lease, call
end

describe("a stream", function()
  it("that was read ahead is shared among steps whose budget is spent", function()
    local result = open { role, text "a", text "b", text "c", stop, "[DONE]" }
    local seen = {}
    keycycle.spawn(function()
      for chunk in result.stream do seen[#seen + 1] = chunk end
    end)
    local steps = 0
    repeat
      local before = #seen
      local live = keycycle.step(0, 0)
      steps = steps + 1
      assert.is_true(#seen - before <= 2) -- those before the first content are handed out at once
    until live == 0
    assert.equal(5, #seen)
    assert.is_true(steps >= 3)
  end)

  it("hands out every event in order, those before the first content too", function()
    local result, lease = open { role, text "Hel", text "lo", stop, used, "[DONE]" }
    assert.is_true(result.ok)
    local seen = {}
    for chunk in result.stream do seen[#seen + 1] = chunk end
    assert.equal(5, #seen)
    assert.equal("assistant", seen[1].choices[1].delta.role)
    assert.equal("lo", seen[3].choices[1].delta.content)
    assert.equal(12, seen[5].usage.total_tokens)
    assert.equal(12, lease.commits[1].total_tokens)
  end)

  it("tells what each event means to who asks for it", function()
    local s = open({ role, text "a", "[DONE]" }).stream
    local native, chunk = s:step()
    assert.equal("assistant", native.choices[1].delta.role)
    assert.is_nil(chunk and chunk.text)
    native, chunk = s:step()
    assert.same({ "a", "a" }, { native.choices[1].delta.content, chunk.text })
    assert.is_nil((s:step()))
    assert.is_nil((s:step()))
  end)

  it("reads no further than the first content before it is handed over", function()
    local result, lease, call = open { role, text "a", text "b", "[DONE]" }
    assert.equal(2, call.at)
    assert.is_false(lease.settled)
    result.stream:close()
  end)

  it("gives its whole text", function()
    local result, _, call = open { role, text "Hel", text "lo", stop, "[DONE]" }
    assert.equal("Hello", result.stream:text())
    assert.equal(1, call.closed)
    assert.equal("", result.stream:text())
  end)

  it("says nil at its end, and again", function()
    local s = open({ text "a", "[DONE]" }).stream
    assert.is_table(s())
    assert.is_nil(s())
    assert.is_nil(s())
  end)

  it("may end without [DONE] once the text has said why it ends", function()
    local result, lease = open { text "a", stop }
    assert.equal("a", result.stream:text())
    assert.is_true(lease.settled)
  end)

  it("may have nothing but its end", function()
    local result, lease = open { role, stop, "[DONE]" }
    assert.is_true(lease.settled)
    assert.is_table(result.stream())
    assert.is_table(result.stream())
    assert.is_nil(result.stream())
  end)

  it("reads null as absent", function()
    local s = open({ '{"choices":[{"delta":{"content":"a"},"finish_reason":null}]}', stop }).stream
    assert.is_nil(s().choices[1].finish_reason)
    s:close()
  end)
end)

describe("the end of an answer", function()
  local cut = { code = "cut", message = "m" }

  it("is final: what breaks off after it is no failure", function()
    for _, events in ipairs { { text "a", stop }, { text "a", stop, '{"cho' } } do
      local result, lease, call = open(events, cut)
      assert.equal("a", result.stream:text())
      assert.is_true(lease.commits[1].estimated)
      assert.equal(1, call.closed)
    end
  end)

  it("is not waited for once its last event is here", function()
    for _, last in ipairs { "[DONE]", { object = "chat.completion.done", choices = {} } } do
      local result, lease, call = open({ text "a", stop, last, text "never read" })
      assert.equal("a", result.stream:text())
      assert.same({ 3, 1, true }, { call.at, call.closed, lease.settled })
    end
  end)
end)

describe("reading on to the first content", function()
  it("ends where a tool is called, or reasoning begins", function()
    local called = { choices = { { delta = { tool_calls = { { index = 0, id = "c",
      ["function"] = { name = "f", arguments = "" } } } } } } }
    local thought = { choices = { { delta = { reasoning_content = "hm" } } } }
    for _, first in ipairs { called, thought } do
      local result, _, call = open { role, first, text "unread" }
      assert.equal(2, call.at)
      result.stream:close()
    end
  end)

  it("ends after a while where there is none", function()
    local pings = {}
    for i = 1, 100 do pings[i] = role end
    local result, lease, call = open(pings)
    assert.is_true(result.ok)
    assert.equal(32, call.at)
    for _ = 1, 100 do assert.is_table(result.stream()) end
    assert.is_false(pcall(result.stream)) -- it had no last event
    assert.is_true(lease.settled)
  end)
end)

describe("closing a stream", function()
  it("leaves nothing to read", function()
    local result = open { role, text "a", text "b", "[DONE]" }
    result.stream:close()
    for _ = 1, 3 do assert.is_nil((result.stream())) end
    assert.equal("", result.stream:text())
    assert.equal("stream of p (closed)", tostring(result.stream))
  end)

  it("stops the transfer and settles, once", function()
    local result, lease, call = open { text "12345678", text "x", "[DONE]" }
    result.stream()
    result.stream:close()
    result.stream:close()
    assert.equal(1, call.closed)
    assert.equal(1, #lease.commits)
    assert.is_nil((result.stream()))
  end)

  it("counts what was seen where the provider did not say", function()
    local result, lease = open { text "12345678", text "1234", text "unread" }
    result.stream()
    result.stream()
    result.stream:close()
    local usage = lease.commits[1]
    assert.equal(3, usage.output_tokens)
    assert.equal(6, usage.input_tokens)
    assert.equal(usage.input_tokens + 3, usage.total_tokens)
  end)

  it("adds what came after the provider's last figure to that", function()
    local early = { choices = {}, usage = { prompt_tokens = 9, completion_tokens = 1,
      total_tokens = 10, prompt_tokens_details = { cached_tokens = 4 } } }
    local result, lease = open { early, text "12345678", text "1234", text "unread" }
    for _ = 1, 3 do result.stream() end
    result.stream:close()
    assert.same({ input_tokens = 9, output_tokens = 4, total_tokens = 13, cached_tokens = 4,
      estimated = true }, lease.commits[1])
  end)

  it("happens by goto, return and an error in the loop's body", function()
    local function read(how)
      local result, lease, call = open { text "a", text "b", "[DONE]" }
      local s = result.stream
      local ok = pcall(function()
        for _ in s, nil, nil, s do
          if how == "goto" then goto out end
          if how == "return" then return end
          error "in the body"
        end
        ::out::
      end)
      assert.equal(how ~= "error", ok)
      assert.same({ 1, 1 }, { call.closed, #lease.commits })
    end
    for _, how in ipairs { "goto", "return", "error" } do read(how) end
  end)

  it("happens by break", function()
    local result, lease, call = open { text "a", text "b", "[DONE]" }
    local s = result.stream
    for chunk in s, nil, nil, s do
      if chunk then break end
    end
    assert.equal(1, call.closed)
    assert.is_true(lease.settled)
  end)

  it("happens to one that is collected unread", function()
    local lease, call
    do
      local result
      result, lease, call = open { text "a", text "b", "[DONE]" }
      result.stream = nil
    end
    collectgarbage()
    collectgarbage()
    assert.is_true(lease.settled)
    assert.equal(1, call.closed)
  end)

  it("leaves a lease alone that was settled by its age", function()
    local result, lease = open { text "a", "[DONE]" }
    lease.settled = true
    assert.equal("a", result.stream:text())
    assert.same({}, lease.commits)
  end)
end)

describe("what breaks a stream off", function()
  local function failed_before(events, err)
    local result, lease, call = open(events, err)
    assert.is_nil(result.ok)
    assert.is_false(lease.settled, "the lease stays the caller's")
    assert.equal(0, call.closed)
    return result
  end

  it("before the first content goes back to be tried again", function()
    local cut = { code = "cut", message = "m" }
    assert.equal("cut", failed_before({ role }, cut).err.code)
    assert.equal("cut", failed_before({ role }).err.code)
    assert.equal("cut", failed_before({}).err.code)
    assert.equal("garbage", failed_before({ role, "<html>" }).err.code)
    assert.equal("garbage", failed_before({ "5" }).err.code)
    local refused = failed_before { role, { error = { message = "full", code = 429 } } }
    assert.equal("full", refused.message)
    assert.is_nil(refused.transport)
  end)

  local function failed_after(events, err)
    local result, lease, call = open(events, err)
    assert.is_true(result.ok)
    assert.is_table(result.stream())
    local ok, caught = pcall(result.stream)
    assert.is_false(ok)
    assert.is_true(lease.settled)
    assert.equal(1, call.closed)
    assert.is_nil((result.stream()))
    return caught, lease
  end

  it("after it is raised to the reader", function()
    local err = failed_after({ text "a" }, { code = "cut", message = "m" })
    assert.is_true(keycycle.is(err, keycycle.TransportError))
    assert.equal("cut", err.code)
    assert.equal("cut", failed_after({ text "a" }).code)
    assert.equal("garbage", failed_after({ text "a", "{" }).code)
    err = failed_after({ text "a" }, { code = "timeout", message = "m" })
    assert.is_true(keycycle.is(err, keycycle.TimeoutError))
  end)

  it("is classified when the provider says what it is", function()
    local err, lease = failed_after { text "a", { error = { message = "full", code = 429 } } }
    assert.is_true(keycycle.is(err, keycycle.RateLimitError))
    assert.equal("full", err.message)
    assert.equal("quota", lease.cooled)
    err, lease = failed_after { text "a", { error = { message = "broken" } } }
    assert.is_true(keycycle.is(err, keycycle.APIError))
    assert.equal("server", err.code)
    assert.is_nil(lease.cooled)
  end)

  it("shows no key", function()
    local err = failed_after { text "a", { error = { message = "your key is " .. KEY } } }
    assert.is_nil(tostring(err):find(KEY, 1, true))
    assert.is_nil(err.body:find(KEY, 1, true))
  end)
end)

describe("an extractor of usage", function()
  it("beats the protocol", function()
    local result, lease = open({ text "a", used, "[DONE]" }, nil, {
      usage_extractor = function(chunk) return chunk.usage and { total_tokens = 99 } end,
    })
    result.stream:text()
    assert.equal(99, lease.commits[1].total_tokens)
  end)

  it("that raises loses nothing but its figure", function()
    local lines = {}
    log.set_sink(function(_, line) lines[#lines + 1] = line end)
    local result, lease = open({ text "a", "[DONE]" }, nil,
      { usage_extractor = function() error "broken" end })
    local whole = result.stream:text()
    log.set_sink(nil)
    assert.equal("a", whole)
    assert.is_true(lease.settled)
    assert.is_true(#lines > 0)
  end)
end)

describe("a user's protocol that raises", function()
  it("loses no stream: what comes is handed out, and is whole at its end", function()
    local lines = {}
    log.set_sink(function(_, line) lines[#lines + 1] = line end)
    local lease, run = lease_of(), run_of()
    run.protocol = { own = true, event = function() error("no " .. KEY, 0) end }
    local result = stream.open(run, lease, transfer { text "a", text "b", stop })
    assert.is_true(result.ok)
    local seen = 0
    for _ in result.stream do seen = seen + 1 end
    log.set_sink(nil)
    assert.equal(3, seen)
    assert.is_true(lease.settled)
    assert.equal(1, #lines)
    assert.truthy(lines[1]:find("no ***", 1, true), lines[1])
  end)
end)
