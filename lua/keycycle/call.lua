--- One call: the one place that owns the budget of attempts and the deadline.
---
--- It takes a lease, makes an attempt, and on a failure asks the classifier what
--- it means, tells the pool what that proves, and asks the policy what to do.
--- A lease is always held in a to-be-closed variable: whatever raises, it ends.
local core = require "keycycle.core"
local attempt = require "keycycle.attempt"
local choice = require "keycycle.choice"
local classify = require "keycycle.classify"
local errors = require "keycycle.errors"
local limit_headers = require "keycycle.limit_headers"
local log = require "keycycle.log"
local policy = require "keycycle.policy"
local task = require "keycycle.task"
local usage = require "keycycle.usage"
local wire = require "keycycle.wire"

local call = {}

local DEFAULT_RETRIES = 5
local DEFAULT_WAIT = 10     -- seconds to wait for a key

local function fields_of(run, more)
  local fields = { provider = run.entry.name, model = run.model, attempts = run.attempts }
  local last = run.last
  if last then
    fields.status, fields.body, fields.key_suffix = last.status, last.body, last.key_suffix
  end
  for k, v in pairs(more or {}) do fields[k] = v end
  return fields
end

-- Seconds left of the deadline; nil: there is none.
local function remaining(run)
  if not run.deadline_at then return nil end
  return run.deadline_at - core.mono()
end

local function raise_deadline(run)
  errors.raise(errors.TimeoutError, fields_of(run, {
    code = "timeout", message = "the deadline of the call is over",
  }))
end

local function at_most(value, left)
  if not left then return value end
  return value and math.min(value, left) or left
end

-- Waits for a lease in the pool's queue.
local function wait_for_lease(run, key, timeout)
  local opts = run.opts
  local waiter <close>, err = run.entry.pool:wait(run.model, run.tokens, {
    key = key, pin = opts.pin_key, not_key = run.not_key,
    affinity = opts.affinity, priority = opts.priority, timeout = timeout, input = run.input,
  })
  if not waiter then return nil, err end
  local started = run.entry.pool:now()
  task.wait(waiter)
  run.waited = run.waited + (run.entry.pool:now() - started)
  return waiter:take()
end

-- A limit's name, with the length of its window where that does not say it.
local function name_of(err)
  local name = err.limit or ""
  return err.window and ("%s (%.14g s)"):format(name, err.window) or name
end

local function raise_no_lease(run, err)
  local fields = fields_of(run)
  if err.code == "limited" and run.last and run.last.status == 429 then
    fields.message = "every key is at its limit, by the provider's word"
  elseif err.code == "limited" and err.limit and err.limit ~= "" then
    fields.message = "every key is at its limit: " .. name_of(err)
  elseif err.code == "no_key" then
    fields.message = "no key is usable: each is suspended, invalid, disabled or unpaid"
  elseif err.code == "impossible" and err.max == 0 then
    fields.message = name_of(err) .. " is 0: that is blocked"
  elseif err.code == "impossible" then
    fields.message = ("the request (%d tokens) is larger than the limit %s%s")
      :format(run.tokens, name_of(err), err.max and " of " .. err.max or "")
  end
  error(errors.from_core(err, fields), 0)
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
    local timeout = at_most(opts.timeout or DEFAULT_WAIT, remaining(run))
    if timeout <= 0 then raise_no_lease(run, err) end
    if entry.pool:clock_is_manual() and not task.may_yield() then raise_no_lease(run, err) end
    lease, err = wait_for_lease(run, key, timeout)
  end
  if not lease then raise_no_lease(run, err) end
  run.key = opts.pin_key and run.key or nil
  run.same_key = nil
  return lease
end

-- Tells the pool what the failure proves about the key.
local function settle_refusal(run, lease, result, verdict)
  local pool, index = run.entry.pool, lease.index
  if lease.settled then return end
  if not result.status then
    if result.sent then lease:cancel { sent = true } else lease:cancel() end
    return
  end
  if result.status >= 500 then
    lease:cancel { sent = true } -- what a broken server counted is unknown
  else
    lease:refuse()
  end
  if verdict.kind == "quota" then
    local one = run.entry.scope == "per_model" and classify.is_of_model(verdict)
    local model = one and run.model or nil
    local delay = classify.cooling(verdict) or run.entry.config.cooldown_seconds
    pool:cool(index, model, delay, "429")
  end
end

-- The pool's part of "disable": auth is confirmed by a probe, money by nobody.
local function take_out(run, index, verdict)
  if verdict.kind == "payment" then
    run.entry.pool:unpaid(index, "payment required")
  else
    run.entry.pool:suspend(index, nil, "refused: " .. (run.last.status or "auth"))
  end
end

local function final_error(run, verdict)
  local last = run.last
  if not last.status or last.transport then
    return errors.from_core(last.err or { code = "garbage", message = last.message },
      fields_of(run))
  end
  local message = last.message or ("the provider answered with status " .. last.status)
  local fields = fields_of(run, {
    message = message, code = verdict.kind, retry_after = classify.cooling(verdict),
  })
  if classify.is_limit(verdict, last.status) then
    fields.code = "rate_limited"
    return errors.new(errors.RateLimitError, fields)
  end
  if verdict.kind == "auth" or verdict.kind == "payment" then
    return errors.new(errors.InvalidKeyError, fields)
  end
  return errors.new(errors.APIError, fields)
