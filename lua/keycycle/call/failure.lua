--- What a call knows of its failures: the errors it raises, and what a policy is told.
local core = require "keycycle.core"
local classify = require "keycycle.classify"
local errors = require "keycycle.errors"

local failure = {}

local function fields_of(run, more)
  local fields = { provider = run.entry.name, model = run.model, attempts = run.attempts }
  local last = run.last
  if last then
    fields.status, fields.body, fields.key_suffix = last.status, last.body, last.key_suffix
  end
  for k, v in pairs(more or {}) do fields[k] = v end
  return fields
end

--- Seconds left of the call's deadline; nil: there is none.
function failure.remaining(run)
  if not run.deadline_at then return nil end
  return run.deadline_at - core.mono()
end

--- Raises that the deadline is over.
function failure.raise_deadline(run)
  errors.raise(errors.TimeoutError, fields_of(run, {
    code = "timeout", message = "the deadline of the call is over",
  }))
end

--- Raises that the provider is down and the call would be held back for too long.
---@param retry_after number seconds
function failure.raise_held(run, retry_after)
  errors.raise(errors.APIError, fields_of(run, {
    code = "overloaded", retry_after = retry_after,
    message = "the provider is down: after several failures in a row calls are held back",
  }))
end

-- A limit's name, with the length of its window where that does not say it.
local function name_of(err)
  local name = err.limit or ""
  return err.window and ("%s (%.14g s)"):format(name, err.window) or name
end

--- Raises why there is no lease.
---@param err table of the pool
function failure.raise_no_lease(run, err)
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

--- The error that a call ends with if its last failure is the last word.
---@param verdict table
function failure.error(run, verdict)
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

--- A failure of the transport, in the classifier's terms.
---@param result table of the attempt
---@return table verdict
function failure.of_transport(result)
  local code = result.err and result.err.code or "garbage"
  if code == "connect" or code == "resolve" or code == "cut" then
    return { kind = "server", scope = "provider" }
  end
  return { kind = "transport", scope = "request" }
end

--- What a policy is told (keycycle.Failure). `keys_ready` counts the other keys: where
--- it is 0 there is nothing to rotate to.
---@param verdict table
---@param index integer of the key
function failure.known(run, verdict, index)
  return {
    kind = verdict.kind, scope = verdict.scope, window = verdict.window,
    retry_after = classify.cooling(verdict), status = run.last.status, provider = run.entry.name,
    model = run.model, key_index = index, attempt = run.tries,
    key_attempt = run.key_attempt, elapsed = core.mono() - run.started_at,
    remaining = failure.remaining(run),
    keys_ready = run.opts.pin_key and 0 or run.entry:keys_ready(run.model, index),
    streaming = run.request.stream == true,
  }
end

return failure
