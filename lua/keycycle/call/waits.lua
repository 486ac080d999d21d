--- What a call waits for: its provider, a key, and the time of its next attempt.
local choice = require "keycycle.call.choice"
local failure = require "keycycle.call.failure"
local hold = require "keycycle.call.hold"
local task = require "keycycle.task"

local waits = {}

local DEFAULT_WAIT = 10 -- seconds to wait for a key

local function at_most(value, left)
  if not left then return value end
  return value and math.min(value, left) or left
end

--- Seconds that the call may wait before an attempt, for a key or a provider. What a
--- chain waits for in all is no longer than that either.
function waits.patience(run)
  local chain, most = run.chain, run.opts.timeout or DEFAULT_WAIT
  if run.opts.wait == false or chain and chain.hurry then return 0 end
  if chain then most = math.max(0, most - chain.waited) end
  return at_most(most, failure.remaining(run))
end

local patience = waits.patience

local function note(run, seconds)
  run.waited = run.waited + seconds
  if run.chain then run.chain.waited = run.chain.waited + seconds end
end

--- While the provider is down calls are held back; one that cannot wait so long raises.
function waits.for_provider(run)
  local waited, retry_after = hold.wait(run.pass, run.entry, patience(run))
  if not waited then failure.raise_held(run, retry_after) end
  note(run, waited)
end

--- A lease, or it raises. The first choice of a key holds for the first attempt.
function waits.for_lease(run)
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
    note(run, waited)
  end
  if not lease then failure.raise_no_lease(run, err) end
  run.key = opts.pin_key and run.key or nil
  run.same_key = nil
  return lease
end

--- Waits before the next attempt; raises `err` where the deadline is over before.
---@param seconds number
---@param err table
function waits.for_retry(run, seconds, err)
  local left = failure.remaining(run)
  if left and seconds >= left then error(err, 0) end
  if seconds <= 0 then return end
  note(run, seconds)
  run.tried.waited = seconds
  task.wait_clock(seconds, run.entry.manual_clock, err)
end

return waits
