--- MultiClientWrapper: providers by name, each with its keys, limits and client.
local core = require "keycycle.core"
local config = require "keycycle.config"
local entry = require "keycycle.entry"
local errors = require "keycycle.errors"
local faces = require "keycycle.faces"
local functions = require "keycycle.foreign.functions"
local later = require "keycycle.later"
local log = require "keycycle.log"
local manager = require "keycycle.manager"
local policy = require "keycycle.policy"
local provider = require "keycycle.provider"
local proxy = require "keycycle.proxy"
local store = require "keycycle.store"
local task = require "keycycle.task"
local transport = require "keycycle.transport"

local fallback = later.module "keycycle.model.fallback"
local foreign = later.module "keycycle.foreign"
local loader = later.module "keycycle.loader"
local model = later.module "keycycle.model"

local invalid = errors.invalid

local wrapper = {}

local methods = {}
local wrapper_mt = { __name = "keycycle.MultiClientWrapper", __index = methods }

local CONNECT_SECONDS = 15

--- The options of `new` and their types.
wrapper.options = { db_url = "string", db_env_var = "string", store = "table",
  keep_days = "number", clock = "userdata", log_level = "string", env_file = "string",
  shared = "string", scripts = "string|table|boolean", transport = "table" }

local function check_options(opts)
  if opts == nil then return {} end
  if type(opts) ~= "table" then invalid("options are a table, not a %s", type(opts)) end
  for k, v in pairs(opts) do
    local want = wrapper.options[k]
    if not want then
      invalid("there is no option %q (known: %s)", tostring(k), errors.list(wrapper.options))
    end
    if not want:find(type(v), 1, true) then
      invalid("option %s must be a %s", k, (want:gsub("|", " or a ")))
    end
  end
  if opts.shared == "" then invalid "option shared must be a name" end
  if opts.shared and opts.clock then
    invalid "a shared pool runs on the machine's clock: give clock or shared"
  end
  if opts.transport then transport.check(opts.transport) end
  store.check(opts)
  return opts
end

-- The search path, and the folders that the program names.
local function load_scripts(given)
  if given == false then return end
  loader.search()
  if given == nil or given == true then return end
  loader.load(given)
end

