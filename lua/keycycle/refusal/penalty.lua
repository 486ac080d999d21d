--- Puts a key away, by what a refusal proves of it: for how long and for what.
---
--- A key with a group shares its quota: what holds for the key holds for the group. What
--- lies with the provider or the request is blamed on no key.
local classify = require "keycycle.classify"
local errors = require "keycycle.errors"
local limit_headers = require "keycycle.limit.headers"

local penalty = {}

local SUSPECTED = 60    -- seconds that a key without access to a model is left alone
local NO_ACCESS = 3600  -- seconds, once another key had access
-- Seconds until a quota is asked for again of which only the window is known.
local UNSTATED = { hour = 300, day = 900, month = 3600 }
local REASON = "no access"

local blameless = { provider = true, request = true }

-- A key that was removed meanwhile needs nothing.
local function check(lease, ok, err)
  if not ok and err.code ~= "not_found" then
    error(errors.from_core(err, { provider = lease.provider }), 0)
  end
end

--- What a refusal means; how long a spent quota stays so may stand in the headers of
--- limits alone.
---@param adapter? table the provider's definition
---@param response table status, headers, body
---@param told table what limit_headers.read made of its headers
---@param now number epoch seconds on the pool's clock
---@return table verdict
function penalty.verdict(adapter, response, told, now)
  local verdict = classify.classify(adapter, response, now)
  if verdict.kind == "quota" and not (verdict.retry_after or verdict.reset_after) then
    verdict.retry_after = limit_headers.wait(told)
  end
  return verdict
end

--- Seconds to put a key away for a spent quota; nil: nobody knows (the engine tries it
--- again soon, then less and less often).
---@param verdict table
---@param config? table the provider's configuration
function penalty.delay(verdict, config)
  return classify.cooling(verdict) or config and config.cooldown_seconds
    or UNSTATED[verdict.window]
end

--- A quota is spent: the lease's key cools, for its model or as a whole.
---@param lease userdata
---@param verdict table
---@param config? table
function penalty.cool(lease, verdict, config)
  if verdict.kind ~= "quota" or blameless[verdict.scope] then return end
  local whole = verdict.scope == "key" or verdict.scope == "group"
  local reason = verdict.window and ("quota (%s)"):format(verdict.window) or "quota"
  check(lease, lease:cooldown(penalty.delay(verdict, config), whole, reason))
end

--- A key that was asked to wait for a moment, and is not waited for, rests meanwhile: it
--- must not be asked again at once.
---@param lease userdata
---@param verdict table
function penalty.rest(lease, verdict)
  if verdict.kind ~= "temporary" or not verdict.retry_after or blameless[verdict.scope] then
    return
  end
  local whole = verdict.scope == "key" or verdict.scope == "group"
  check(lease, lease:cooldown(verdict.retry_after, whole, "asked to wait"))
end

--- Takes the lease's key out: unpaid for good, else until a probe confirms it.
---@param lease userdata
---@param verdict table
---@param status? integer
function penalty.take_out(lease, verdict, status)
  if verdict.kind == "payment" then
    check(lease, lease:unpaid "payment required")
  else
    check(lease, lease:suspend(nil, "refused: " .. tostring(status or verdict.kind)))
  end
end

--- Whether a verdict says that this key may not do what another may.
function penalty.is_no_access(verdict)
  return verdict.kind == "permission_region" and verdict.scope == "key"
end

--- The key may have no access to its lease's model: it is left alone for a while.
function penalty.suspect(lease)
  check(lease, lease:cooldown(SUSPECTED, false, REASON))
end

--- Another key had access: so these have none. Where limits are all models' a key
--- cannot be put away for one of them.
---@param entry table
---@param model string
---@param indexes integer[] of keys that were suspected
function penalty.confirm(entry, model, indexes)
  if entry.scope ~= "per_model" then return end
  for _, index in ipairs(indexes) do entry.pool:cool(index, model, NO_ACCESS, REASON) end
end

--- All of it at once, for a program with its own HTTP and no policy.
---@param lease userdata
---@param verdict table
---@param status? integer
---@param config? table
function penalty.apply(lease, verdict, status, config)
  if verdict.kind == "auth" or verdict.kind == "payment" then
    penalty.take_out(lease, verdict, status)
  elseif penalty.is_no_access(verdict) then
    penalty.suspect(lease)
  else
    penalty.cool(lease, verdict, config)
  end
end

return penalty
