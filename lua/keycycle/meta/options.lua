---@meta _
--- The tables of options: of wrappers, providers, keys, limits and calls.
---
--- An option that there is not, or of another type, raises InvalidConfigurationError, which
--- names it and lists those that there are.

--- Options of `MultiClientWrapper.new`.
---@class keycycle.Options
---@field db_url? string where usage is kept: "sqlite:FILE", "mysql://user:password@host:3306/db", "memory:"; default: what the variable `db_env_var` says, else nowhere
---@field db_env_var? string the variable that names the store; default "TIDB_DB_URL"
---@field store? keycycle.Store a store of the program's own, in place of `db_url`
---@field keep_days? integer days after which usage is deleted, but for the totals; default 400
---@field scripts? string|string[]|boolean folders to load before those of the search path; false: load none
---@field shared? string all wrappers of this process with that name, in whatever Lua state and thread, have one pool a provider
---@field clock? keycycle.ManualClock a clock that the program moves; not with `shared`
---@field transport? keycycle.Transport an HTTP of the program's own, in place of ours
---@field env_file? string read for variables that the environment lacks; default ".env", which may be missing
---@field log_level? "off"|"error"|"warn"|"info"|"debug" default "warn"; of the whole program

--- A store of the program's own.
---@class keycycle.Store
---@field load fun(): table? called once, when the wrapper is made: what `save` was given last
---@field save fun(data: table): any, string? takes plain data that survives JSON; what it raises, or returns as nil and why, is logged and tried again
---@field every? number seconds between two calls of `save` at least; default 10

--- A provider's configuration: `register_provider`'s, and but for `keys` ProviderEnvConfig's.
---@class keycycle.ProviderConfig
---@field keys? (string|keycycle.Key)[] default: from the environment
---@field strategy? "per_model"|"global" whether limits are by model; default: the provider's
---@field selection? keycycle.Selection|fun(candidates: keycycle.Candidate[]): integer? which of the keys with room is next; default "balanced"
---@field default_model? string of calls that name none
---@field limits? keycycle.Limits nil: the provider's own; {}: none
---@field key_limits? table<integer|string, keycycle.Limits> by key: its index, end or text
---@field key_tiers? table<integer|string, string> tiers by key
---@field tier_limits? table<string, keycycle.Limits> limits by tier, in place of the provider's
---@field cooldown_seconds? number for which a key is put away after a 429 that says no time
---@field max_wait_queue? integer callers that may wait for a key; default 10,000
---@field api_key_param? string the field of a key's table that holds its text; default "api_key"
---@field extra_params? string[] further parameters that each key has in the environment
---@field excluded_params? string[] fields that are taken out of requests
---@field base_url? string another server; any name will do with one that speaks as OpenAI does
---@field headers? table<string, string|number|boolean> sent with each request
---@field policy? keycycle.Policy what to do after a failed attempt; default "default"
---@field allow_insecure? boolean lets keys go over plain http to other machines; default false

--- Which of the keys with room is next.
---@alias keycycle.Selection
---| "balanced" # the least loaded of a few with room
---| "round_robin"
---| "random_two" # the less loaded of two
---| "fill_first" # the first one, until it is full
---| "weighted"
---| "most_remaining"
---| "best_fit"

--- A key with room, as a function for `selection` sees it.
---@class keycycle.Candidate
---@field index integer
---@field suffix string
---@field label? string
---@field group? string
---@field priority integer
---@field used keycycle.Snapshot
---@field limits keycycle.RateLimits

--- A key. In place of its text: "env:NAME", "file:/path", "cmd:pass show groq". Any other
--- field with a text is a parameter of the key, such as `index_id`.
---@class keycycle.Key
---@field api_key string
---@field label? string a name for statistics
---@field tier? string the plan that it is on
---@field group? string keys of one group share one quota
---@field weight? integer for "weighted"; 1 to 1,000,000, default 1
---@field priority? integer lower numbers are served first; default 0
---@field models? string[] the only ones that it serves
---@field [string] string

