--- One registered provider of one wrapper: its adapter, pool and configuration.
---
--- The client and the manager both work on it; it is told when the wrapper stops.
local core = require "keycycle.core"
local config = require "keycycle.config"
local errors = require "keycycle.errors"
local events = require "keycycle.events"
local limit_levels = require "keycycle.limit.levels"
local log = require "keycycle.log"
local provider = require "keycycle.provider"
local stream = require "keycycle.call.stream"

local entry = {}

local methods = {}
local entry_mt = { __name = "keycycle.entry", __index = methods }

local live = setmetatable({}, { __mode = "k" }) -- every entry that is not collected

local UNSHOWN = "(a text that cannot be shown: the keys in it could not be blacked out)"
local ready_states = { ready = true, probing = true }
local by_pool = setmetatable({}, { __mode = "v" }) -- a pool's id -> its entry

local function check(value, err, fields)
  if value == nil then error(errors.from_core(err, fields), 0) end
  return value
end

-- A function would be called in one Lua state for keys that all of them choose.
local function check_shared(self, settings)
  if self.shared and settings.choose then
    errors.invalid("provider %s: a selection function cannot choose from the shared pool %q",
      self.name, self.shared)
  end
end

--- Makes an entry; nothing of it is visible before it is complete.
---@param name string
---@param settings table what config.check_provider returned
---@param keys table entries of config.read_keys or config.load_api_keys
---@param clock? userdata the wrapper's manual clock
---@param shared? string what the pool is to be shared under, see methods:share
function entry.new(name, settings, keys, clock, shared)
  local adapter = provider.resolve(name, settings.base_url)
  local self = setmetatable({ name = name, adapter = adapter, manual_clock = clock,
    shared = shared, keys_noted = 0, closed = false, complete = false,
    streams = setmetatable({}, { __mode = "k" }), -- that are open
    -- Models whose limits all keys have; and those that ever were among them.
    models_seen = {}, models_known = {} }, entry_mt)
  check_shared(self, settings)
  self.scope = settings.strategy or adapter.strategy or "per_model"
  self.pool = check(core.pool {
    provider = name, strategy = self.scope, selection = settings.selection,
    max_wait_queue = settings.max_wait_queue, clock = clock,
    -- Many programs at once must not all begin with the first key; on a clock of
    -- its own a run repeats.
    random_start = clock == nil,
  })
  self:configure(settings, keys)
  live[self] = true
  by_pool[self.pool:id()] = self
  return self
end

--- The entry that a lease came from; nil once it is gone.
---@param lease userdata
function entry.of(lease)
  return by_pool[lease.pool_id]
end

local function add_keys(self, keys)
  local given = {}
  for i, key in ipairs(keys) do
    local index = check(self.pool:add_key(key))
    given[i] = index
    given[key.api_key] = index
  end
  return given
end

-- Keys of an earlier registration that are not given any more.
local function remove_others(self, given)
  local keep = {}
  for _, index in ipairs(given) do keep[index] = true end
  for index = 1, self.pool:key_count() do
    if not keep[index] and self.pool:key(index) then self.pool:remove_key(index) end
  end
end

-- Limit functions have not seen the keys that others have added since.
local function look_for_keys(self)
  local n = self.pool:keys_noted()
  if n ~= self.keys_noted then self.models_seen, self.keys_noted = {}, n end
end

-- Asks for the limits of a model that is new; false: it is known. Who waits is not served
-- yet: there may be others whose limits do not hold before.
local function evaluate(self, model)
  self:check_open()
  if not self.complete then
    errors.raise(errors.KeycycleError, { code = "no_memory", provider = self.name,
      message = "memory ran out while limits were set: register the provider again" })
  end
  if self.shared then look_for_keys(self) end
  if self.models_seen[model] then return false end
  self.plan:evaluate(self.pool, model, self:indexes(), self.shared ~= nil)
  -- Not before: what raised is asked again.
  self.models_seen[model], self.models_known[model] = true, true
  return true
end

-- Asks anew for the limits of all models that are known, then serves who waits.
local function prepare_known(self)
  for model in pairs(self.models_known) do evaluate(self, model) end
  self.pool:pump()
end