end

-- Transport failures, in the classifier's terms.
local function transport_verdict(result)
  local code = result.err and result.err.code or "garbage"
  if code == "connect" or code == "resolve" or code == "cut" then
    return { kind = "server", scope = "provider" }
  end
  return { kind = "transport", scope = "request" }
end

local function failure_of(run, verdict, index)
  local last = run.attempts[#run.attempts]
  return {
    kind = verdict.kind, scope = verdict.scope, window = verdict.window,
    retry_after = classify.cooling(verdict), status = last.status, provider = run.entry.name,
    model = run.model, key_index = index, attempt = #run.attempts,
    key_attempt = run.key_attempt, elapsed = core.mono() - run.started_at,
    remaining = remaining(run), keys_ready = run.entry:keys_ready(run.model),
    streaming = run.request.stream == true,
  }
end

local function wait_before_retry(run, seconds, err)
  local left = remaining(run)
  if left and seconds >= left then error(err, 0) end
  if seconds <= 0 then return end
  run.waited = run.waited + seconds
  run.attempts[#run.attempts].waited = seconds
  task.wait_clock(seconds, run.entry.manual_clock, err)
end

-- Decides after a failed attempt: returns to try again, or raises.
local function after_failure(run, index, result, verdict)
  run.last = result
  run.attempts[#run.attempts + 1] = {
    key_index = index, status = result.status, kind = verdict.kind, waited = 0,
  }
  run.key_attempt = run.last_index == index and run.key_attempt + 1 or 1
  run.last_index = index
  local err = final_error(run, verdict)
  local action, seconds = policy.decide(run.policy, failure_of(run, verdict, index))
  if action == "disable" then take_out(run, index, verdict) end
  if action == "fail" then error(err, 0) end
  if #run.attempts > run.max_retries then error(err, 0) end
  if action == "retry" then
    run.same_key = index
  else
    run.not_key = index
  end
  log.info("%s: key %d answered %s (%s), %s", run.entry.name, index,
    result.status or "nothing", verdict.kind, action)
  wait_before_retry(run, seconds, err)
end

-- One attempt with one lease: the answer, or nil, result, verdict.
local function try_once(run, lease)
  local left = remaining(run)
  if left and left <= 0 then
    lease:cancel()
    raise_deadline(run)
  end
  local result = attempt.run(run, lease, left)
  local adapter, headers = run.entry.adapter, result.headers or {}
  local told = limit_headers.read(adapter.limit_headers, headers, core.now())
  limit_headers.learn(lease, adapter, headers, told)
  if result.ok then return result end
  if result.transport then
    local verdict = transport_verdict(result)
    settle_refusal(run, lease, { sent = result.sent }, verdict)
    return nil, result, verdict
  end
  local verdict = classify.classify(adapter, result)
  if verdict.kind == "quota" and not verdict.retry_after then
    verdict.retry_after = limit_headers.wait(told)
  end
  settle_refusal(run, lease, result, verdict)
  return nil, result, verdict
end

--- Starts a run: the state of one call over all its attempts.
---@param entry table a registered provider
---@param route table method, path, protocol
---@param request table what is sent, already checked and complete
---@param opts table the call's options
function call.new(entry, route, request, opts)
  local chosen = policy.get(opts.policy or entry.config.policy)
  local protocol = wire.protocol(entry.adapter, route.protocol)
  local model = request.model or request.json and request.json[opts.model_param or "model"]
    or opts.model or entry.config.default_model or ""
  local estimate = opts.estimated_tokens
    or wire.estimate(entry.adapter, protocol, request.json or {})
  if opts.pin_key and opts.key_id == nil then
    errors.raise(errors.InvalidConfigurationError, { code = "invalid", provider = entry.name,
      message = "pin_key needs key_id: it says which key" })
  end
  local started = core.mono()
  return {
    entry = entry, route = route, request = request, opts = opts, policy = chosen,
    protocol = protocol, model = model, tokens = math.max(0, math.ceil(estimate)),
    input = protocol and protocol.estimate_input and protocol.estimate_input(request.json or {})
      or nil,
    max_retries = opts.max_retries or chosen.max_retries or DEFAULT_RETRIES,
    attempts = {}, key_attempt = 0, waited = 0, started_at = started,
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

--- Runs it to its answer: a result whose lease is settled, or whose `stream` has
--- taken it over. Raises what API.md section 5 says.
function call.run(run)
  while true do
    local held <close> = setmetatable({ lease = acquire(run) }, held_mt)
    local lease = held.lease
    local index, suffix = lease.index, lease.suffix
    local result, failed, verdict = try_once(run, lease)
    if result then
      run.attempts[#run.attempts + 1] = {
        key_index = index, status = result.status, kind = "ok", waited = 0,
      }
      result.key_index, result.key_suffix, result.params = index, suffix, lease.params
      if result.stream then
        held.lease = nil
      else
        result.usage = usage.of(run, result.decoded)
        usage.settle(lease, result.usage)
      end
      return result
    end
    failed.key_suffix = suffix
    after_failure(run, index, failed, verdict)
  end
end

return call
