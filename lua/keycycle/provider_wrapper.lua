--- MultiProviderWrapper: one provider with its keys, over a MultiClientWrapper of its own.
---
--- What it adds are keys as texts, for programs that send with something else: a key is
--- leased as for any call, and what it was used for is recorded by the key alone.
local config = require "keycycle.config"
local errors = require "keycycle.errors"
local faces = require "keycycle.faces"
local failure = require "keycycle.call.failure"
local handed = require "keycycle.handed"
local later = require "keycycle.later"
local log = require "keycycle.log"
local task = require "keycycle.task"
local wrapper = require "keycycle.wrapper"

local stat_tables = later.module "keycycle.report.statistics"

local invalid = errors.invalid

local provider_wrapper = {}

local methods = {}
local wrapper_mt = { __name = "keycycle.MultiProviderWrapper", __index = methods }

-- One of two names of a model, or nil.
local function one_model(where, first, a, second, b)
  if a ~= nil and b ~= nil and a ~= b then
    invalid("%s: %s and %s differ: give one", where, first, second)
  end
  local model = a == nil and b or a
  if model ~= nil and (type(model) ~= "string" or model == "") then
    invalid("%s: %s must be the name of a model", where, a ~= nil and first or second)
  end
  return model
end

local function raise_unknown(name)
  local known = { default_model_id = true, provider = true }
  for _, list in ipairs { wrapper.options, config.provider_fields } do
    for k in pairs(list) do known[k] = true end
  end
  invalid("MultiProviderWrapper has no option %q (known: %s)", tostring(name), errors.list(known))
end

-- The one table of options as the provider's name, its configuration, the wrapper's options.
local function split(opts)
  if type(opts) ~= "table" then
    invalid("MultiProviderWrapper needs { provider = … }, not a %s", type(opts))
  end
  local settings, general = {}, {}
  for k, v in pairs(opts) do
    if wrapper.options[k] then
      general[k] = v
    elseif config.provider_fields[k] then
      settings[k] = v
    elseif k ~= "provider" and k ~= "default_model_id" then
      raise_unknown(k)
    end
  end
  local name = opts.provider
  if type(name) ~= "string" or name == "" then
    invalid "MultiProviderWrapper needs provider, the name of one"
  end
  settings.default_model = one_model("MultiProviderWrapper", "default_model_id",
    opts.default_model_id, "default_model", opts.default_model)
  return name, settings, general
end

-- Around a MultiClientWrapper that has the provider.
local function around(inner, name)
  local entry = inner.entries[name]
  local self = setmetatable({ provider = name, manager = inner:get_manager(name),
    default_model_id = entry.config.default_model, inner = inner, entry = entry,
    handed = handed.new() }, wrapper_mt)
  task.stop_at_close(self)
  return self
end

--- Makes a wrapper of one provider, its keys from the environment.
---
--- opts: provider (a name), default_model_id (or default_model), and in the same table all
--- options of MultiClientWrapper.new and all of ProviderEnvConfig. Its fields are
--- `provider`, `default_model_id` and `manager`. Raises as MultiClientWrapper.from_env;
--- unknown options raise, too.
function provider_wrapper.from_env(opts)
  local name, settings, general = split(opts)
  return around(wrapper.from_env({ [name] = settings }, general), name)
end

--- The same with `keys` in the table; without them they come from the environment.
function provider_wrapper.new(opts)
  local name, settings, general = split(opts)
  local inner <const> = wrapper.new(general)
  local ok, made = pcall(function()
    return around(inner:register_provider(name, settings), name)
  end)
  if ok then return made end
  inner:stop()
  error(made, 0)
end

--- A client whose calls rotate over the keys: as of MultiClientWrapper, without the
--- provider.
---@param class? any
---@param opts? keycycle.CallOptions
function methods:get_rotating_client(class, opts)
  return self.inner:get_rotating_client(self.provider, class, opts)
end

--- The client with OpenAI's paths. Raises InvalidConfigurationError where the provider
--- has none of them.
---@param opts? keycycle.CallOptions
function methods:get_openai_client(opts)
  return self:get_rotating_client(faces.all.OpenAI, opts)
end

--- The same, each call of which is a task.
function methods:get_async_openai_client(opts)
  return self:get_rotating_client(faces.all.AsyncOpenAI, opts)
end

--- A model that rotates over the keys.
---@param opts? keycycle.ModelOptions
function methods:get_model(opts)
  return self.inner:get_model(self.provider, opts)
end

--- Opens a connection to the provider ahead of need. Raises TransportError.
function methods:preconnect()
  return self.inner:preconnect(self.provider)
end

local function check_fields(where, opts, known)
  if opts == nil then return {} end
  if type(opts) ~= "table" then invalid("%s: options are a table, not a %s", where, type(opts)) end
  for k in pairs(opts) do
    if not known[k] then
      invalid("%s: there is no option %q (known: %s)", where, tostring(k), errors.list(known))
    end
  end
  return opts
end

local wish_fields = { model = true, model_id = true, estimated_tokens = true, wait = true,
  timeout = true, priority = true, affinity = true, key_id = true, pin_key = true }

-- The model and the options of manager:get_key.
local function read_wish(opts)
  opts = check_fields("get_key_usage", opts, wish_fields)
  local wish = {}
  for k, v in pairs(opts) do wish[k] = v end
  wish.model, wish.model_id = nil, nil
  if wish.wait == nil then wish.wait = true end
  if wish.pin_key and wish.key_id == nil then
    invalid "get_key_usage: pin_key needs key_id: it says which key"
  end
  if wish.pin_key == nil then wish.pin_key = wish.key_id ~= nil end
  return one_model("get_key_usage", "model_id", opts.model_id, "model", opts.model), wish
end

