--- A lease in the hands of another client: what is seen of its answer is counted, and the
--- lease is settled with that once, whatever ends it.
local classify = require "keycycle.classify"
local extractors = require "keycycle.foreign.extractors"
local hook = require "keycycle.loader.hook"
local penalty = require "keycycle.refusal.penalty"
local usage = require "keycycle.call.usage"

local use = {}

local CHARS_A_TOKEN = 4

local methods = {}
local use_mt = { __name = "keycycle.use", __index = methods }

local function no_fault() return nil end

-- What `fn` reads from a value that may be an object of any kind.
local function read(self, fn, value)
  local entry = self.run.entry
  local what = ("reading an answer of %s"):format(entry.name)
  local _, found = hook.call({ what = what, check = no_fault, pool = entry.pool }, fn, value)
  return found
end

local function note_usage(self, value)
  local used = usage.of(self.run, value, read(self, extractors.usage, value))
  if used then self.usage = extractors.merge(self.usage, used) end
end

--- Takes in what a call returned: usage is read from its first table, else its first
--- text, else its first value.
---@param results table packed
---@return any response
function methods:note_results(results)
  local response
  for _, kind in ipairs { "table", "string" } do
    for i = 1, results.n do
      if response == nil and type(results[i]) == kind then response = results[i] end
    end
  end
  if response == nil then response = results[1] end
  if response ~= nil then note_usage(self, response) end
  return response
end

--- Takes in a piece of a stream, which may be several values: the usage that they tell,
--- and the text of the first that has any.
function methods:note(...)
  local text
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    if type(value) == "table" then note_usage(self, value) end
    if not text and (type(value) == "table" or type(value) == "string") then
      text = read(self, extractors.text, value)
    end
  end
  self.pieces = self.pieces + 1
  self.bytes = self.bytes + (text and #text or 0)
end

-- What was counted, or what was seen: each piece is one token at least.
local function used_of(self)
  if self.usage or self.pieces == 0 then return self.usage end
  local input = self.run.input or 0
  local output = math.max(-(-self.bytes // CHARS_A_TOKEN), self.pieces)
  return { input_tokens = input, output_tokens = output, total_tokens = input + output,
    estimated = true }
end

--- Puts the key away by what a refusal proves, where it can no longer be tried again.
---@param refused table a result
function methods:refuse(refused)
  local run = self.run
  if refused.transport or self.lease.settled then return end
  penalty.apply(self.lease, classify.classify(run.adapter, refused, run.entry.pool:now()),
    refused.status, run.entry.config)
end

--- Settles the lease with what was used, which it returns. Never yields; idempotent.
---@return table? used
function methods:close()
  if self.closed or not self.taken then return self.used end
  local used = used_of(self)
  if not self.lease.settled then usage.settle(self.lease, used, self.run.adapter.charge) end
  self.used = used
  if self.info then self.info.usage = used end
  self.closed = true -- not before: what raised for want of memory is done again
  return used
end

use_mt.__close = methods.close
use_mt.__gc = methods.close

--- From here on it is the use that settles the lease, when it is collected at the latest.
function methods:take()
  self.taken = true
  return self
end

--- Makes one, to look on during an attempt; `take` makes the lease its own.
---@param run table the state of the call
---@param lease userdata
function use.new(run, lease)
  return setmetatable({ run = run, lease = lease, pieces = 0, bytes = 0, taken = false,
    closed = false }, use_mt)
end

return use
