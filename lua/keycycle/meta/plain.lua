---@meta _
--- The clock, JSON, plain HTTP, the log, and other libraries' interfaces.

--- The time: `keycycle.clock`.
---@class keycycle.clock
local clock = {}

--- Epoch seconds by the machine's clock.
---@return number
function clock.now() end

--- A clock that the program moves, for the option `clock` of a wrapper.
---@param start? number epoch seconds; default: now
---@return keycycle.ManualClock
function clock.manual(start) end

--- A clock that stands still until it is moved. Waits for keys on it end by `advance` only;
--- outside a task such a wait raises at once.
---@class keycycle.ManualClock
local manual = {}

--- Moves on. Raises for a negative.
---@param seconds number
function manual:advance(seconds) end

--- What it shows.
---@return number epoch seconds
function manual:now() end

--- JSON: `keycycle.json`.
---@class keycycle.json
---@field null lightuserdata JSON's null, in what `decode` returns and in what `encode` takes
local json = {}

--- Text for a value. An empty table is `{}` unless `json.array` marks it. Raises KeycycleError
--- (`bad_request`), which names the place of what JSON cannot say.
---@param value any
---@return string
function json.encode(value) end

--- The value of a text; null is `json.null`. Raises KeycycleError (`bad_request`).
---@param text string
---@return any
function json.decode(text) end

--- Marks a table as a list, so that it is `[]` when it is empty; returns it.
---@generic T: table
---@param list T
---@return T
function json.array(list) end

--- Plain HTTP: `keycycle.http`.
---@class keycycle.http
local http = {}

--- Makes one request; any status is an answer. Blocks, or yields in a task. Raises KeycycleError
--- (`bad_request`), TransportError, TimeoutError.
---@param request keycycle.HttpRequest
---@return keycycle.HttpResponse
function http.request(request) end

--- A request of plain HTTP.
---@class keycycle.HttpRequest
---@field url string
---@field method? string default "GET", with a body "POST"
---@field headers? table<string, string>
---@field body? string
---@field timeout? number seconds; default 60

--- Its answer.
---@class keycycle.HttpResponse
---@field status integer
---@field headers table<string, string> by lower-case names
---@field body string

--- How grave a line is.
---@alias keycycle.LogLevel "error"|"warn"|"info"|"debug"

--- The library's log: `keycycle.log`.
---@class keycycle.log
local log = {}

--- Sets how much is said; "warn" at first.
---@param level "off"|keycycle.LogLevel
function log.set_level(level) end

--- How much is said now.
---@return "off"|keycycle.LogLevel
function log.level() end

--- Sends lines to `fn(level, line)` instead of standard error; nil: back there.
---@param fn? fun(level: keycycle.LogLevel, line: string)
function log.set_sink(fn) end

--- Writes one line; further arguments are formatted into it.
---@param level keycycle.LogLevel
---@param format string
---@param ... any
function log.write(level, format, ...) end

--- Writes a line of that level.
---@param format string
---@param ... any
function log.error(format, ...) end

--- Writes a line of that level.
---@param format string
---@param ... any
function log.warn(format, ...) end

--- Writes a line of that level.
---@param format string
---@param ... any
function log.info(format, ...) end

--- Writes a line of that level.
---@param format string
---@param ... any
function log.debug(format, ...) end

--- Interfaces of other libraries over our transport.
---@class keycycle.compat
---@field socket_http keycycle.socket_http LuaSocket's `socket.http`: `package.loaded["socket.http"] = keycycle.compat.socket_http`
local compat = {}

--- LuaSocket's `socket.http`: it blocks outside of tasks and yields in one.
---@class keycycle.socket_http
---@field TIMEOUT number seconds that connecting may take, and silence; default 60
---@field USERAGENT string of requests that name none
---@field PORT integer where a URL names none; default 80
local socket_http = {}

--- Both of LuaSocket's forms, its results and its errors.
---@param request string|table a URL, or a table with url, method, headers, source, sink, …
---@param body? string with a URL: it is posted
---@return string|1|nil body
---@return integer|string status
---@return table? headers
---@return string? line
function socket_http.request(request, body) end