--- Makes an empty wrapper.
---
--- opts: db_url ("sqlite:FILE", "mysql://user:password@host:3306/db"; nil: what
--- db_env_var, default "TIDB_DB_URL", names; neither: no file is touched), or in its place
--- store (one of the program's own, `{ load = function() return data or nil end,
--- save = function(data) end, every = 10 }`: load is called once, here; save by `stop`, by
--- `save` and, while something changes, every so many seconds after a turn of the loop;
--- data is plain and survives JSON); keep_days (after which usage is deleted, but for the
--- totals; default 400), clock (keycycle.clock.manual), log_level, env_file, shared (all
--- wrappers of this process with that name, in whatever Lua state and thread, have one
--- pool a provider), scripts (a folder or a list of them to load before those of the
--- search path; false: load none), transport (`{ start =, cancel =, pause = }`: the program's
--- own HTTP, see transport.lua). Raises InvalidConfigurationError, ScriptError,
--- ConfigurationError (`no_such_store`), StoreError.
function wrapper.new(opts)
  opts = check_options(opts)
  load_scripts(opts.scripts)
  if opts.log_level then log.set_level(opts.log_level) end
  task.check_open()
  local entries = {}
  local self = setmetatable({
    entries = entries, env_file = opts.env_file, clock = opts.clock, shared = opts.shared,
    transport = transport.open(opts.transport, entries), store = store.open(opts),
    stopped = false, ended = false,
  }, wrapper_mt)
  task.stop_at_close(self)
  return self
end

--- Makes a wrapper with `providers[name] = ProviderEnvConfig`, keys from the
--- environment: all or nothing.
function wrapper.from_env(providers, opts)
  if type(providers) ~= "table" then
    invalid("from_env needs a table of providers, not a %s", type(providers))
  end
  opts = check_options(opts)
  load_scripts(opts.scripts) -- they may define what is to be registered
  local lookup = config.environment(opts.env_file)
  local names, ready = {}, {}
  for name, given in pairs(providers) do
    if type(name) ~= "string" then invalid "from_env needs { name = configuration }" end
    if type(given) == "table" and given.keys then
      invalid("provider %s: from_env takes its keys from the environment", name)
    end
    local settings = config.check_provider(name, given)
    provider.resolve(name, settings.base_url)
    settings.tier = config.load_tier(name, lookup)
    ready[name] = { settings, config.load_api_keys(name, {
      lookup = lookup, extra_params = settings.extra_params }) }
    names[#names + 1] = name
  end
  table.sort(names)
  local self <const> = wrapper.new(opts)
  local ok, err = pcall(function()
    for _, name in ipairs(names) do self:register(name, ready[name][1], ready[name][2]) end
  end)
  if not ok then
    self:stop()
    error(err, 0)
  end
  return self
end

-- Shared first: a pool that is there already may have a store.
local function keep(self, name, made)
  if self.shared then made:share(self.store ~= nil) end
  if self.store then self.store:attach(made.pool, name) end
  self.entries[name] = made
end

-- Registers what is checked already.
function methods:register(name, settings, keys)
  if settings.policy ~= nil then policy.get(settings.policy) end
  local known = self.entries[name]
  if known then
    known:configure_again(settings, keys)
    return
  end
  local made = entry.new(name, settings, keys, self.clock, self.shared)
  made.wrapper, made.transport = self, self.transport
  made.manager, made.store = manager.new(made), self.store
  local ok, err = pcall(keep, self, name, made)
  if not ok then
    made:stop() -- a shared pool must not have it among its members
    error(err, 0)
  end
end

local function check_self(self)
  if getmetatable(self) == wrapper_mt then return end
  errors.no_object("wrapper", "wrapper:get_manager(name)")
end

local function check_open(self)
  check_self(self)
  if self.stopped then
    errors.raise(errors.KeycycleError, {
      code = "closed", message = "the wrapper was stopped",
    })
  end
end

--- Registers a provider, or again: keys and limits are swapped, counters kept.
--- Without `keys` they come from the environment. Chainable.
---@param name string
---@param given? keycycle.ProviderConfig
function methods:register_provider(name, given)
  check_open(self)
  if type(name) ~= "string" or name == "" then invalid "a provider's name is a text" end
  local settings = config.check_provider(name, given or {})
  provider.resolve(name, settings.base_url)
  local lookup = config.environment(self.env_file)
  settings.tier = config.load_tier(name, lookup)
  local keys
  if settings.keys then
    keys = config.read_keys(settings.keys, {
      api_key_param = settings.api_key_param, lookup = lookup,
    })
    settings.keys = nil -- the pool has them: a dump of what is left must not
  else
    keys = config.load_api_keys(name, { lookup = lookup, extra_params = settings.extra_params })
  end
  self:register(name, settings, keys)
  return self
end

local function find(self, name)
  check_open(self)
  local known = self.entries[name]
  if known then return known end
  errors.raise(errors.InvalidConfigurationError, {
    code = "unknown_provider", provider = tostring(name),
    message = ("provider %q is not registered (registered: %s)")
      :format(tostring(name), errors.list(self.entries)),
  })
end

--- A client whose calls rotate over the provider's keys.
---@param name string
---@param class? any a built-in face (keycycle.OpenAI, or keycycle.AsyncOpenAI, whose calls
--- are tasks), or any Lua client's class: a function, or a table with `new` or `__call`
---@param opts? keycycle.CallOptions
function methods:get_rotating_client(name, class, opts)
  local known = find(self, name)
  if faces.is_face(class) then
    faces.check(class, known.adapter)
  elseif functions.is_class(class) then
    return foreign.new(known, class, opts)
  elseif type(class) == "table" and opts == nil and class.face == nil then
    opts = class
  elseif class ~= nil then
    invalid("a client's class is one such as keycycle.OpenAI, a function, or a table with new or "
      .. "__call")
  end
  return proxy.new(known, opts, faces.is_face(class) and class.async)
end

--- A model of the provider: one shape for all of them. It rotates over its keys.
---@param name string
---@param opts? table id, options of a call and fields of the request: see model.lua
function methods:get_model(name, opts)
  return model.new(find(self, name), opts)
end

--- A model over a chain of models, `{ "groq/llama-3.3-70b-versatile", "gemini/…", … }`,
--- with one deadline and one budget of attempts: see model/fallback.lua.
---@param chain table
function methods:fallback(chain)
  check_open(self)
  return fallback.new(chain, function(name, opts) return self:get_model(name, opts) end)
end

--- Opens a connection to the provider ahead of need (name, TCP, TLS), so that the
--- next call finds it warm. Sends no key. Blocks, or yields in a task, until it is
--- there; raises TransportError.
function methods:preconnect(name)
  local known = find(self, name)
  local call <close>, err = core.call { method = "HEAD", url = known.base_url,
    request_timeout = CONNECT_SECONDS, transport = self.transport }
  if not call then error(errors.from_core(err, { provider = name }), 0) end
  task.wait(call)
  local failed = call:error()
  if failed then error(errors.from_core(failed, { provider = name }), 0) end
end

--- The provider's manager: statistics, states, keys.
function methods:get_manager(name)
  return find(self, name).manager
end

--- Writes what was used, at a point of the program's choice (a game that saves): to the
--- database, or by the `save` of its own store. Blocks until it is done. Without a store it
--- does nothing. Raises StoreError.
---@param seconds? number to wait at most for the database, default 5
function methods:save(seconds)
  check_open(self)
  if self.store then self.store:save(seconds) end
end

--- Ends it: waiting calls are refused, usage is written (what could not be, within five
--- seconds, is logged), the writer thread has ended. Idempotent. Later calls raise
--- KeycycleError (`closed`).
function methods:stop()
  check_self(self)
  if self.ended then return end
  self.stopped = true
  for _, known in pairs(self.entries) do known:stop() end
  if self.store then self.store:close() end
  self.ended = true -- not before: what raised for want of memory is done again
end

wrapper_mt.__close = methods.stop
wrapper_mt.__gc = methods.stop
wrapper_mt.__tostring = function(self)
  local n = 0
  for _ in pairs(self.entries) do n = n + 1 end
  return ("MultiClientWrapper (%d providers%s)"):format(n, self.stopped and ", stopped" or "")
end

return wrapper
