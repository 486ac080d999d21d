--- What a call used: read by the caller's extractor, the adapter's, or the
--- protocol's. What an extractor does wrong never loses the response.
local charge = require "keycycle.charge"
local classify = require "keycycle.classify"
local log = require "keycycle.log"
local wire = require "keycycle.wire"

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

-- What a function of the program or of a script reads from a body: whether it read it,
-- and the usage. What it raises may quote the body, which may quote a key.
local function ask(run, extract, body)
  local ok, given = pcall(extract, body)
  if given == "not enough memory" then error(given, 0) end
  local found, why
  if ok then found, why = check(given) else why = tostring(given) end
  if not why then return true, found end
  log.warn("the usage extractor of %s failed: %s", run.entry.name,
    classify.quoted(run.entry.pool, why))
  return false
end

--- The usage that a body or an event of a stream tells; nil: it tells none.
---@param run table the state of the call
---@param body any the decoded answer or event
---@param told? table what the protocol has read from it already
---@return table? usage input_tokens, output_tokens, total_tokens, …
function usage.of(run, body, told)
  local extract = run.opts.usage_extractor or wire.usage_reader(run.entry.adapter)
  if extract then
    local read, found = ask(run, extract, body)
    if read then return found end
  end
  if told then return (check(told)) end
  local protocol = run.protocol
  if not (protocol and protocol.usage and type(body) == "table") then return nil end
  if not protocol.own then return protocol.usage(body) end
  return select(2, ask(run, protocol.usage, body))
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
