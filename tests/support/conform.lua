--- One provider of a wrapper of its own, beside a server that has its form: what the
--- specs of all providers ask, and what they look at. The server is one for all sessions
--- of a spec, one after the other: `setup(conform.start)`, `teardown(conform.stop)`.
local keycycle = require "keycycle"
local asking = require "tests.support.asking"
local facts = require "tests.support.facts"
local servers = require "tests.support.servers"

local conform = {}

conform.KEYS = { "sk-mock-aaaaaaaaaaaaaaaa-1", "sk-mock-bbbbbbbbbbbbbbbb-2" }
conform.START = 1e9 -- where both clocks begin

local methods = {}
local session_mt = { __index = methods }

local function keys_of(fact)
  local keys = {}
  for i, key in ipairs(conform.KEYS) do
    keys[i] = { api_key = key }
    for k, v in pairs(fact.params and fact.params[i] or {}) do keys[i][k] = v end
  end
  return keys
end

local server

-- The base_url of the fact sheet, on the server instead of the provider's host.
local function base_on(fact)
  return server.url .. fact.base:match "^https?://[^/]+(.*)$"
end

--- Starts the server.
function conform.start()
  server = servers.script "tests/support/conform_server.lua"
end

--- Stops it.
function conform.stop()
  server.stop()
end

--- Opens one: `options` for the server (conform_server.lua), `config` for
--- register_provider, `opts` for the client.
function conform.open(name, options, config, opts)
  local fact = facts[name]
  local settings = { style = fact.style, keys = conform.KEYS }
  for k, v in pairs(options or {}) do settings[k] = v end
  local answer = keycycle.http.request { method = "POST", url = server.url .. "/become",
    body = keycycle.json.encode(settings) }
  assert(answer.status == 204, answer.body)
  local clock = keycycle.clock.manual(conform.START)
  local wrapper = keycycle.MultiClientWrapper.new { clock = clock }
  local all = { keys = keys_of(fact), selection = "fill_first", base_url = base_on(fact) }
  for k, v in pairs(config or {}) do all[k] = v end
  wrapper:register_provider(name, all)
  return setmetatable({ name = name, fact = fact, form = asking[fact.form], server = server,
    clock = clock, wrapper = wrapper, client = wrapper:get_rotating_client(name, opts),
    manager = wrapper:get_manager(name) }, session_mt)
end

function methods:close()
  self.wrapper:stop()
end

session_mt.__close = methods.close

--- The function at a dotted path of the client, "embeddings.create".
function methods:at(path)
  local node = self.client
  for step in path:gmatch "[^.]+" do node = node[step] end
  return node
end

--- The native request that says `text`.
function methods:request(text, stream)
  return self.form.request(self.fact.model, text, stream)
end

--- Asks `text` natively: the answer.
function methods:ask(text, opts)
  return self.form.call(self.client)(self:request(text), opts)
end

--- Asks `text` natively: the stream.
function methods:stream(text, opts)
  return self.form.call(self.client, true)(self:request(text, true), opts)
end

-- JSON that the server tells, decoded; null is absent.
local function told(self, path)
  local answer = keycycle.http.request { url = self.server.url .. path }
  return keycycle.json.decode(answer.body)
end

--- What came, as it stood on the wire.
function methods:seen()
  return told(self, "/seen")
end

--- The last request that came; its `json`, where that is what it is.
function methods:last()
  local list = self:seen()
  local entry = list[#list]
  local ok, body = pcall(keycycle.json.decode, entry.body)
  entry.json = ok and body or nil
  return entry, #list
end

--- By key what the mock counted: its journal's sums.
function methods:journal()
  return told(self, "/journal").keys
end

--- Runs `fn` in a task while our clock moves on, for what waits before it tries again.
function methods:meanwhile(fn)
  local t = keycycle.spawn(fn)
  while not t.done do
    keycycle.step(0.01)
    self.clock:advance(0.25)
  end
  return t:await()
end

--- Requests, tokens and calls under way of a key, or of all.
function methods:used(index)
  local stats = index and self.manager:get_key_stats(index) or self.manager:get_global_stats()
  return { stats.total.total_requests, stats.total.total_tokens, stats.total.in_flight }
end

--- The states of the keys.
function methods:states()
  local list = {}
  for i, key in ipairs(self.manager:keys()) do list[i] = key.state end
  return list
end

--- A value of each attempt; false where it has none.
function conform.trail(attempts, field)
  local list = {}
  for i, attempt in ipairs(attempts) do list[i] = attempt[field] or false end
  return list
end

--- Every text in a value, at any depth, joined: for what must not be in there.
function conform.texts(value)
  local out, done = {}, {}
  local function walk(v)
    if type(v) ~= "table" then
      out[#out + 1] = tostring(v)
    elseif not done[v] then
      done[v] = true
      for k, inside in pairs(v) do
        walk(k)
        walk(inside)
      end
    end
  end
  walk(value)
  return table.concat(out, "\n")
end

--- Whether a part of a key beyond its last characters is in a value.
function conform.shows_key(value)
  local text = conform.texts(value)
  for _, key in ipairs(conform.KEYS) do
    if text:find(key:sub(9, 20), 1, true) then return true end
  end
  return false
end

return conform
