--- A wrapper's option `transport`: functions of the program that carry its requests in the
--- place of libcurl, for engines with an HTTP of their own.
---
--- `start(request, exchange)` begins to send and returns at once. The request is
--- `{ method, url, headers = { name = value }, body, stream, timeout, connect_timeout }`; the
--- headers, and the URL of some providers, hold the API key: they are not to be logged, nor
--- sent to another host (no redirect to one is followed). The program answers when it can,
--- within `start` or later:
---   exchange:headers(status [, { name = value }])   once, before the body
---   exchange:data(text)          a piece of the body, not compressed any more
---   exchange:done()              after the last one; or, instead of that:
---   exchange:fail([message [, code]])   "cut" (the default), "connect", "resolve", "tls",
---                                "garbage", "timeout", "too_large"; with the second to the
---                                fourth, before headers, nothing was sent
--- The first two return false where nobody waits any more; what is told after the end changes
--- nothing. What `start` raises, or returns as nil (or false) and a message, is a failure to
--- connect. It may not yield, nor may the others.
---
--- `cancel(exchange)`, if given, is called once where a call ends before its answer does, for
--- a time-out too; `pause(exchange, on)` where nobody reads a stream, and again where
--- somebody does: nothing should be read off its socket meanwhile (16 MiB are kept, more is
--- an error). An exchange that the program forgets fails when it is collected.
---
--- Outside of tasks a call blocks its thread: whoever carries requests by tasks, or by the
--- program's own loop, makes calls in tasks.
local core = require "keycycle.core"
local errors = require "keycycle.errors"
local log = require "keycycle.log"

local transport = {}

local UNSHOWN = "for a reason that cannot be shown"

local fields = { start = true, cancel = true, pause = true }

--- Checks the option. Raises InvalidConfigurationError.
---@param given table
function transport.check(given)
  for name, fn in pairs(given) do
    if not fields[name] then
      errors.invalid("option transport has no field %q (known: %s)", tostring(name),
        errors.list(fields))
    end
    if type(fn) ~= "function" then
      errors.invalid("option transport: %s must be a function, not a %s", name, type(fn))
    end
  end
  if not given.start then errors.invalid "option transport must have a function start" end
end

-- Want of memory is no fault of the program's function.
local function words_of(err)
  local ok, text = pcall(tostring, err)
  if text == "not enough memory" then error(text, 0) end
  return ok and text or "an error without words"
end

-- nil, or in words why it did not begin.
local function begin(start, request, exchange)
  local ok, result, why = pcall(start, request, exchange)
  if not ok then return "transport.start failed: " .. words_of(result) end
  if result or result == nil and why == nil then return nil end
  return "transport.start failed: " .. words_of(why or "it returned false")
end

-- Of a call that is over already: what is wrong can only be logged.
local function guarded(name, fn, entries)
  if not fn then return nil end
  return function(...)
    local ok, err = pcall(fn, ...)
    if ok then return end
    local text = words_of(err)
    for _, entry in pairs(entries) do text = entry.pool:redact(text) or UNSHOWN end
    log.warn("transport.%s failed: %s", name, text)
  end
end

--- What carries the calls of a wrapper.
---@param given? table checked; nil: libcurl, or what the host has set
---@param entries table the wrapper's, whose keys no log shows
---@return userdata?
function transport.open(given, entries)
  if not given then return nil end
  local start = given.start
  local made, err = core.transport(function(request, exchange)
    return begin(start, request, exchange)
  end, guarded("cancel", given.cancel, entries), guarded("pause", given.pause, entries))
  if not made then error(errors.from_core(err), 0) end
  return made
end

return transport