--- Sets keys, limits and options, at first and again: counters are kept. Who waits
--- is served when all of it holds; limit functions are asked anew for the models
--- that are known.
function methods:configure(settings, keys)
  local url = settings.base_url or self.adapter.base_url
  local base_url = config.check_base_url(self.name, url, settings.allow_insecure)
  local read = limit_levels.read(self, settings, keys)
  provider.check_params(self.adapter, self.name, base_url, keys)
  local given = add_keys(self, keys)
  remove_others(self, given)
  local plan, tier_names = limit_levels.plan(self, read, keys, given)
  self.config, self.base_url, self.models_seen = settings, base_url, {}
  self.plan, self.plans, self.tier_names = plan, read.plans, tier_names
  self.complete = false -- where memory runs out half the limits are set
  plan:apply(self.pool)
  self.pool:set_selection(settings.selection)
  self.complete, self.keys_noted = true, self.pool:keys_noted()
  prepare_known(self)
end

-- A key that is added and whose limits could not be set must not be used beyond them.
local added_mt = {
  __close = function(added)
    if added.index and not added.limited then added.pool:remove_key(added.index) end
  end,
}

--- Adds a key at run time; returns its index. Who waits is served by it when its
--- limits hold.
---@param key table an entry of config.read_keys
function methods:add_key(key)
  local level = self.plans:level(key.tier)
  local unseen = {} -- made before there is a key without limits
  provider.check_params(self.adapter, self.name, self.base_url, { key })
  local added <close> = setmetatable({ pool = self.pool, index = false, limited = false }, added_mt)
  local index, err = self.pool:add_key(key)
  if index then added.index, self.models_seen = index, unseen end -- at once: the rest takes memory
  check(index, err, { provider = self.name })
  self.tier_names[index] = key.tier
  self.plan:add(index, nil, level)
  self.plan:apply_key(self.pool, index)
  added.limited = true
  self.keys_noted = self.pool:keys_noted()
  prepare_known(self)
  return index
end

-- Asks limit functions about the models that another state has asked them about,
-- each once; false when there was none.
local function ask_limits(self, models, asked)
  local new = false
  for _, model in ipairs(models) do
    if not asked[model] then
      new, asked[model] = true, true
      self.plan:evaluate(self.pool, model, self:indexes(), self.shared ~= nil)
    end
  end
  return new
end

local function raise_differs(self)
  errors.raise(errors.InvalidConfigurationError, {
    code = "differs", provider = self.name,
    message = ("the pool %q is shared already with other keys or limits"):format(self.shared),
  })
end

-- What is known of keys, by the indexes that the same keys have in another pool.
local function take_plan(self, other, from, to)
  local names = {}
  for i, index in ipairs(from) do
    if to[i] then names[to[i]] = other.tier_names[index] end
  end
  self.plan, self.plans, self.tier_names = other.plan:moved(from, to), other.plans, names
end

--- Makes the pool the one that all Lua states of the process share under `shared`, or
--- takes the one that is there if it has the same keys and limits. Before the first
--- lease. Raises InvalidConfigurationError (`differs`); it is to be stopped then.
---@param kept boolean a store is to be attached next
function methods:share(kept)
  local places, asked = self:indexes(), {}
  local ok, err
  repeat
    ok, err = self.pool:share(self.shared, kept)
  until ok or err.code ~= "differs"
    or not ask_limits(self, self.pool:lined_models(self.shared), asked)
  if not ok then
    if err.code == "differs" then raise_differs(self) end
    error(errors.from_core(err, { provider = self.name }), 0)
  end
  by_pool[self.pool:id()] = self
  self.keys_noted = self.pool:keys_noted()
  take_plan(self, self, places, self:indexes())
end

-- Others use the pool: nothing of it may change.
local function take_over(self, settings, keys)
  local other = entry.new(self.name, settings, keys, nil, self.shared)
  ask_limits(other, self.pool:lined_models(self.shared), {})
  local same = other.scope == self.scope and self.pool:same(other.pool)
  other.pool:close()
  if not same then raise_differs(self) end
  self.config, self.base_url, self.models_seen = settings, other.base_url, {}
  take_plan(self, other, other:indexes(), self:indexes())
end

local claim_mt = {
  __close = function(claim)
    if claim.held then claim.pool:release() end
  end,
}

--- Registers it again: as configure, but a pool that others share must be the same.
function methods:configure_again(settings, keys)
  self:check_open()
  check_shared(self, settings)
  local claim <close> = setmetatable({ pool = self.pool, held = false }, claim_mt)
  claim.held = self.pool:claim()
  if claim.held then
    self:configure(settings, keys)
  else
    take_over(self, settings, keys)
  end
end

local function stopped(self)
  return errors.new(errors.KeycycleError, { code = "closed", provider = self.name,
    message = "the wrapper was stopped" })
end

