--- One call: the one place that owns the budget of attempts and the deadline.
---
--- It takes a lease (call/waits.lua), makes an attempt, and on a failure asks the classifier
--- what it means, tells the pool what that proves, and asks the policy what to do.
--- A lease is always held in a to-be-closed variable: whatever raises, it ends.
local core = require "keycycle.core"
local attempt = require "keycycle.call.attempt"
local charge = require "keycycle.limit.charge"
local errors = require "keycycle.errors"
local failure = require "keycycle.call.failure"
local hold = require "keycycle.call.hold"
local limit_headers = require "keycycle.limit.headers"
local log = require "keycycle.log"
local penalty = require "keycycle.refusal.penalty"
local policy = require "keycycle.policy"
local task = require "keycycle.task"
local usage = require "keycycle.call.usage"
local waits = require "keycycle.call.waits"
local wire = require "keycycle.call.wire"

local call = {}

local DEFAULT_RETRIES = 5

-- Has the pool and the next attempt do what the policy says.
local function follow(run, lease, verdict, action, others)
  local index = lease.index
  if action == "disable" then
    penalty.take_out(lease, verdict, run.last.status)
    if others == 0 then
      log.warn("%s: key %d is taken out (%s), and no other is ready", run.entry.name, index,
        verdict.kind)
    end
  elseif action == "rotate" and penalty.is_no_access(verdict) then
    penalty.suspect(lease)
    run.suspects = run.suspects or {}
    run.suspects[#run.suspects + 1] = index
  elseif action == "rotate" then
    penalty.rest(lease, verdict)
  end
  if action == "retry" then run.same_key = index else run.not_key = index end
end

-- Notes an attempt; in a chain it tells whose it was.
local function note(run, tried)
  local chain = run.chain
  if chain then
    chain.tried = chain.tried + 1
    tried.provider, tried.model = run.entry.name, run.model
  end
  run.attempts[#run.attempts + 1] = tried
  run.tried, run.tries = tried, run.tries + 1
end

-- Decides after a failed attempt: returns to try again, or raises.
local function after_failure(run, lease, result, verdict)
  local index, name = lease.index, run.entry.name
  run.last = result
  local tried = { key_index = index, status = result.status, kind = verdict.kind, waited = 0,
    sends = result.sends }
  note(run, tried)
  run.key_attempt = run.last_index == index and run.key_attempt + 1 or 1
  run.last_index = index
  local err, known = failure.error(run, verdict), failure.known(run, verdict, index)
  local action, seconds = policy.decide(run.policy, known)
  run.gave_up = action == "fail" or run.tries > run.max_retries
  if not run.gave_up or action == "disable" then
    follow(run, lease, verdict, action, known.keys_ready)
  end
  tried.action = action
  log.info("%s: key %d answered %s (%s), %s", name, index, result.status or "nothing",
    verdict.kind, action)
  if run.gave_up then error(err, 0) end
  local chain = run.chain
  if chain and (seconds > 0 or chain.tried >= chain.most) then -- it may ask another meanwhile
    if action == "retry" then penalty.rest(lease, verdict) end
    run.ready_at = run.entry.pool:now() + seconds
    error(err, 0)
  end
  waits.for_retry(run, seconds, err)
end

-- What a refusal means, by its body and its headers.
local function read_refusal(run, result)
  local now = run.entry.pool:now()
  local told = limit_headers.read(run.adapter.limit_headers, result.headers or {}, now)
  return penalty.verdict(run.adapter, result, told, now)
end

-- What an answer that is no success says, and what that proves of the key.
local function judge(run, lease, result)
  local adapter = run.adapter
  local verdict = result.transport and failure.of_transport(result) or read_refusal(run, result)
  if not lease.settled then
    charge.fail(lease, adapter.charge, not result.transport and result.status or nil, result.sent)
  end
  penalty.cool(lease, verdict, run.entry.config)
  hold.tell(run.pass, run.entry, verdict)
  return verdict
end

-- One attempt with one lease: the answer, or nil, result, verdict.
local function try_once(run, lease)
  local left = failure.remaining(run)
  if left and left <= 0 then
    lease:cancel()
    failure.raise_deadline(run)
  end
  -- Whose attempt it is, read once: each is a call into the pool.
  run.key_index, run.key_suffix, run.params = lease.index, lease.suffix, lease.params
  local result = (run.attempt or attempt.run)(run, lease, left)
  if result.headers then limit_headers.learn(lease, run.adapter, result.headers) end
  if result.ok then return result end
  return nil, result, judge(run, lease, result)
end

local function named(model)
  return type(model) == "string" and model or nil
end

--- Starts a run: the state of one call over all its attempts.
---@param entry table a registered provider
---@param route table method, path, protocol
---@param request table what is sent, already checked and complete
---@param opts table the call's options
---@param chain? table what the calls of a chain have in common: attempts (the trail),
--- tried (how many of these were sent), most (how many may be, before the chain is asked
--- again), waited (seconds), hurry (do not wait), deadline_at
function call.new(entry, route, request, opts, chain)
  local chosen = policy.get(opts.policy or entry.config.policy)
  local protocol = wire.protocol(entry.adapter, route.protocol)
  local model = request.model or request.json and named(request.json[opts.model_param or "model"])
    or opts.model or entry.config.default_model or ""
  local json = request.json or {}
  local input = protocol and protocol.estimate_input and protocol.estimate_input(json) or nil
  local estimate = opts.estimated_tokens or wire.estimate(entry.adapter, protocol, json, input)
  if opts.pin_key and opts.key_id == nil then
    errors.raise(errors.InvalidConfigurationError, { code = "invalid", provider = entry.name,
      message = "pin_key needs key_id: it says which key" })
  end
  local started, ends = core.mono(), chain and chain.deadline_at
  if opts.deadline then ends = math.min(started + opts.deadline, ends or math.huge) end
  return {
    entry = entry, adapter = entry.adapter, base_url = opts.base_url or entry.base_url,
    route = route, request = request, opts = opts, policy = chosen,
    protocol = protocol, model = model, tokens = math.max(0, math.ceil(estimate)),
    input = input,
    max_retries = opts.max_retries or chosen.max_retries or DEFAULT_RETRIES,
    chain = chain, attempts = chain and chain.attempts or {}, tries = 0, key_attempt = 0,
    waited = 0, started_at = started, deadline_at = ends,
    key = opts.key_id and entry:find_key(opts.key_id) or nil,
  }
end

-- A lease that ends with the block it is held in, unless it was handed on.
local held_mt = {
  __close = function(held)
    if held.lease then held.lease:close() end
  end,
}

-- Takes in an answer: its lease is settled, or its stream takes it over.
local function succeed(run, held, result)
  local lease, entry = held.lease, run.entry
  hold.tell(run.pass, entry)
  if run.suspects then penalty.confirm(entry, run.model, run.suspects) end
  note(run, { key_index = run.key_index, status = result.status, kind = "ok", waited = 0,
    sends = result.sends })
  if result.stream then
    held.lease = nil
  else
    result.usage = usage.of(run, result.decoded)
    usage.settle(lease, result.usage, run.adapter.charge)
  end
  return result
end

--- Runs it to its answer: a result whose lease is settled, or whose `stream` has
--- taken it over. Raises error objects, see errors.lua. In a chain it raises instead of
--- waiting for its next attempt, `ready_at` (by its pool's clock) being the time of that;
--- run again it goes on there, unless it `gave_up`.
function call.run(run)
  task.pause()
  local pass <close> = hold.enter(run.entry)
  run.pass = pass
  while true do
    waits.for_provider(run)
    local held <close> = setmetatable({ lease = waits.for_lease(run) }, held_mt)
    local result, failed, verdict = try_once(run, held.lease)
    if result then return succeed(run, held, result) end
    failed.key_suffix = run.key_suffix
    after_failure(run, held.lease, failed, verdict)
  end
end

return call
