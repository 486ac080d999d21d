---@meta _
--- A provider's manager: statistics, the states of keys, and leases for programs with HTTP of
--- their own. An id of a key is its index, its last characters or the whole key.

--- What was used, in each window as it is now and with what is in flight.
---@class keycycle.Snapshot
---@field rpm integer requests in the last minute
---@field rph integer in the last hour
---@field rpd integer in the last day
---@field tpm integer tokens in the last minute
---@field tph integer in the last hour
---@field tpd integer in the last day
---@field total_requests integer sent, refused ones too
---@field total_tokens integer settled
---@field in_flight integer

--- What was used of a key.
---@class keycycle.KeyStats
---@field index integer
---@field suffix string
---@field snapshot keycycle.Snapshot

--- What was used of all keys.
---@class keycycle.GlobalStats
---@field total keycycle.Snapshot
---@field keys keycycle.KeyStats[]
---@field queue { length: integer, oldest: number } callers that wait, and for how many seconds the first one does

--- What was used of a key, by model.
---@class keycycle.KeyBreakdown
---@field index integer
---@field suffix string
---@field total keycycle.Snapshot
---@field breakdown table<string, keycycle.Snapshot> by model

--- What was used of a model, by key.
---@class keycycle.ModelStats
---@field model_id string
---@field total keycycle.Snapshot
---@field keys keycycle.KeyStats[]

--- The state of a key.
---@alias keycycle.KeyStateName
---| "ready"
---| "cooling" # after a 429 of a minute or less, or that says no time
---| "probing" # one request at a time, until one works
---| "exhausted" # until its window resets; without until_at: for want of money
---| "suspended" # auth was refused once
---| "invalid" # auth was refused again
---| "disabled" # by the program
---| "draining" # removed, with requests under way

--- A key and its state.
---@class keycycle.KeyState
---@field index integer
---@field suffix string
---@field label? string
---@field group? string
---@field tier? string
---@field priority integer
---@field state keycycle.KeyStateName
---@field reason? string
---@field scope? "model"|"key"|"group" what the state is of
---@field model? string
---@field until_at? number epoch seconds

--- Why a key can or cannot serve.
---@class keycycle.Explanation: keycycle.KeyState
---@field usable boolean
---@field limit? string what is in the way: a limit or a state
---@field window? number its seconds, where the name does not say
---@field retry_after? number seconds
---@field limits keycycle.RateLimits
---@field used keycycle.Snapshot

--- Why there is no lease.
---@class keycycle.NoLease
---@field code "limited"|"queue_full"|"impossible"|"no_key"|"not_found"|"closed"
---@field message string
---@field retry_after? number seconds; nil: the end of a request decides
---@field limit? string
---@field max? integer
---@field window? number

--- Options of `get_key`.
---@class keycycle.KeyOptions
---@field estimated_tokens? number to reserve; default 0
---@field wait? boolean default false
---@field timeout? number seconds, with wait; default 10
---@field priority? 0|1|2|3|4|5|6|7 default 4
---@field affinity? string
---@field key_id? integer|string tried first
---@field pin_key? boolean with key_id: no other

--- What can happen to a key: `wait` is a caller that waits for one, `learn` a limit that an answer told.
---@alias keycycle.EventName "acquire"|"rotate"|"cooldown"|"invalid"|"recover"|"wait"|"learn"

--- What happened, as a subscriber is told.
---@class keycycle.Event
---@field event keycycle.EventName
---@field at number epoch seconds
---@field provider string
---@field key_index? integer
---@field suffix? string
---@field model? string
---@field from? integer the key before, of "rotate"
---@field until_at? number epoch seconds
---@field reason? string of "learn" the limit's name
---@field amount? integer of "learn" what the limit is now
---@field lost? integer events before it that came too fast

--- The manager of a provider; `wrapper:get_manager` gives it.
---@class keycycle.Manager
---@field provider string
local manager = {}

--- What was used of each key, and of all.
---@return keycycle.GlobalStats
function manager:get_global_stats() end

--- nil where there is no such key.
---@param id integer|string
---@return keycycle.KeyBreakdown?
function manager:get_key_stats(id) end

--- What was used of one model, by key.
---@param model string
---@return keycycle.ModelStats
function manager:get_model_stats(model) end

--- nil where there is no such key.
---@param id integer|string
---@param model string
---@return keycycle.KeyStats?
function manager:get_granular_stats(id, model) end

--- The keys and their states, by index.
---@return keycycle.KeyState[]
function manager:keys() end

