--- What a call used: read by the caller's extractor, the adapter's, or the
--- protocol's. What an extractor does wrong never loses the response.
local charge = require "keycycle.limit.charge"
local hook = require "keycycle.loader.hook"
local log = require "keycycle.log"
local wire = require "keycycle.call.wire"

local usage = {}

local counts = { "input_tokens", "output_tokens", "total_tokens" }
local MOST = 2 ^ 53 -- what JSON's numbers hold exactly

local function count(value)
  local n = math.tointeger(value)
  return n and n >= 0 and n <= MOST and n or nil
end

-- A number is the total; else what is wrong.
local function check(value)
  if value == nil then return nil end
  if count(value) then return { total_tokens = count(value) } end
  if type(value) ~= "table" then return nil, "a " .. type(value) .. " is no usage" end
  local sum = 0
  for _, name in ipairs(counts) do
    if value[name] ~= nil then
      local n = count(value[name])
      if not n then return nil, name .. " is no count of tokens" end
      if name ~= "total_tokens" then sum = sum + n end
    end
  end
  local out = {}
  for k, v in pairs(value) do out[k] = v end
  for _, name in ipairs(counts) do out[name] = count(value[name]) end
  out.total_tokens = out.total_tokens or sum
  return out
end

local function fault(value)
  local _, why = check(value)
  return why
end

-- What a protocol reads; a user's may do anything.
local function by_protocol(run, protocol, body)
  if not protocol.own then return protocol.usage(body) end
  local what = ("the protocol of %s"):format(run.entry.name)
  local ok, given = hook.call({ what = what, check = fault, pool = run.entry.pool },
    protocol.usage, body)
  return ok and check(given) or nil
end

--- Whether usage is read by an extractor, the caller's or the provider's own.
function usage.is_extracted(run)
  return (run.opts.usage_extractor or wire.usage_reader(run.adapter)) ~= nil
end

--- The usage that a body or an event of a stream tells; nil: it tells none.
---@param run table the state of the call
---@param body any the decoded answer or event
---@param told? table what the protocol has read from it already
---@param is_event? boolean whether it is one, which the protocol's `event` has read already
---@return table? usage input_tokens, output_tokens, total_tokens, …
function usage.of(run, body, told, is_event)
  local callers = run.opts.usage_extractor
  local extract = callers or wire.usage_reader(run.adapter)
  if extract then
    local what = ("the usage extractor of %s"):format(run.entry.name)
    local ok, given = hook.call({ what = what, check = fault, pool = run.entry.pool }, extract,
      body)
    -- Where the provider's own finds nothing its protocol may.
    if ok and (callers or given ~= nil) then return (check(given)) end
  end
  if told then return (check(told)) end
  local protocol = run.protocol
  if not protocol or not protocol.usage or type(body) ~= "table" then return nil end
  if is_event and (protocol.event or protocol.own) then return nil end
  return by_protocol(run, protocol, body)
end

--- Commits a lease with what was used. One that is over its maximum age was
--- settled as unknown meanwhile, which must not cost the program its answer.
---@param lease userdata
---@param used? table nil: unknown, the reservation holds
---@param rules? table the provider's `charge`
function usage.settle(lease, used, rules)
  local counted = charge.counted(rules, used, lease.tokens)
  local ok, err = pcall(lease.commit, lease, counted)
  if not ok and lease.settled == false then return lease:commit(counted) end -- memory was short
  if not ok then log.info("the lease had ended before its answer: %s", tostring(err)) end
end

return usage