--- Raises when the wrapper was stopped, or the process forked since.
function methods:check_open()
  if core.forked() then
    errors.raise(errors.KeycycleError, { code = "forked", provider = self.name,
      message = "the process was forked: the child needs a Lua state of its own" })
  end
  if self.closed then error(stopped(self), 0) end
end

--- Makes sure that the limits of `model` are known: limit functions are called
--- at its first use and what they say is kept. Raises when they could not be set.
function methods:prepare(model)
  if evaluate(self, model) then self.pool:pump() end
end

--- The indexes of the keys that are there.
function methods:indexes()
  local list = {}
  for index = 1, self.pool:key_count() do
    if self.pool:key(index) then list[#list + 1] = index end
  end
  return list
end

--- How many keys beside `index` can serve `model` as far as their state says.
function methods:keys_ready(model, index)
  local n = 0
  for other = 1, self.pool:key_count() do
    local key = other ~= index and self.pool:key(other, model)
    if key and ready_states[key.state] then n = n + 1 end
  end
  return n
end

local function not_found(self, message, code)
  errors.raise(errors.KeyNotFoundError, {
    code = code or "not_found", provider = self.name, message = message,
  })
end

--- The index of a key by index, last characters, or whole text. Raises
--- KeyNotFoundError.
---@param id integer|string
---@return integer
function methods:find_key(id)
  if math.type(id) == "integer" then
    if id == 0 then not_found(self, "keys count from 1") end
    if id < 0 or not self.pool:key(id) then
      not_found(self, ("there is no key %d"):format(id))
    end
    return id
  end
  if type(id) ~= "string" then not_found(self, "a key is named by its index or its end") end
  local index, err = self.pool:find(id)
  if not index then
    -- The id may be a whole key: it is not repeated.
    not_found(self, err.code == "ambiguous" and "more than one key ends so"
      or "no key is or ends so", err.code)
  end
  return index
end

--- The name of the tier that a key is on; nil where none was named.
---@param index integer
function methods:tier_of(index)
  local named = self.tier_names[index] or self.config.tier
  return named and named.name
end

-- Limits are read anew for the keys that are there; counters are kept.
local function retake(self, base_url)
  local indexes, keys = self:indexes(), {}
  for i, index in ipairs(indexes) do keys[i] = { tier = self.tier_names[index] } end
  local read = limit_levels.read(self, self.config, keys)
  local plan = limit_levels.plan(self, read, keys, indexes)
  local claim <close> = setmetatable({ pool = self.pool, held = false }, claim_mt)
  claim.held = self.pool:claim()
  self.base_url = base_url
  if not claim.held then
    log.warn("the pool %q is shared: it keeps its limits", self.shared)
    return
  end
  self.plan, self.plans, self.models_seen, self.complete = plan, read.plans, {}, false
  plan:apply(self.pool)
  self.complete = true
  prepare_known(self)
end

local function refresh(self)
  local before = self.adapter
  local adapter = provider.resolve(self.name, self.config.base_url)
  local url = self.config.base_url or adapter.base_url
  local base_url = config.check_base_url(self.name, url, self.config.allow_insecure)
  self.adapter = adapter
  local ok, err = pcall(retake, self, base_url)
  if ok then return end
  self.adapter = before
  error(err, 0)
end

--- Takes over what scripts define now, in every provider that is registered. One that
--- cannot keeps what it had, and a warning says so.
function entry.refresh_all()
  for self in pairs(live) do
    if not self.closed then
      local ok, err = pcall(refresh, self)
      if not ok then log.warn("provider %s keeps its definition: %s", self.name, tostring(err)) end
    end
  end
end

--- The providers that have keys, and where these go: a list of `{ name, prefix (of its
--- variables), base_url, given (whether the program gave it) }`.
function entry.hosts()
  local hosts = {}
  for self in pairs(live) do
    if not self.closed then
      hosts[#hosts + 1] = { name = self.name, prefix = provider.env_prefix(self.adapter),
        base_url = self.base_url, given = self.config.base_url ~= nil }
    end
  end
  return hosts
end

--- A text in which no key of any provider stays readable.
---@param text string
---@return string
function entry.hide_keys(text)
  for self in pairs(live) do
    if not self.closed then
      text = self.pool:redact(text)
      if not text then return UNSHOWN end
    end
  end
  return text
end

--- Ends it: waiters are refused, streams end, later calls and reads raise `closed`.
function methods:stop()
  self.closed = true
  if next(self.streams) then stream.stop(self.streams, stopped(self)) end
  if self.pool:close() then events.forget(self) end
end

return entry
