---@meta keycycle.core
--- Transports that the program brings along; the rest of the C module is in core.lua.

local core = {}

---@class keycycle.core.transport
--- Carries calls by the program's functions, see keycycle/transport.lua: start(request,
--- exchange) returns nil, or a text: why it did not begin; cancel(exchange) and
--- pause(exchange, on) or nil. They do not raise. nil, err (no_memory).
---@param start fun(request: table, exchange: keycycle.core.exchange): string?
---@param cancel? fun(exchange: keycycle.core.exchange)
---@param pause? fun(exchange: keycycle.core.exchange, on: boolean)
---@return keycycle.core.transport?, table? err
function core.transport(start, cancel, pause) end

---@class keycycle.core.exchange
local exchange = {}
--- The status of the final answer, 200 to 599, and its header fields; once, before data. false:
--- nobody waits any more.
---@param status integer
---@param fields? table<string, string>
---@return boolean
function exchange:headers(status, fields) end
--- The next bytes of the body. false: nobody waits any more, or it is too large.
---@return boolean
function exchange:data(text) end
--- The answer is complete.
function exchange:done() end
--- There is none, or no more. code: "cut" (default), "connect", "resolve", "tls", "garbage",
--- "timeout", "too_large".
---@param message? string
---@param code? string
function exchange:fail(message, code) end

return core
