--- keycycle demo: two mock providers with three keys each, sixty calls.
---
--- The first part knows no limits: real refusals come and keys rotate. The second
--- declares them and meets none. Then the mocks' own journals are compared with
--- what the client believes, key by key.
local keycycle = require "keycycle"
local command = require "keycycle.command"
local host = require "keycycle.host"
local report = require "keycycle.report"

local usage = [[
usage: keycycle demo
It starts the mocks itself, needs no keys and no network, and leaves its statistics in
demo.db of the folder build, or of $KEYCYCLE_BUILD, else in a temporary file. It ends with
0 when every call was answered and all counts agree.]]

local known, code = command.read(arg, usage, nil, 0)
if not known then return code end
local style = report.style()
local failures = {}

local function fail(fmt, ...)
  failures[#failures + 1] = fmt:format(...)
end

local function keys_of(name)
  local keys = {}
  for i = 1, 3 do keys[i] = ("sk-%s-0000000000000000-%d"):format(name, i) end
  return keys
end

--- Starts `keycycle mock`; the result is closed by its own pid, and ends with us.
local function start_mock(name, options)
  local stat <close> = assert(io.open "/proc/self/stat")
  local ours = stat:read "n"
  local pipe = assert(io.popen(("exec '%s' mock --port 0 --latency 25 --parent %d --keys %s %s")
    :format(host.program, ours, table.concat(keys_of(name), ","), options)))
  local line = pipe:read "l" or "no answer"
  local url, pid = line:match "(http://%S+) %(pid (%d+)%)"
  if not url then error("the mock did not start: " .. line, 0) end
  return setmetatable({ name = name, url = url, root = url:gsub("/v1$", "") }, {
    __close = function()
      os.execute("kill " .. pid .. " 2>/dev/null") -- Ctrl-C has reached it, too
      pipe:close()
    end,
  })
end

local answered, calls = 0, 60
local progress = report.progress(calls, { style = style })

local function say(fmt, ...)
  progress.clear()
  print(fmt:format(...))
  progress.show(answered)
end

--- Tells which key served, and what was tried before it.
local function tell(part, i, info)
  for n, try in ipairs(info.attempts) do
    if try.status == 429 then
      local next_try = info.attempts[n + 1]
      say("  %s: key %d says 429, rotating%s", part, try.key_index,
        next_try and " to key " .. next_try.key_index or "")
    end
  end
  say("  %s call %2d: key %d (%s), %d tokens", part, i, info.key_index, info.key_suffix,
    info.usage and info.usage.total_tokens or 0)
end

local function refusals(info)
  local n = 0
  for _, try in ipairs(info.attempts) do
    if try.status == 429 then n = n + 1 end
  end
  return n
end

--- One call, streamed or not; counts what it answered.
local function ask(client, part, i, streamed)
  local request = { messages = { { role = "user", content = "Question " .. i } } }
  local ok, answer = pcall(function()
    if not streamed then return client.chat.completions:create(request) end
    request.stream = true
    request.stream_options = { include_usage = true }
    local stream = client.chat.completions:create(request)
    if stream:text() == "" then fail("%s call %d: an empty stream", part, i) end
    return stream
  end)
  if not ok and not keycycle.is(answer, keycycle.KeycycleError) then
    error(answer, 0) -- a bug, or Ctrl-C
  elseif not ok then
    fail("%s call %d: %s", part, i, tostring(answer))
    return 0
  end
  answered = answered + 1
  local info = keycycle.info(answer)
  tell(part, i, info)
  return refusals(info)
end

--- Compares a mock's journal with the statistics, key by key.
local function compare(mock, manager, name)
  local answer = keycycle.http.request { url = mock.root .. "/journal" }
  local journal = keycycle.json.decode(answer.body)
  for i, theirs in ipairs(journal.keys) do
    local ours = manager:get_key_stats(i).total
    if theirs.requests ~= ours.total_requests or theirs.total_tokens ~= ours.total_tokens then
      fail("%s key %d: the mock counted %d requests and %d tokens, the client %d and %d", name, i,
        theirs.requests, theirs.total_tokens, ours.total_requests, ours.total_tokens)
    end
  end
  return #journal.keys
end

local function database()
  local folder = os.getenv "KEYCYCLE_BUILD" or "build"
  local path = folder .. "/demo.db"
  local probe = io.open(path, "w")
  if not probe then path = os.tmpname() else probe:close() end
  for _, tail in ipairs { "", "-wal", "-shm" } do os.remove(path .. tail) end
  return path
end

local function register(wrapper, mock, more)
  local config = { base_url = mock.url, keys = keys_of(mock.name), default_model = "gpt-4o-mini" }
  for k, v in pairs(more) do config[k] = v end
  wrapper:register_provider(mock.name, config)
end

local first_options = { selection = "fill_first" }
local second_options = { limits = keycycle.RateLimits { requests_per_minute = 20 } }

local function register_both(wrapper, first, second)
  register(wrapper, first, first_options)
  register(wrapper, second, second_options)
end

local function run_calls(wrapper)
  print "Part 1: 20 calls, limits unknown; three keys of 8 requests a minute"
  local client, met = wrapper:get_rotating_client "first", 0
  for i = 1, 20 do met = met + ask(client, "part 1", i, false) end
  if met == 0 then fail "part 1 met no 429: nothing rotated" end
  say("Part 2: 40 calls, a third streamed; three keys of 20 requests a minute, declared")
  client, met = wrapper:get_rotating_client "second", 0
  for i = 1, 40 do met = met + ask(client, "part 2", i, i % 3 == 0) end
  if met > 0 then fail("part 2 met %d refusals", met) end
  progress.finish(answered)
end

--- What a second run finds in the database must be what the first one knew.
local function totals(path, first, second)
  local wrapper <close> = keycycle.MultiClientWrapper.new { db_url = "sqlite:" .. path }
  register_both(wrapper, first, second)
  for _, mock in ipairs { first, second } do
    local total = wrapper:get_manager(mock.name):get_global_stats().total
    print(("  %s: %d requests, %d tokens"):format(mock.name, total.total_requests,
      total.total_tokens))
    if total.total_requests ~= mock.total.total_requests
      or total.total_tokens ~= mock.total.total_tokens then
      fail("%s: the database has other totals than the client had", mock.name)
    end
  end
end

local function main()
  local first <close> = start_mock("first", "--rpm 8 --no-limit-headers")
  local second <close> = start_mock("second", "--rpm 20")
  local path = database()
  do
    local wrapper <close> = keycycle.MultiClientWrapper.new { db_url = "sqlite:" .. path }
    register_both(wrapper, first, second)
    run_calls(wrapper)
    print ""
    for _, mock in ipairs { first, second } do
      local name = mock.name
      local manager = wrapper:get_manager(name)
      print("Statistics of " .. name)
      report.print(manager, { style = style })
      local keys = compare(mock, manager, name)
      print(("  the mock's journal was compared for %d keys\n"):format(keys))
      mock.total = manager:get_global_stats().total
    end
  end
  print("In " .. path)
  totals(path, first, second)
end

main()
for _, failure in ipairs(failures) do print("FAILED " .. failure) end
print(("%d of %d calls answered"):format(answered, calls))
return (#failures == 0 and answered == calls) and 0 or 1
