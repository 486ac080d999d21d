--- One call: the one place that owns the budget of attempts and the deadline.
---
--- It takes a lease, makes an attempt, and on a failure asks the classifier what
--- it means, tells the pool what that proves, and asks the policy what to do.
--- A lease is always held in a to-be-closed variable: whatever raises, it ends.
local core = require "keycycle.core"
local attempt = require "keycycle.attempt"
local charge = require "keycycle.charge"
local choice = require "keycycle.choice"
local errors = require "keycycle.errors"
local failure = require "keycycle.failure"
local hold = require "keycycle.hold"
local limit_headers = require "keycycle.limit_headers"
local log = require "keycycle.log"
local penalty = require "keycycle.penalty"
local policy = require "keycycle.policy"
local task = require "keycycle.task"
local usage = require "keycycle.usage"
local wire = require "keycycle.wire"

local call = {}

local DEFAULT_RETRIES = 5
local DEFAULT_WAIT = 10     -- seconds to wait for a key

local function at_most(value, left)
  if not left then return value end
  return value and math.min(value, left) or left
end

-- Seconds that the call may wait before an attempt, for a key or a provider.
local function patience(run)
  if run.opts.wait == false then return 0 end
  return at_most(run.opts.timeout or DEFAULT_WAIT, failure.remaining(run))
end

-- While the provider is down calls are held back; one that cannot wait so long raises.
local function await_provider(run)
  local waited, retry_after = hold.wait(run.pass, run.entry, patience(run))
  if not waited then failure.raise_held(run, retry_after) end
  run.waited = run.waited + waited
end

-- A lease, or it raises. The first choice of a key holds for the first attempt.
local function acquire(run)
  local opts, entry = run.opts, run.entry
  entry:prepare(run.model)
  local key = run.same_key or run.key
  local pin = opts.pin_key or run.same_key ~= nil
  local lease, err = choice.acquire(entry, run.model, run.tokens, key, pin, run.not_key,
    opts.affinity, run.input)
  if not lease and run.same_key and err.code ~= "closed" then
    -- The same key has no room any more: any other will do.
    run.same_key = nil
    lease, err = choice.acquire(entry, run.model, run.tokens, run.key, opts.pin_key, run.not_key,
      opts.affinity, run.input)
  end
  if not lease and err.code == "limited" and opts.wait ~= false then
    local timeout = patience(run)
    if timeout <= 0 then failure.raise_no_lease(run, err) end
    if entry.pool:clock_is_manual() and not task.may_yield() then
      failure.raise_no_lease(run, err)
    end
    local waited
    lease, err, waited = choice.wait(entry, run.model, run.tokens, {
      key = key, pin = opts.pin_key, not_key = run.not_key, affinity = opts.affinity,
      priority = opts.priority, timeout = timeout, input = run.input,
    })
    run.waited = run.waited + waited
  end
  if not lease then failure.raise_no_lease(run, err) end
  run.key = opts.pin_key and run.key or nil
  run.same_key = nil
  return lease
end

local function wait_before_retry(run, seconds, err)
  local left = failure.remaining(run)
  if left and seconds >= left then error(err, 0) end
  if seconds <= 0 then return end
  run.waited = run.waited + seconds
  run.attempts[#run.attempts].waited = seconds
  task.wait_clock(seconds, run.entry.manual_clock, err)
end

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
    run.suspects[#run.suspects + 1] = index
  elseif action == "rotate" then
    penalty.rest(lease, verdict)
  end
  if action == "retry" then run.same_key = index else run.not_key = index end
end

-- Decides after a failed attempt: returns to try again, or raises.
local function after_failure(run, lease, result, verdict)
  local index, name = lease.index, run.entry.name
  run.last = result
  local tried = { key_index = index, status = result.status, kind = verdict.kind, waited = 0 }
  run.attempts[#run.attempts + 1] = tried
  run.key_attempt = run.last_index == index and run.key_attempt + 1 or 1
  run.last_index = index
  local err, known = failure.error(run, verdict), failure.known(run, verdict, index)
  local action, seconds = policy.decide(run.policy, known)
  local last = action == "fail" or #run.attempts > run.max_retries
  if not last or action == "disable" then follow(run, lease, verdict, action, known.keys_ready) end
  tried.action = action
  log.info("%s: key %d answered %s (%s), %s", name, index, result.status or "nothing",
    verdict.kind, action)
  if last then error(err, 0) end
  wait_before_retry(run, seconds, err)
end

-- What an answer that is no success says, and what that proves of the key.
local function judge(run, lease, result, told)
  local adapter = run.adapter
  local verdict = result.transport and failure.of_transport(result)
    or penalty.verdict(adapter, result, told, run.entry.pool:now())
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
  local result = (run.attempt or attempt.run)(run, lease, left)
  local adapter, headers = run.adapter, result.headers or {}
  local told = limit_headers.read(adapter.limit_headers, headers, run.entry.pool:now())
  limit_headers.learn(lease, adapter, headers, told)
  if result.ok then return result end
  return nil, result, judge(run, lease, result, told)
end

local function named(model)
  return type(model) == "string" and model or nil
end

--- Starts a run: the state of one call over all its attempts.
---@param entry table a registered provider
---@param route table method, path, protocol
---@param request table what is sent, already checked and complete
---@param opts table the call's options
function call.new(entry, route, request, opts)
  local chosen = policy.get(opts.policy or entry.config.policy)
  local protocol = wire.protocol(entry.adapter, route.protocol)
  local model = request.model or request.json and named(request.json[opts.model_param or "model"])
    or opts.model or entry.config.default_model or ""
  local estimate = opts.estimated_tokens
    or wire.estimate(entry.adapter, protocol, request.json or {})
  if opts.pin_key and opts.key_id == nil then
    errors.raise(errors.InvalidConfigurationError, { code = "invalid", provider = entry.name,
      message = "pin_key needs key_id: it says which key" })
  end
  local started = core.mono()
  return {
    entry = entry, adapter = entry.adapter, base_url = opts.base_url or entry.base_url,
    route = route, request = request, opts = opts, policy = chosen,
    protocol = protocol, model = model, tokens = math.max(0, math.ceil(estimate)),
    input = protocol and protocol.estimate_input and protocol.estimate_input(request.json or {})
      or nil,
    max_retries = opts.max_retries or chosen.max_retries or DEFAULT_RETRIES,
    attempts = {}, key_attempt = 0, waited = 0, started_at = started, suspects = {},
    deadline_at = opts.deadline and started + opts.deadline,
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
  penalty.confirm(entry, run.model, run.suspects)
  run.attempts[#run.attempts + 1] = {
    key_index = lease.index, status = result.status, kind = "ok", waited = 0,
  }
  result.key_index, result.key_suffix, result.params = lease.index, lease.suffix, lease.params
  if result.stream then
    held.lease = nil
  else
    result.usage = usage.of(run, result.decoded)
    usage.settle(lease, result.usage, run.adapter.charge)
  end
  return result
end

--- Runs it to its answer: a result whose lease is settled, or whose `stream` has
--- taken it over. Raises what API.md section 5 says.
function call.run(run)
  local pass <close> = hold.enter(run.entry)
  run.pass = pass
  while true do
    await_provider(run)
    local held <close> = setmetatable({ lease = acquire(run) }, held_mt)
    local result, failed, verdict = try_once(run, held.lease)
    if result then return succeed(run, held, result) end
    failed.key_suffix = held.lease.suffix
    after_failure(run, held.lease, failed, verdict)
  end
end

return call