--- Options of `load_api_keys`.
---@class keycycle.LoadKeysOptions
---@field env_file? string default ".env"
---@field extra_params? string[] `<PROVIDER>_<PARAM>_<n>` of each key

--- A key of the environment.
---@class keycycle.LoadedKey
---@field api_key string
---@field label? string
---@field params table<string, string>
---@field tier? { name: string, from: string }

--- What may be used: nil is unlimited, 0 is blocked. Whole numbers.
---@class keycycle.RateLimits
---@field requests_per_minute? integer
---@field requests_per_hour? integer
---@field requests_per_day? integer
---@field tokens_per_minute? integer
---@field tokens_per_hour? integer
---@field tokens_per_day? integer
---@field input_tokens_per_minute? integer
---@field output_tokens_per_minute? integer
---@field concurrent_requests? integer requests of a key that may be under way
---@field day_resets_at? string the time zone at whose midnight a day begins: "UTC", "America/Los_Angeles"; nil: any 24 hours
---@field windows? keycycle.Window[] further ones, four at most

--- A window of any length; it limits something.
---@class keycycle.Window
---@field seconds number 0.001 to 31 days
---@field requests? integer
---@field tokens? integer
---@field input_tokens? integer
---@field output_tokens? integer

--- One for all models, or by model (a `*` at the end stands for any text) with a `default`, or a
--- function, called at the first use of a key and a model.
---@alias keycycle.Limits keycycle.RateLimits|table<string, keycycle.RateLimits>|fun(model: string, key: integer): keycycle.RateLimits?

--- A policy: its name, a definition or its function alone.
---@alias keycycle.Policy "default"|"patient"|"fail_fast"|string|keycycle.PolicyDefinition|fun(failure: keycycle.Failure): keycycle.Action?, number?

--- Options of a client and of one call.
---@class keycycle.CallOptions
---@field model? string of requests that name none
---@field estimated_tokens? number to reserve; default: estimated from the request
---@field max_retries? number attempts beyond the first, over all keys; default: the policy's, else 5
---@field wait? boolean for a key; default true
---@field timeout? number seconds to wait for a key; default 10
---@field request_timeout? number seconds until the answer, of a stream until its first event; default 600
---@field idle_timeout? number seconds between two events of a stream; default 120
---@field deadline? number seconds for the call with all its waits and attempts
---@field priority? 0|1|2|3|4|5|6|7 in the queue, 0 is served first; default 4
---@field affinity? string the same text, the same key while that has room
---@field key_id? integer|string the key that is tried first: its index, end or text
---@field pin_key? boolean with key_id: no other key
---@field policy? keycycle.Policy of this call
---@field usage_extractor? fun(response: table): keycycle.Usage|integer|nil reads what was used
---@field model_param? string the field of a request that names its model; default "model"
---@field excluded_params? string[] fields that are taken out of requests
---@field base_url? string another server
---@field headers? table<string, string|number|boolean> sent beside the others

--- Options of a client of another's making: what its own transport does is its own affair.
---@class keycycle.ForeignOptions: keycycle.CallOptions
---@field construct? fun(params: table<string, string>): ... makes the class's arguments of a key's parameters
---@field failure? fun(...): keycycle.RawResponse? makes a response of results that are a refusal; nil: they are none

--- Options of `MultiProviderWrapper`, all in one table.
---@class keycycle.ProviderOptions: keycycle.Options, keycycle.ProviderConfig
---@field provider string its name
---@field default_model_id? string as default_model

--- Options of `simulate`.
---@class keycycle.SimulateOptions
---@field calls_per_hour number
---@field limits? keycycle.Limits
---@field keys? integer default 1
---@field tokens? integer of each call; default 0
---@field hours? number default 24
---@field timeout? number seconds that a call waits at most; default 10
---@field selection? keycycle.Selection default "balanced"
---@field seed? number default 1
---@field model? string whose limits hold, where they are by model

--- What became of the calls.
---@class keycycle.Simulation
---@field served integer
---@field waited integer served ones that had to wait
---@field refused integer
---@field wait_p50 number seconds
---@field wait_p99 number seconds

