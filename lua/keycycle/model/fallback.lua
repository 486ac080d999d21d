--- Fallback chains: a model over models of several providers, with one deadline and one
--- budget of attempts for all of them.
---
--- First each is asked in turn, and none is waited for: one without a ready key is passed
--- over, one that fails goes over its own keys for as long as that takes no pause and
--- leaves an attempt for each that is still to be asked. Then whichever is free first is
--- waited for and asked again, while budget, deadline and `timeout` last.
local call = require "keycycle.call"
local core = require "keycycle.core"
local errors = require "keycycle.errors"
local log = require "keycycle.log"
local model = require "keycycle.model"
local model_methods = require "keycycle.model.methods"
local options = require "keycycle.config.options"
local policy = require "keycycle.policy"
local waits = require "keycycle.call.waits"

local fallback = {}

local invalid = errors.invalid
local chain_mt = { __name = "keycycle.fallback" }
local states = setmetatable({}, { __mode = "k" }) -- chain -> its models and options

local RETRIES = 5 -- attempts beyond the first, where nothing is said

-- Each model has its own: one for all would be another provider's.
local of_one = { "base_url", "key_id", "model", "pin_key" }

-- What was refused for what it says: another time would not help.
local of_request = { invalid_request = true, context_length = true, request_too_large = true,
  content_policy = true, not_found = true, permission_region = true, impossible = true }

local function check_opts(opts)
  options.check(opts, model.of_request)
  for _, name in ipairs(of_one) do
    if opts[name] ~= nil then
      invalid("a chain has no option %s: make that model with get_model and put it in", name)
    end
  end
  return opts
end

-- Whether another provider may do better; else the program is at fault, or was stopped.
local function is_of_provider(err)
  return errors.is(err, errors.NoAvailableKeyError) or errors.is(err, errors.RateLimitError)
    or errors.is(err, errors.InvalidKeyError) or errors.is(err, errors.APIError)
    or errors.is(err, errors.TransportError)
end

-- The error that tells most: when to come again, else what is wrong with the request, else
-- with keys, else the last one's.
local function telling(members)
  local soonest, refusal, of_key, last
  for _, member in ipairs(members) do
    local err = member.err
    if err and of_request[err.code] then
      refusal = refusal or err
    elseif err and errors.is(err, errors.InvalidKeyError) then
      of_key = of_key or err
    elseif err and err.retry_after then
      if not soonest or err.retry_after < soonest.retry_after then soonest = err end
    else
      last = err or last
    end
  end
  return soonest or refusal or of_key or last
end

-- A member's answer; nil where another one is to be asked.
local function ask(chain, member)
  local given, before = member.prepared, chain.tried
  member.run = member.run or call.new(given.entry, given.route, given.request, given.opts, chain)
  local run = member.run
  run.ready_at = nil
  local ok, result = pcall(call.run, run)
  if ok then
    run.waited = chain.waited
    return result
  end
  if not is_of_provider(result) then error(result, 0) end
  member.err, chain.last = result, result
  if chain.tried == before then
    chain.attempts[#chain.attempts + 1] = { provider = run.entry.name, model = run.model,
      kind = result.code, waited = 0, action = "next" }
  end
  log.info("the chain goes on after %s (%s)", run.entry.name, result.code)
  return nil
end

-- Seconds until a member may be asked again; nil: it is of no use.
local function free_in(member)
  local run = member.run
  if run.gave_up or member.out then return nil end
  local pool, breaker = run.entry.pool, run.entry.breaker
  local key = run.opts.pin_key and run.key or nil
  local seconds, err = pool:next_available(run.model, run.tokens, key)
  if not seconds then
    if err.code == "no_memory" then error(errors.from_core(err), 0) end
    return nil
  end
  local now = pool:now()
  return math.max(seconds, run.ready_at and run.ready_at - now or 0,
    breaker and breaker:retry_after(now) or 0)
end

-- The member that is free first, if it is worth waiting for.
local function first_free(members)
  local first, least
  for _, member in ipairs(members) do
    local seconds = free_in(member)
    if seconds and (not first or seconds < least) and seconds <= waits.patience(member.run) then
      first, least = member, seconds
    end
  end
  return first
end

