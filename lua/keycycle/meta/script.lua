---@meta _
--- Users' files: providers, policies and limits, and what the global `keycycle` is in them.

--- What the global `keycycle` holds in files of `providers/`, `policies/` and `limits/`.
---@class keycycle.script
local script = {}

--- Defines a provider: `return keycycle.provider { … }`.
---@param definition keycycle.ProviderDefinition
---@return keycycle.ProviderDefinition
function script.provider(definition) end

--- Defines a policy: `return keycycle.policy { … }`.
---@param definition keycycle.PolicyDefinition
---@return keycycle.PolicyDefinition
function script.policy(definition) end

--- Checks limits and returns them; plain tables do as well.
---@param limits keycycle.RateLimits
---@return keycycle.RateLimits
function script.RateLimits(limits) end

--- The global of users' files.
---@type keycycle.script
keycycle = {}

--- A provider. What it leaves out comes from the one that it `extends`.
---@class keycycle.ProviderDefinition
---@field name string
---@field extends? string another provider, which says all the rest
---@field base_url? string "https://api.acme.example/v1"; may hold {parameters}
---@field strategy? "per_model"|"global" whether limits are by model; default "per_model"
---@field env? string the prefix of its variables; default: its name in capitals
---@field auth? keycycle.AuthDefinition how the key is sent
---@field params? table<integer|string, string> names of a key's parameters; a name with a value has that default
---@field headers? table<string, string> sent with each request; may hold {parameters}
---@field protocols? table<string, keycycle.ProtocolName|keycycle.ProtocolDefinition|false> what routes speak, by name; models speak "chat" or "responses"
---@field routes? table<string, keycycle.RouteDefinition|false> calls by their path: ["chat.completions.create"]; false takes an inherited one away
---@field limits? keycycle.LimitsDefinition|fun(model: string, key: integer): keycycle.RateLimits?
---@field limit_headers? keycycle.LimitHeader[]
---@field classify? (keycycle.ClassifyRule|fun(response: keycycle.SeenResponse): keycycle.Verdict?)[]|fun(response: keycycle.SeenResponse): keycycle.Verdict?
---@field usage? keycycle.UsagePaths|fun(body: table): keycycle.Usage? where an answer says what was used
---@field estimate? string[]|fun(request: table): integer fields of a request that count, or its tokens
---@field charge? keycycle.ChargeDefinition what the provider counts, where that is not what was used
---@field dialect? table<string, table> variations of a built-in protocol, by its name in `protocols`

--- A header or a field of the query, one of them.
---@class keycycle.AuthDefinition
---@field header? string
---@field query? string
---@field value string holds {api_key}, once: "Bearer {api_key}"
---@field optional? boolean a server that asks for no key; default false

--- The protocols that are built in.
---@alias keycycle.ProtocolName
---| "openai_chat"
---| "openai_responses"
---| "openai_embeddings"
---| "openai_transcription"
---| "anthropic"
---| "gemini"
---| "gemini_embeddings"
---| "cohere"
---| "cohere_embed"
---| "cohere_rerank"
---| "twelvelabs_analyze"

--- A call of a client.
---@class keycycle.RouteDefinition
---@field method "GET"|"POST"|"PUT"|"PATCH"|"DELETE"
---@field path string "/chat/completions"; {names} are filled in from the key's parameters and the request
---@field protocol? string a name in `protocols`
---@field model? boolean|string the request names a model, in the field `model` or this one; filled in where it is left out
---@field class? string counted as this model, where the request names none
---@field query? table<string, string|number|boolean>
---@field fill? table<string, any> fields that are added where the request has none
---@field form? boolean multipart instead of JSON; `file` is a path
---@field stream? boolean it always streams
---@field stream_path? string the path when the request says `stream = true`, which is not sent then
---@field stream_query? table<string, string|number|boolean>
---@field lines? boolean a stream is a line of JSON each, whatever its type says

--- What a protocol does; pure functions. `encode` and `decode` make it a model's, `event` a
--- model's stream.
---@class keycycle.ProtocolDefinition
---@field encode? fun(request: keycycle.Request): keycycle.EncodedRequest
---@field decode? fun(body: table): keycycle.DecodedResponse the whole answer
---@field event? fun(kind: string, data: table, state: table): keycycle.Chunk? one event; `state` is the stream's own table
---@field usage? fun(body: table): keycycle.Usage? default: decode's
---@field estimate? fun(request: table): integer tokens to reserve; default: by its size
---@field estimate_input? fun(request: table): integer how many of these are input

--- What `encode` makes of a request.
---@class keycycle.EncodedRequest
---@field json table
---@field path? string in place of the route's
---@field query? table<string, string|number|boolean>
---@field headers? table<string, string>

