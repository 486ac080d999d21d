--- Calls over a transport that is written in Lua, over cqueues' sockets: what a server does
--- ends as over libcurl.
local cqueues = require "cqueues"
local keycycle = require "keycycle"
local servers = require "tests.support.servers"
local socket_transport = require "tests.support.socket_transport"

local KEY = "sk-mock-aaaaaaaaaaaaaaaa-1"

local function request(stream)
  return { stream = stream, messages = { { role = "user", content = "one two three" } } }
end

-- A wrapper with one provider at `url`; `carried` false: over libcurl.
local function provide(url, carried)
  local transport
  if carried then transport = { start = carried.start, cancel = carried.cancel } end
  local wrapper <const> = keycycle.MultiClientWrapper.new { transport = transport }
  wrapper:register_provider("p", { base_url = url, keys = { KEY }, default_model = "m" })
  return wrapper, wrapper:get_rotating_client("p", { max_retries = 0 })
end

-- Runs the loop of cqueues, and in it the library's tasks, until none lives.
local function run(loop)
  loop:wrap(function()
    local watch = { pollfd = keycycle.pollfd(), events = "r" }
    while keycycle.step(0) > 0 do cqueues.poll(watch) end
  end)
  assert(loop:loop(60))
end

local function text_of(client, stream, opts)
  local answer = client.chat.completions:create(request(stream), opts)
  if not stream then return answer.choices[1].message.content end
  return answer:text()
end

-- What comes of a call in a task: its text, or its error.
local function outcome(url, carried, loop, stream, opts)
  local wrapper <close>, client = provide(url, carried)
  local task = keycycle.spawn(text_of, client, stream, opts)
  if loop then run(loop) end
  local ok, result = pcall(task.await, task)
  local total = wrapper:get_manager("p"):get_global_stats().total
  return { ok = ok, text = ok and result or nil, code = not ok and result.code or nil,
    -- libcurl tells the status of headers that were cut, too.
    status = not ok and result.code ~= "cut" and result.status or nil, in_flight = total.in_flight,
    counted = total.total_requests, tokens = total.total_tokens }
end

describe("a transport over cqueues", function()
  local mock, raw, loop, carried

  setup(function()
    mock = servers.mock("--keys " .. KEY)
    raw = servers.raw()
  end)
  teardown(function()
    mock.stop()
    raw.stop()
  end)
  before_each(function()
    loop = cqueues.new()
    carried = socket_transport.new(loop)
  end)

  for _, path in ipairs { "/ok", "/cut-before-headers", "/cut-in-headers", "/cut-in-body",
    "/cut-in-chunk", "/garbage", "/html-200", "/empty-200", "/error-200", "/bad-json",
    "/null-content", "/status?code=429", "/status?code=500", "/retry-after?v=7",
    "/redirect-other", "/body-bomb" } do
    it("ends as over libcurl: " .. path, function()
      local opts = { max_retries = 0 }
      assert.same(outcome(raw.url(path), nil, nil, false, opts),
        outcome(raw.url(path), carried, loop, false, opts))
      assert.equal(1, carried.count)
    end)
  end

  for _, path in ipairs { "/sse?mode=cr", "/sse?mode=lf", "/sse?mode=crlf", "/sse?mode=bom",
    "/sse?mode=comments", "/sse?mode=multiline", "/sse?mode=split", "/cut-in-event",
    "/endless-line", "/ok" } do
    it("streams as over libcurl: " .. path, function()
      assert.same(outcome(raw.url(path), nil, nil, true),
        outcome(raw.url(path), carried, loop, true))
    end)
  end

  it("ends in time as over libcurl", function()
    for _, path in ipairs { "/never", "/never-body" } do
      local opts = { request_timeout = 0.02 }
      assert.same(outcome(raw.url(path), nil, nil, false, opts),
        outcome(raw.url(path), carried, loop, false, opts))
    end
    local opts = { idle_timeout = 0.02 }
    assert.same(outcome(raw.url "/slow-events", nil, nil, true, opts),
      outcome(raw.url "/slow-events", carried, loop, true, opts))
    assert.equal(3, carried.cancelled)
  end)

  it("says that nobody listens, and nothing was sent", function()
    local nobody = ("http://127.0.0.1:%d/v1"):format(servers.free_port())
    local result = outcome(nobody, carried, loop)
    assert.same({ "connect", 0 }, { result.code, result.counted })
  end)

  it("asks the mock a hundred times at once, streams among them", function()
    local wrapper <close>, client = provide(mock.url, carried)
    local tasks = {}
    for i = 1, 100 do tasks[i] = keycycle.spawn(text_of, client, i % 2 == 0) end
    run(loop)
    for i = 1, 100 do assert.equal("You said: one two three", (tasks[i]:await())) end
    local total = wrapper:get_manager("p"):get_global_stats().total
    assert.same({ 0, 100 }, { total.in_flight, total.total_requests })
    assert.equal(100, carried.count)
    assert.is_true(carried.cancelled <= 50) -- a reader may be done before a stream's end
  end)

  it("is told which tasks were cancelled", function()
    local wrapper <close>, client = provide(raw.url "/never", carried)
    local tasks = {}
    for i = 1, 10 do tasks[i] = keycycle.spawn(text_of, client) end
    keycycle.spawn(function()
      while carried.count < 10 do keycycle.sleep(0) end
      for i = 1, 10 do tasks[i]:cancel() end
    end)
    run(loop) -- all connections end, too
    for i = 1, 10 do assert.equal("cancelled", tasks[i]:status()) end
    assert.equal(10, carried.cancelled)
    local total = wrapper:get_manager("p"):get_global_stats().total
    assert.same({ 0, 10 }, { total.in_flight, total.total_requests })
  end)
end)