local function is_late(chain)
  return chain.deadline_at and core.mono() >= chain.deadline_at
end

-- Asks each in turn: the one that answered, and its result.
local function in_turn(chain, members)
  for i, member in ipairs(members) do
    if i > 1 and (chain.tried >= chain.budget or is_late(chain)) then return nil end
    chain.most = math.max(chain.tried + 1, chain.budget - (#members - i))
    local result = ask(chain, member)
    if result then return member, result end
  end
end

-- Waits for whichever is free first, again and again.
local function by_waiting(chain, members)
  chain.hurry, chain.most = false, chain.budget
  while chain.tried < chain.budget and not is_late(chain) do
    local member = first_free(members)
    if not member then return nil end
    local run, tried, waited = member.run, chain.tried, chain.waited
    if run.ready_at then
      waits.for_retry(run, run.ready_at - run.entry.pool:now(), telling(members))
    end
    local result = ask(chain, member)
    if result then return member, result end
    -- What was free, and then not, would be so again at once.
    member.out = chain.tried == tried and chain.waited == waited
  end
end

local function budget_of(opts, members)
  local retries = opts.max_retries or opts.policy and policy.get(opts.policy).max_retries
  return 1 + (retries or math.max(RETRIES, #members - 1))
end

local function send(prepared)
  local members, opts = prepared.members, prepared.opts
  local chain = { attempts = {}, tried = 0, most = 0, waited = 0, hurry = true, last = false,
    budget = budget_of(opts, members),
    deadline_at = opts.deadline and core.mono() + opts.deadline }
  local member, result = in_turn(chain, members)
  if not member then member, result = by_waiting(chain, members) end
  if member then return member.run, result end
  error(is_late(chain) and chain.last or telling(members), 0)
end

local function prepare(self, prompt, opts, stream)
  local state = states[self] or model.raise_no_model()
  local all = options.merge(state.opts, check_opts(opts or {}))
  local members = {}
  for i, one in ipairs(state.models) do
    members[i] = { prepared = model.prepare(one, prompt, all, stream) }
  end
  return { members = members, opts = all }
end

chain_mt.__index = model_methods.new(prepare, send)

chain_mt.__tostring = function(self) return "fallback over " .. self.id end

-- "provider/model", or a model.
local function model_of(item, place, make)
  if model.is_model(item) then return item end
  local provider, id
  if type(item) == "string" then provider, id = item:match "^([^/]+)/?(.*)$" end
  if not provider then
    invalid("item %d of a chain must be \"provider/model\" or a model of get_model", place)
  end
  return make(provider, id ~= "" and { id = id } or nil)
end

--- Makes a chain. It is asked as a model is; `keycycle.info` of an answer tells whose it is
--- and the whole trail: `attempts` has `{ provider, model, key_index, status, kind, waited,
--- action }`, without key_index for one that was passed over (action "next"). What a program
--- did wrong is raised at once; what providers say, when all have been asked: the error that
--- the deadline ended with, else the one with the shortest retry_after, else the first that
--- refused the request, else the first of keys, else the last. Raises
--- InvalidConfigurationError.
---@param given table a list of "provider/model" (whose ids may hold more "/"; a provider
--- alone has its default model) and models of get_model, which keep their own options; and
--- by name the options of all of them: `timeout` (10 s) is all that it waits in all,
--- `max_retries` the attempts of all beyond the first (5, or one for each)
---@param make fun(provider: string, opts: table?): table makes the model of a text
---@return table model with the methods invoke, ainvoke, invoke_stream, ainvoke_stream
function fallback.new(given, make)
  if type(given) ~= "table" then invalid("a chain is a list of models, not a %s", type(given)) end
  local models, names, opts = {}, {}, {}
  for i, item in ipairs(given) do
    models[i] = model_of(item, i, make)
    names[i] = models[i].provider .. (models[i].id and "/" .. models[i].id or "")
  end
  for k, v in pairs(given) do
    if not models[k] then opts[k] = v end
  end
  check_opts(opts)
  if #models == 0 then invalid "a chain needs at least one model, as \"groq/llama-3.3-70b\"" end
  local self = setmetatable({ id = table.concat(names, ", ") }, chain_mt)
  states[self] = { models = models, opts = opts }
  return self
end

return fallback
