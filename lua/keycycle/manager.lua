--- Managers: what a provider's keys have used, what state they are in, and leases
--- for programs with their own HTTP.
local ascii = require "keycycle.ascii"
local choice = require "keycycle.call.choice"
local config = require "keycycle.config"
local errors = require "keycycle.errors"
local events = require "keycycle.events"
local options = require "keycycle.config.options"
local task = require "keycycle.task"
require "keycycle.lease" -- what a program tells the leases that it is given

local ceil, max, type = math.ceil, math.max, type

local manager = {}

local methods = {}
local manager_mt = { __name = "keycycle.manager", __index = methods }
local entries = setmetatable({}, { __mode = "k" })

--- Makes the manager of an entry.
function manager.new(entry)
  local self = setmetatable({ provider = entry.name }, manager_mt)
  entries[self] = entry
  return self
end

local function no_object()
  errors.no_object("manager", "manager:get_key(model)")
end

local function pool_of(self)
  local entry = entries[self] or no_object()
  entry:check_open()
  if entry.store then entry.store:report() end
  return entry.pool, entry
end

-- For statistics an unknown id is nil, not an error.
local function known_key(entry, id)
  local ok, index = pcall(entry.find_key, entry, id)
  if ok then return index end
  if errors.is(index, errors.KeyNotFoundError) then
    if index.code == "ambiguous" or id == 0 then error(index, 0) end
    return nil
  end
  error(index, 0)
end

local function key_line(pool, index, model)
  local key = pool:key(index)
  return { index = index, suffix = key and key.suffix or "",
    snapshot = pool:snapshot(index, model) }
end

