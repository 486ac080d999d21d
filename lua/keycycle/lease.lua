--- What a program with its own HTTP tells a lease: `lease:headers` and `lease:fail`,
--- methods beside those of the C module.
local core = require "keycycle.core"
local charge = require "keycycle.limit.charge"
local classify = require "keycycle.classify"
local entry = require "keycycle.entry"
local limit_headers = require "keycycle.limit.headers"
local penalty = require "keycycle.refusal.penalty"
local provider = require "keycycle.provider"

local methods = core.lease_methods

-- The adapter of a lease's provider, the time on its pool's clock and the configuration
-- of its entry, where that is still there.
local function origin(lease)
  local from = entry.of(lease)
  if from then return from.adapter, from.pool:now(), from.config end
  return provider.get(lease.provider), core.now(), nil
end

--- Takes in the headers of an answer, as soon as they are here: the request has been
--- counted, and limits are learned.
---@param headers table
function methods.headers(lease, headers)
  if type(headers) ~= "table" then
    error("headers needs a table, not a " .. type(headers), 2)
  end
  lease:stamp()
  limit_headers.learn(lease, origin(lease), classify.lower_names(headers))
end

--- Takes in an answer that is no success: settles the lease, puts its key away by what
--- that proves, and returns the verdict. Raises when the lease had ended.
---@param response table status, headers, body
---@return table verdict kind, scope, window, retry_after
function methods.fail(lease, response)
  if type(response) ~= "table" then
    error("fail needs { status =, headers =, body = }, not a " .. type(response), 2)
  end
  local adapter, now, settings = origin(lease)
  local verdict = penalty.verdict(adapter, response, limit_headers.read(
    adapter and adapter.limit_headers, classify.lower_names(response.headers), now), now)
  charge.fail(lease, adapter and adapter.charge, math.tointeger(tonumber(response.status)) or 0)
  penalty.apply(lease, verdict, response.status, settings)
  return verdict
end

return methods
