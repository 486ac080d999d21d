---@meta keycycle
--- The module: `local keycycle = require "keycycle"`.
---
--- Requiring it does no I/O, starts no thread and sets no global. What fails raises an
--- error object (see errors); durations are seconds; keys count from 1. A call that takes
--- time blocks outside of tasks and yields in one (see tasks).

---@class keycycle
local keycycle = {}

--- The version, as "1.2.3".
---@type string
keycycle._VERSION = ""

--- Wrappers of several providers.
---@type keycycle.MultiClientWrappers
keycycle.MultiClientWrapper = {}
--- Wrappers of one provider.
---@type keycycle.MultiProviderWrappers
keycycle.MultiProviderWrapper = {}

--- The strategies by name.
---@type keycycle.RateLimitStrategies
keycycle.RateLimitStrategy = {}
--- The time, by the machine or by the program.
---@type keycycle.clock
keycycle.clock = {}
--- JSON.
---@type keycycle.json
keycycle.json = {}
--- The library's log.
---@type keycycle.log
keycycle.log = {}
--- Plain HTTP over the library's transport.
---@type keycycle.http
keycycle.http = {}
--- Interfaces of other libraries.
---@type keycycle.compat
keycycle.compat = {}

--- Makes an agent: a model that may call functions of yours, and remembers what was said.
--- The tables that it is given are copied. Raises InvalidConfigurationError.
---@param options keycycle.AgentOptions
---@return keycycle.Agent
function keycycle.Agent(options) end

--- Checks limits and returns them. Plain tables do as well wherever limits are wanted.
--- Raises InvalidConfigurationError for a field that there is not, and for what is no whole
--- number or negative.
---@param limits keycycle.RateLimits
---@return keycycle.RateLimits
function keycycle.RateLimits(limits) end

--- Checks a provider's configuration and returns it. A plain table does as well. Raises
--- InvalidConfigurationError.
---@param config keycycle.ProviderConfig
---@return keycycle.ProviderConfig
function keycycle.ProviderEnvConfig(config) end

--- What is known of a response or of a stream beside what it says; nil for any other value.
--- It is kept apart from the response: encoding that shows nothing of it.
---@param response table
---@return keycycle.Info?
function keycycle.info(response) end

--- The keys of a provider in the environment and the `.env` file, which is all that it does.
--- Raises MissingEnvironmentVariableError, InvalidConfigurationError, ConfigurationError.
---@param provider string its name: "openai"
---@param options? keycycle.LoadKeysOptions
---@return keycycle.LoadedKey[]
function keycycle.load_api_keys(provider, options) end

--- What keys and limits would do to a day of traffic: the engine itself, on a clock that is
--- only a number. Callers come independently of one another; the same `seed` gives the same
--- day. Raises InvalidConfigurationError.
---@param options keycycle.SimulateOptions
---@return keycycle.Simulation
function keycycle.simulate(options) end

--- Defines a provider: what a file in `providers/` returns. Raises InvalidConfigurationError.
---@param definition keycycle.ProviderDefinition taken, not copied
---@return keycycle.ProviderDefinition
function keycycle.provider(definition) end

--- Defines a policy: what a file in `policies/` returns, or the option `policy`. Raises
--- InvalidConfigurationError.
---@param definition keycycle.PolicyDefinition taken, not copied
---@return keycycle.PolicyDefinition
function keycycle.policy(definition) end

--- Loads the scripts of folders, before all others, the first one first. Each folder may hold
--- `providers/`, `policies/` and `limits/`. All or nothing: a faulty script raises ScriptError,
--- with file and line, and leaves in force what was.
---@param folders string|string[]
function keycycle.load(folders) end

--- Loads again what has changed in the folders that are in force, and keeps all counters.
--- Raises ScriptError, and changes nothing then.
function keycycle.reload() end

--- What an answer of a provider means. An unknown provider gets the rules that all share.
---@param provider? string
---@param response keycycle.RawResponse
---@return keycycle.Verdict
function keycycle.classify(provider, response) end

--- Whether `value` is an error of `class`, or of a class below it.
---@param value any
---@param class keycycle.ErrorClass
---@return boolean
function keycycle.is(value, class) end

--- Calls `fn(...)` and returns its results; where it raises, nil and what was raised.
---@generic T
---@param fn fun(...): T
---@param ... any
---@return T? result
---@return keycycle.Error|any err
function keycycle.try(fn, ...) end

--- Runs `fn(...)` as a task, and everything that it spawns, to the end; returns what `fn`
--- returned. An error of `fn` cancels what is left, then it is raised.
---@generic T
---@param fn fun(...): T
---@param ... any
---@return T
function keycycle.run(fn, ...) end

--- Starts `fn(...)` as a task. It runs from the next step on.
---@generic T
---@param fn fun(...): T
---@param ... any
---@return keycycle.Task<T>
function keycycle.spawn(fn, ...) end

--- Runs tasks and functions side by side: a list of their first results, in order. The first
--- error cancels the others and is raised once they have ended.
---@param list (keycycle.Task|function)[]
---@return any[]
function keycycle.gather(list) end

--- Waits, of real time.
---@param seconds number zero or more
function keycycle.sleep(seconds) end

--- Does what is due: I/O, timers and the tasks that they wake. For a program's own loop.
---@param timeout? number seconds to wait at most for something to do; 0: not at all; nil: until there is something
---@param budget? number seconds after which no further event or task is started, but for one; nil: no bound
---@return integer live how many tasks have not ended
function keycycle.step(timeout, budget) end

--- One descriptor that is readable whenever `step(0)` has something to do, timers included
--- (Linux). It belongs to the module: watch it, do not read or close it.
---@return integer
function keycycle.pollfd() end

--- Seconds until `step` has something to do by itself; nil: only I/O can tell.
---@return number?
function keycycle.timeout() end

--- Ends all that the library does in this Lua state: every task is cancelled and has ended,
--- wrappers are stopped, connections are dropped, the log's sink is let go. Later calls raise
--- KeycycleError (`closed`) and `step` returns 0; `require "keycycle"` begins anew. Idempotent.
--- Raises KeycycleError (`forked`) in a forked child.
function keycycle.close() end

--- As `coroutine.wrap`, for generators that make our calls inside a task: the waits go
--- through to the task, all other yields to the caller.
---@param fn function
---@return function
function keycycle.wrap(fn) end

return keycycle