local function key_lines(pool, entry, model)
  local list = {}
  for _, index in ipairs(entry:indexes()) do
    list[#list + 1] = key_line(pool, index, model)
  end
  return list
end

--- `{ total, keys = list of { index, suffix, snapshot }, queue = { length, oldest } }`;
--- oldest: seconds that the one who came first waits for a key.
function methods:get_global_stats()
  local pool, entry = pool_of(self)
  local length, oldest = pool:waiting()
  return { total = pool:snapshot(0), keys = key_lines(pool, entry),
    queue = { length = length, oldest = oldest } }
end

--- `{ index, suffix, total, breakdown }` (breakdown by model), or nil.
---@param id integer|string
function methods:get_key_stats(id)
  local pool, entry = pool_of(self)
  local index = known_key(entry, id)
  if not index then return nil end
  local breakdown = {}
  for _, model in ipairs(pool:models()) do
    local s = pool:snapshot(index, model)
    if s.total_requests > 0 or s.in_flight > 0 then breakdown[model] = s end
  end
  return { index = index, suffix = pool:key(index).suffix, total = pool:snapshot(index),
    breakdown = breakdown }
end

--- `{ model_id, total, keys }`.
function methods:get_model_stats(model)
  local pool, entry = pool_of(self)
  return { model_id = model, total = pool:snapshot(0, model),
    keys = key_lines(pool, entry, model) }
end

--- `{ index, suffix, snapshot }`, or nil.
function methods:get_granular_stats(id, model)
  local pool, entry = pool_of(self)
  local index = known_key(entry, id)
  return index and key_line(pool, index, model) or nil
end

--- List of `{ index, suffix, label, state, reason, scope, until_at, group, tier }`.
function methods:keys()
  local pool, entry = pool_of(self)
  local list = {}
  for _, index in ipairs(entry:indexes()) do
    local key = pool:key(index)
    key.tier = entry:tier_of(index)
    list[#list + 1] = key
  end
  return list
end

-- The model that is meant: none is the default one.
local function model_of(entry, model)
  if model == nil then return entry.config.default_model or "" end
  if type(model) == "string" then return model end
  errors.invalid("a model is a text, not a %s", type(model))
end

local no_options = {}

-- Every request of a program with its own HTTP comes this way: nothing but the
-- lease is made on it.
local function lease_from(entry, model, opts, index, pin)
  if type(model) ~= "string" then model = model_of(entry, model) end
  entry:prepare(model)
  local tokens = opts.estimated_tokens
  tokens = tokens and max(0, ceil(tokens)) or 0
  local lease, err = choice.acquire(entry, model, tokens, index, pin, nil, opts.affinity, tokens)
  if lease or not opts.wait or err.code ~= "limited" then return lease, err end
  if entry.pool:clock_is_manual() and not task.may_yield() then return nil, err end
  lease, err = choice.wait(entry, model, tokens, {
    key = index, pin = pin, affinity = opts.affinity, input = tokens, priority = opts.priority,
    timeout = opts.timeout or 10,
  })
  return lease, err
end

--- A lease for `model`, or nil and why: `{ code, retry_after, limit }`.
---@param model? string default_model
---@param opts? table estimated_tokens, wait (default false), timeout, priority,
--- key_id, pin_key, affinity
function methods:get_key(model, opts)
  if not opts then return lease_from(entries[self] or no_object(), model, no_options) end
  options.check(opts)
  local _, entry = pool_of(self)
  local index = opts.key_id and entry:find_key(opts.key_id)
  return lease_from(entry, model, opts, index, opts.pin_key)
end

--- The same of one key and no other. Raises KeyNotFoundError.
function methods:get_specific_key(id, model, opts)
  local _, entry = pool_of(self)
  return lease_from(entry, model, options.check(opts or no_options), entry:find_key(id), true)
end

--- Settles a lease with what was used.
function methods.record_usage(_, lease, tokens)
  return lease:commit(tokens)
end

--- Makes the next choice begin at the next key.
function methods:force_rotate_index()
  pool_of(self):force_rotate()
end

--- Seconds until `model` could be served (0: now; math.huge: when something that
--- is in flight ends), or nil and "impossible" (or "no_key").
function methods:next_available(model, tokens)
  local pool, entry = pool_of(self)
  model = model_of(entry, model)
  entry:prepare(model)
  local seconds, err = pool:next_available(model, tokens or 0)
  if not seconds then return nil, err.code end
  return seconds
end

-- Of all that is in a key's way the engine names what ends last.
local function explain_key(pool, index, model, tokens)
  local key = pool:key(index, model)
  local ok, why = pool:explain(model, tokens, index)
  if not ok and why.code == "no_memory" then error(errors.from_core(why), 0) end
  key.usable = ok == true
  if ok then
    key.retry_after = 0
  else
    key.reason = key.reason or why.code ~= "limited" and why.code or nil
    key.limit, key.window, key.retry_after = why.limit, why.window, why.retry_after
    key.until_at = key.until_at or why.retry_after and pool:now() + why.retry_after or nil
  end
  key.limits, key.used = pool:limits(index, model), pool:snapshot(index, model)
  return key
end

--- Why each key can or cannot serve: list of `{ index, suffix, usable, state,
--- reason, limit, window, until_at, retry_after, limits, used }`. `limit` names what
--- is in the way (a limit, or the state), `window` its seconds where the name does
--- not say, `until_at` (epoch seconds) and `retry_after` until when; nil: until
--- something that is in flight ends, or for good.
---@param model? string default_model
---@param tokens? integer of the request, default 0
function methods:explain(model, tokens)
  local pool, entry = pool_of(self)
  model = model_of(entry, model)
  entry:prepare(model)
  local list = {}
  for _, index in ipairs(entry:indexes()) do
    list[#list + 1] = explain_key(pool, index, model, tokens or 0)
  end
  return list
end

local function on_key(name, method)
  methods[name] = function(self, id)
    local pool, entry = pool_of(self)
    local ok, err = pool[method](pool, entry:find_key(id))
    if not ok then error(errors.from_core(err, { provider = entry.name }), 0) end
    pool:pump()
  end
end

-- reset and enable revive a key from every state; counts are kept. A shared pool is
-- changed for all who share it, here and below: who comes later, or registers again,
-- must give the keys that it has then.
on_key("reset", "enable")
on_key("enable", "enable")
on_key("disable", "disable")
on_key("remove_key", "remove_key")

--- Adds a key at run time, to a shared pool for all; returns its index.
function methods:add_key(key)
  local _, entry = pool_of(self)
  return entry:add_key(config.read_keys({ key }, { api_key_param = entry.config.api_key_param })[1])
end

--- Calls `fn(event)` whenever one of `acquire rotate cooldown invalid recover wait
--- learn` happens, on the loop of this program; see events.lua for the event's fields.
--- Returns a function that ends it.
function methods:on(name, fn)
  local _, entry = pool_of(self)
  return events.on(entry, name, fn)
end

local gauges = {
  { "requests_total", "total_requests", "counter" }, { "tokens_total", "total_tokens", "counter" },
  { "requests_minute", "rpm", "gauge" }, { "tokens_minute", "tpm", "gauge" },
  { "in_flight", "in_flight", "gauge" },
}

-- Of the store of the wrapper, which all its providers share.
local function store_gauges(entry)
  if not entry.store then return {} end
  local s = entry.store:status()
  return { { "store_waiting", s.waiting }, { "store_failing_seconds", s.failing },
    { "store_set_aside", s.set_aside } }
end

--- The counts as Prometheus text, one line a key, the queue, and the store if there is one:
--- counts not written yet, for how long writing has failed, rows refused for good.
function methods:metrics()
  local pool, entry = pool_of(self)
  local out = {}
  local name = entry.name:gsub('[\\"\n]', "_")
  for _, g in ipairs(gauges) do
    out[#out + 1] = ("# TYPE keycycle_%s %s"):format(g[1], g[3])
    for _, index in ipairs(entry:indexes()) do
      out[#out + 1] = ('keycycle_%s{provider="%s",key="%d"} %d')
        :format(g[1], name, index, pool:snapshot(index)[g[2]])
    end
  end
  local length, oldest = pool:waiting()
  local others = store_gauges(entry)
  table.insert(others, 1, { "queue_length", length })
  table.insert(others, 2, { "queue_oldest_seconds", oldest })
  for _, gauge in ipairs(others) do
    out[#out + 1] = ("# TYPE keycycle_%s gauge"):format(gauge[1])
    out[#out + 1] = ('keycycle_%s{provider="%s"} %s')
      :format(gauge[1], name, ascii.point(("%.14g"):format(gauge[2])))
  end
  return table.concat(out, "\n") .. "\n"
end

--- Stops this provider: as the wrapper's stop, for it alone.
function methods:stop()
  local entry = entries[self] or no_object()
  entry:stop()
end

manager_mt.__tostring = function(self) return "keycycle manager of " .. self.provider end

return manager