--- A lease of a key, or nil and why. Raises KeyNotFoundError for an unknown key_id.
---@param model? string default: default_model
---@param options? keycycle.KeyOptions
---@return keycycle.Lease? lease
---@return keycycle.NoLease? err
function manager:get_key(model, options) end

--- The same of one key and no other. Raises KeyNotFoundError.
---@param id integer|string
---@param model? string
---@param options? keycycle.KeyOptions
---@return keycycle.Lease? lease
---@return keycycle.NoLease? err
function manager:get_specific_key(id, model, options) end

--- Settles a lease: `lease:commit(tokens)`.
---@param lease keycycle.Lease
---@param tokens? integer|keycycle.Usage
function manager:record_usage(lease, tokens) end

--- Makes the next choice begin at the next key.
function manager:force_rotate_index() end

--- Seconds until a request could be served: 0 now, math.huge when something that is in flight
--- ends; or nil and why it never can.
---@param model? string
---@param tokens? integer of the request; default 0
---@return number? seconds
---@return "impossible"|"no_key"|nil why
function manager:next_available(model, tokens) end

--- Why each key can or cannot serve.
---@param model? string
---@param tokens? integer of the request; default 0
---@return keycycle.Explanation[]
function manager:explain(model, tokens) end

--- Revives a key from every state; counts are kept. Raises KeyNotFoundError.
---@param id integer|string
function manager:reset(id) end

--- The same.
---@param id integer|string
function manager:enable(id) end

--- Takes a key out of use until `enable`. Raises KeyNotFoundError.
---@param id integer|string
function manager:disable(id) end

--- Adds a key at run time; of a shared pool, for all who share it.
---@param key string|keycycle.Key
---@return integer index
function manager:add_key(key) end

--- Takes a key away; what is under way with it ends well. Raises KeyNotFoundError.
---@param id integer|string
function manager:remove_key(id) end

--- Calls `fn(event)` for each event of that name, on the loop of this program. Raises
--- InvalidConfigurationError.
---@param event keycycle.EventName
---@param fn fun(event: keycycle.Event)
---@return fun() leave ends it
function manager:on(event, fn) end

--- The counts as Prometheus text.
---@return string
function manager:metrics() end

--- Stops this provider alone, as the wrapper's `stop`.
function manager:stop() end

--- A key for one request. It ends in exactly one `commit`, `cancel` or `fail`; a second one
--- raises. One that is collected, closed or older than ten minutes is settled as unknown: what
--- it reserved stays counted. It is closable.
---@class keycycle.Lease
---@field api_key string
---@field index integer
---@field suffix string
---@field params table<string, string> the key's further parameters
---@field provider string
---@field model string
---@field settled boolean
---@field tokens integer reserved
---@field pool_id lightuserdata tells leases of one pool
local lease = {}

--- What was used: the total, or its parts; nothing: what was reserved.
---@param used? integer|keycycle.Usage
function lease:commit(used) end

--- Never sent: all is given back; `{ sent = true }`: it stays counted.
---@param options? { sent: boolean }
function lease:cancel(options) end

--- Takes in the headers of an answer as soon as they are here: limits are learned of them.
---@param headers table<string, string>
function lease:headers(headers) end

--- Takes in an answer that is no success: settles the lease and puts its key away by what that
--- proves.
---@param response keycycle.RawResponse
---@return keycycle.Verdict
function lease:fail(response) end

--- Puts the key away, for its model, or for all.
---@param seconds? number nil: nobody said how long
---@param whole_key? boolean for all models
---@param reason? string
function lease:cooldown(seconds, whole_key, reason) end

--- The answer has begun: from now on the request ages in its windows. `headers` does it, too.
function lease:stamp() end

--- Takes in what a header told of a limit.
---@param window "minute"|"hour"|"day"
---@param unit "requests"|"tokens"|"input"|"output"
---@param limit? integer
---@param remaining? integer
---@return boolean? ok
---@return table? err
function lease:observe(window, unit, limit, remaining) end

--- The key shares one quota from now on with all that were joined under that name.
---@param name string
---@return boolean? new
---@return table? err
function lease:join(name) end

--- The provider said no: the request counts, its tokens do not. `fail` does it, too.
---@param free? boolean the request does not count either
function lease:refuse(free) end

--- Auth was refused: the key is suspended, then tried; refused again it is invalid.
---@param seconds? number
---@param reason? string
function lease:suspend(seconds, reason) end

--- The provider wants money: the key, and its group, are put away until `enable`.
---@param reason? string
function lease:unpaid(reason) end

--- Settles as unknown what is not settled yet. Idempotent.
function lease:close() end

