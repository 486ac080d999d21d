--- What a provider counts against its limits, where that is not what was used: the
--- `charge` of its definition, applied when a lease is settled. Statistics and what a
--- call returns keep the provider's own figures.
local errors = require "keycycle.errors"

local invalid = errors.invalid

local charge = {}

local fields = { requests_failed = "boolean", max_tokens = "string", cached = "boolean",
  shared_by = "string" }

--- Checks a provider's `charge` and returns it. Raises InvalidConfigurationError.
--- Fields: requests_failed (false: a request that was refused is not counted),
--- max_tokens ("reserve": what was reserved stays counted where the answer is shorter;
--- "actual"), cached (false: input that came from a cache is not counted), shared_by
--- (the header that names whose quota it is).
---@param given table
---@param where? string its name in errors
function charge.check(given, where)
  where = where or "charge"
  if type(given) ~= "table" then invalid("%s must be a table, not a %s", where, type(given)) end
  for k, v in pairs(given) do
    if not fields[k] then
      invalid("%s has no field %q (known: cached, max_tokens, requests_failed, shared_by)", where,
        tostring(k))
    end
    if type(v) ~= fields[k] then invalid("%s.%s must be a %s", where, k, fields[k]) end
  end
  local most = given.max_tokens
  if most and most ~= "reserve" and most ~= "actual" then
    invalid("%s.max_tokens is \"reserve\" or \"actual\", not %q", where, most)
  end
  return given
end

--- What to settle a lease with: the usage, with what the limits count of it where that
--- is another figure.
---@param rules? table the provider's `charge`
---@param used? table usage; nil: unknown, the reservation holds
---@param reserved? integer tokens
---@return table?
function charge.counted(rules, used, reserved)
  if not rules or not used then return used end
  local total, input, cached = used.total_tokens or 0, used.input_tokens or 0, 0
  if rules.cached == false then
    cached = math.max(0, math.tointeger(used.cached_tokens) or 0)
    total, input = math.max(0, total - cached), math.max(0, input - cached)
  end
  if rules.max_tokens == "reserve" then total = math.max(total, reserved or 0) end
  if cached == 0 and total == used.total_tokens then return used end
  return { input_tokens = used.input_tokens, output_tokens = used.output_tokens,
    total_tokens = used.total_tokens, counted_tokens = total,
    counted_input_tokens = math.min(input, total) }
end

--- Ends the lease of an attempt that failed. Raises where it has ended.
---@param lease userdata
---@param rules? table the provider's `charge`
---@param status? integer of the answer; nil: there was none
---@param sent? boolean without an answer: whether the request had left
function charge.fail(lease, rules, status, sent)
  if not status then
    if sent then lease:cancel { sent = true } else lease:cancel() end
  elseif status >= 500 or status < 300 then
    -- What a broken server counted is unknown, or one that began well and then failed.
    lease:cancel { sent = true }
  else
    lease:refuse(rules ~= nil and rules.requests_failed == false)
  end
end

return charge