--- A lease of a key for one request of the program's own; the program settles it
--- (`commit`, `fail`, `cancel`), or it ends as unknown when it is collected.
---
--- opts: model_id (or model; default_model_id), estimated_tokens (0), wait (true), timeout
--- (10 seconds), priority, affinity, key_id (that key and no other, unless pin_key is
--- false). Blocks, or yields in a task. Raises NoAvailableKeyError, RateLimitError,
--- InvalidKeyError, KeyNotFoundError.
---@return userdata lease
function methods:get_key_usage(opts)
  local model, wish = read_wish(opts)
  local lease, err = self.manager:get_key(model, wish)
  if lease then return lease end
  failure.raise_no_lease({ entry = self.entry, tokens = wish.estimated_tokens or 0,
    model = model or self.default_model_id or "" }, err)
end

local function note(self, lease, lent)
  self.handed:keep(lease, lent)
  return lease.api_key
end

-- The key of a lease, which is noted; one that is not handed out after all was never used.
local function hand_out(self, lease, lent)
  local ok, key = pcall(note, self, lease, lent)
  if ok then return key end
  lease:cancel()
  error(key, 0)
end

--- A key as a text, for a program that sends with something else. It counts as one
--- request in flight until `record_key_usage` tells what it used, or for ten minutes:
--- then what was reserved stays counted.
---@param opts? table of get_key_usage, which raises the same
---@return string api_key
function methods:get_api_key(opts)
  return hand_out(self, self:get_key_usage(opts), false)
end

--- A key and its lease, which the program settles: by the lease, or by record_key_usage.
---@param opts? table of get_key_usage
---@return string api_key, userdata lease
function methods:get_api_key_with_context(opts)
  local lease = self:get_key_usage(opts)
  return hand_out(self, lease, true), lease
end

local record_fields = { model_id = true, model = true, actual_tokens = true,
  estimated_tokens = true }
local MOST_TOKENS = 2 ^ 53 -- what JSON's numbers hold exactly

local function tokens_of(opts, name)
  if opts[name] == nil then return nil end
  local n = math.tointeger(opts[name])
  if not n or n < 0 or n > MOST_TOKENS then
    invalid("record_key_usage: %s must be a whole number, not negative", name)
  end
  return n
end

local function index_of(self, api_key)
  local ok, index = pcall(self.entry.find_key, self.entry, api_key)
  if ok then return index end
  return self.handed:index_of(api_key) or error(index, 0)
end

--- Records what was used of a key: settles the oldest lease of it that get_api_key, else
--- get_api_key_with_context has handed out, for `model_id` where that is given. Where
--- none is out (one has ended by its age, or was never got) it is counted as a request of
--- its own, whatever the key's limits and state say: it was made.
---@param api_key string the key, its end or its index; raises KeyNotFoundError
---@param opts? table model_id (or model), actual_tokens, estimated_tokens (counted where
--- actual_tokens are not known; neither: what was reserved)
function methods:record_key_usage(api_key, opts)
  opts = check_fields("record_key_usage", opts, record_fields)
  local model = one_model("record_key_usage", "model_id", opts.model_id, "model", opts.model)
  local actual, estimated = tokens_of(opts, "actual_tokens"), tokens_of(opts, "estimated_tokens")
  local entry, used = self.entry, actual or estimated
  entry:check_open()
  local index = index_of(self, api_key)
  if self.handed:settle(index, model, used) then return end
  model = model or self.default_model_id or ""
  entry:prepare(model)
  local lease <close>, err = entry.pool:acquire(model, 0, index, true, nil, nil, nil, true)
  if not lease then error(errors.from_core(err, { provider = entry.name, model = model }), 0) end
  lease:commit(used)
end

--- Writes a table of every key: requests and tokens by minute, hour and day, in all, how
--- full the fullest window is, the state. Bars and colours on a terminal only.
---@param out? table an open file, or what has a method write; nil: standard output
function methods:print_global_stats(out)
  stat_tables.global(self.entry, out)
end

--- Writes a table of one key, by model; a line that says so where there is no such key.
---@param id integer|string its index, its end or the whole key
---@param out? table
function methods:print_key_stats(id, out)
  stat_tables.key(self.entry, id, out)
end

local function check_model(model)
  if type(model) ~= "string" then invalid("a model is a text, not a %s", type(model)) end
end

--- Writes a table of one model, by the keys that have served it.
---@param model string
---@param out? table
function methods:print_model_stats(model, out)
  check_model(model)
  stat_tables.model(self.entry, model, out)
end

--- Writes each window of one key and model beside its limit.
---@param id integer|string
---@param model string
---@param out? table
function methods:print_granular_stats(id, model, out)
  check_model(model)
  stat_tables.granular(self.entry, id, model, out)
end

--- Has the library's log say everything, or as much as before; it is one log for all
--- wrappers of the program.
---@param on? boolean nil: the other way
---@return boolean on
function methods:toggle_debug(on)
  local level = log.level()
  if on == nil then on = level ~= "debug" end
  if on and level ~= "debug" then self.level_before = level end
  if on then
    log.set_level "debug"
  elseif level == "debug" then
    log.set_level(self.level_before or "warn")
  end
  return on and true or false
end

--- As MultiClientWrapper's: writes now what was used.
---@param seconds? number
function methods:save(seconds)
  self.inner:save(seconds)
end

--- As MultiClientWrapper's: settles, writes, ends. Idempotent; later calls raise `closed`.
function methods:stop()
  self.handed:close()
  self.inner:stop()
end

wrapper_mt.__close = methods.stop
wrapper_mt.__tostring = function(self)
  return ("MultiProviderWrapper (%s%s)"):format(self.provider,
    self.inner.stopped and ", stopped" or "")
end

return provider_wrapper
