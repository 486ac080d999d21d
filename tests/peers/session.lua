--- One provider of a wrapper of its own at a mock, on a clock that stands still: what
--- a spec asks and what it looks at.
local keycycle = require "keycycle"
local dialects = require "tests.peers.dialects"

local session = {}

session.KEYS = { "sk-peer-aaaaaaaaaaaaaaaa-1", "sk-peer-bbbbbbbbbbbbbbbb-2" }

local methods = {}
local session_mt = { __index = methods }
local opened = 0

--- Opens one; the mock counts its requests apart from others'. `config` goes to
--- register_provider.
---@param mock table a server of servers.aimock
---@param name string in tests.peers.dialects
function session.open(mock, name, config)
  opened = opened + 1
  local dialect = dialects[name]
  local provider = dialect.provider or name
  local clock, id = keycycle.clock.manual(1e9), "session " .. opened
  local wrapper = keycycle.MultiClientWrapper.new { clock = clock }
  local all = { keys = session.KEYS, default_model = dialect.model, selection = "fill_first",
    base_url = mock.url .. dialect.base, headers = { ["x-test-id"] = id } }
  for k, v in pairs(config or {}) do all[k] = v end
  wrapper:register_provider(provider, all)
  return setmetatable({ id = id, provider = provider, dialect = dialect, wrapper = wrapper,
    clock = clock, client = wrapper:get_rotating_client(provider),
    manager = wrapper:get_manager(provider) }, session_mt)
end

session_mt.__close = function(self) self.wrapper:stop() end

--- Asks `text`; the answer.
function methods:ask(text, opts)
  return self.dialect.ask(self.client)(self.dialect.request(text), opts)
end

--- Asks `text`; the stream.
function methods:stream(text, opts)
  return self.dialect.ask(self.client, true)(self.dialect.request(text, true), opts)
end

--- Runs `fn(self)` in a task while the clock moves on, for what waits before it tries
--- again; what it returns.
function methods:meanwhile(fn)
  local t = keycycle.spawn(fn, self)
  while not t.done do
    keycycle.step(0.01)
    self.clock:advance(1)
  end
  return t:await()
end

--- `{ status, … }` of the attempts that `info` or an error knows; "none" without one.
function session.statuses(attempts)
  local list = {}
  for i, attempt in ipairs(attempts) do list[i] = attempt.status or "none" end
  return list
end

--- Requests, tokens and calls under way of all keys.
function methods:totals()
  local total = self.manager:get_global_stats().total
  return { total.total_requests, total.total_tokens, total.in_flight }
end

--- The providers' names in order, for a test each.
function session.names()
  local names = {}
  for name in pairs(dialects) do names[#names + 1] = name end
  table.sort(names)
  return names
end

return session
