---@meta _
--- A transport of the program's own: the option `transport` of a wrapper.

--- Functions that carry the requests. They may not yield. What `start` raises, or returns as nil
--- and a message, is a failure to connect.
---@class keycycle.Transport
---@field start fun(request: keycycle.TransportRequest, exchange: keycycle.Exchange): any, string? begins to send and returns at once; the answer is told then or later
---@field cancel? fun(exchange: keycycle.Exchange) nobody waits for the answer any more
---@field pause? fun(exchange: keycycle.Exchange, on: boolean) nobody reads a stream, or again: nothing should be read off its socket meanwhile

--- A request as it is to be sent. The headers, and the URL of some providers, hold the API key:
--- they are not to be logged, nor sent to another host.
---@class keycycle.TransportRequest
---@field method string
---@field url string
---@field headers table<string, string>
---@field body? string
---@field stream boolean each piece of the answer is awaited at once
---@field timeout? number seconds after which it is cancelled
---@field connect_timeout? number seconds that connecting may take

--- One request and its answer. One that the program forgets fails when it is collected.
---@class keycycle.Exchange
local exchange = {}

--- The status of the answer and its headers; once, before the body.
---@param status integer 200 to 599
---@param headers? table<string, string>
---@return boolean waited false: nobody waits any more
function exchange:headers(status, headers) end

--- A piece of the body, not compressed any more.
---@param text string
---@return boolean waited false: nobody waits any more
function exchange:data(text) end

--- The answer is whole.
function exchange:done() end

--- There is no answer, or no more of it. With "connect", "resolve" or "tls", before the headers,
--- nothing was sent.
---@param message? string
---@param code? "cut"|"connect"|"resolve"|"tls"|"garbage"|"timeout"|"too_large" default "cut"
function exchange:fail(message, code) end