--- A line of a provider's rate-limit headers. Their names are in small letters.
---@class keycycle.LimitHeader
---@field unit "requests"|"tokens"|"input"|"output"
---@field window? "second"|"10_second"|"minute"|"5_minute"|"hour"|"day"|"month" nil: nobody says
---@field limit? string the header with the limit
---@field remaining? string with what is left
---@field reset? string with when it is fresh again
---@field format? "seconds"|"go"|"ms"|"epoch"|"epoch_ms"|"rfc3339"|"ietf"|"any" of reset; default "seconds"
---@field learn? boolean false: it tells how long to wait and nothing else

--- What a refusal is.
---@alias keycycle.Kind
---| "temporary" # for a short while: the same key again
---| "overloaded" # the provider is
---| "server" # the provider failed
---| "quota" # used up: another key
---| "auth" # the key is refused
---| "payment" # the account has no money
---| "invalid_request"
---| "context_length"
---| "request_too_large"
---| "content_policy"
---| "not_found"
---| "permission_region"

--- What a refusal holds for.
---@alias keycycle.Scope "request"|"key"|"model"|"group"|"provider"

--- One rule of what a refusal means; the first that fits holds.
---@class keycycle.ClassifyRule
---@field kind keycycle.Kind
---@field scope? keycycle.Scope what it holds for; default "key"
---@field window? "second"|"minute"|"hour"|"day"|"month" what is used up
---@field status? integer|integer[]
---@field path? string|string[] "error.code", "errors[*].code", "header:name", "message", "*" (any text)
---@field op? "equals"|"prefix"|"contains"|"match"|"exists"|"in"|"lte" default "equals"; case does not count, but for match
---@field value? string|number|(string|number)[]
---@field delay? string|string[] a path or header that says how long to wait
---@field resets? string the time zone at whose midnight the day or month begins anew

--- An answer as a function for `classify` sees it.
---@class keycycle.SeenResponse
---@field status? integer
---@field headers table<string, string> by lower-case names
---@field body? any decoded, where it is JSON
---@field message string all that it says in words

--- An answer as a program gives it.
---@class keycycle.RawResponse
---@field status? integer
---@field headers? table<string, string>
---@field body? string|table

--- What a refusal means.
---@class keycycle.Verdict
---@field kind keycycle.Kind
---@field scope? keycycle.Scope
---@field window? "second"|"minute"|"hour"|"day"|"month"
---@field retry_after? number seconds, as the answer says
---@field reset_after? number seconds until the window begins anew

--- Where an answer says what was used: paths such as "usage.prompt_tokens".
---@class keycycle.UsagePaths
---@field input_tokens? string
---@field output_tokens? string
---@field total_tokens? string
---@field cached_tokens? string
---@field reasoning_tokens? string

--- What a provider counts against its limits.
---@class keycycle.ChargeDefinition
---@field requests_failed? boolean false: a refused request is not counted
---@field max_tokens? "reserve"|"actual" "reserve": what was reserved stays counted where the answer is shorter
---@field cached? boolean false: input that came from a cache is not counted
---@field shared_by? string the header that names whose quota it is

--- What `limits/<provider>.lua` returns, and a provider's `limits`: limits by model, and
--- `default`. A name may end in `*`.
---@class keycycle.LimitsDefinition
---@field default? keycycle.RateLimits
---@field tiers? table<string, keycycle.Limits> by the name of a plan
---@field tier? string the plan that the table itself is of
---@field only? string a pattern: what it says is for models that fit
---@field source? string where the figures are from
---@field date? string when they were
---@field [string] keycycle.RateLimits

--- A policy: what is done after a failed attempt.
---@class keycycle.PolicyDefinition
---@field name? string default: that of its file
---@field max_retries? integer attempts beyond the first; default 5
---@field decide fun(failure: keycycle.Failure): keycycle.Action?, number? what to do, after how many seconds; nil: the default policy decides

--- What a policy answers.
---@alias keycycle.Action
---| "retry" # the same key
---| "rotate" # another key
---| "disable" # take the key out, and rotate
---| "fail"

--- What a policy is told of a failed attempt.
---@class keycycle.Failure
---@field kind keycycle.Kind|"transport"
---@field scope keycycle.Scope
---@field window? "second"|"minute"|"hour"|"day"|"month"
---@field retry_after? number seconds
---@field status? integer nil: there was no answer
---@field provider string
---@field model string
---@field key_index integer
---@field attempt integer of the call, from 1
---@field key_attempt integer of this key in a row, from 1
---@field elapsed number seconds since the call began
---@field remaining? number seconds of its deadline
---@field keys_ready integer others that have room
---@field streaming boolean

