---@meta _
--- Wrappers: providers with their keys, limits and clients.

--- How wrappers of several providers are made: `keycycle.MultiClientWrapper`.
---@class keycycle.MultiClientWrappers
local wrappers = {}

--- Makes an empty wrapper. Raises InvalidConfigurationError, ScriptError, ConfigurationError
--- (`no_such_store`) and StoreError.
---@param options? keycycle.Options
---@return keycycle.MultiClientWrapper
function wrappers.new(options) end

--- Makes a wrapper of providers whose keys are in the environment: all of them or none. Raises
--- MissingEnvironmentVariableError, too.
---@param providers table<string, keycycle.ProviderConfig>
---@param options? keycycle.Options
---@return keycycle.MultiClientWrapper
function wrappers.from_env(providers, options) end

--- Several providers. It is closable: `local wrapper <close> = …` stops it.
---@class keycycle.MultiClientWrapper
local wrapper = {}

--- Registers a provider, or again: then keys and limits are swapped, and counters kept. Without
--- `keys` they come from the environment.
---@param name string
---@param config? keycycle.ProviderConfig
---@return keycycle.MultiClientWrapper self
function wrapper:register_provider(name, config) end

---@private
function wrapper:register(name, settings, keys) end

--- A client whose calls rotate over the provider's keys. Without a class it has the provider's
--- own paths; an Async face makes a task of each call; any other Lua client's class (a
--- function, or a table with `new` or `__call`) is made once for each key.
---@overload fun(self: keycycle.MultiClientWrapper, provider: "gemini", options?: keycycle.CallOptions): keycycle.client.gemini
---@overload fun(self: keycycle.MultiClientWrapper, provider: "cohere", options?: keycycle.CallOptions): keycycle.client.cohere
---@overload fun(self: keycycle.MultiClientWrapper, provider: "twelvelabs", options?: keycycle.CallOptions): keycycle.client.twelvelabs
---@overload fun(self: keycycle.MultiClientWrapper, provider: "openrouter", options?: keycycle.CallOptions): keycycle.client.openrouter
---@overload fun(self: keycycle.MultiClientWrapper, provider: "fireworks", options?: keycycle.CallOptions): keycycle.client.fireworks
---@overload fun(self: keycycle.MultiClientWrapper, provider: "perplexity", options?: keycycle.CallOptions): keycycle.client.perplexity
---@overload fun(self: keycycle.MultiClientWrapper, provider: "deepseek", options?: keycycle.CallOptions): keycycle.client.deepseek
---@overload fun(self: keycycle.MultiClientWrapper, provider: "cloudflare", options?: keycycle.CallOptions): keycycle.client.cloudflare
---@overload fun(self: keycycle.MultiClientWrapper, provider: "together", options?: keycycle.CallOptions): keycycle.client.together
---@overload fun(self: keycycle.MultiClientWrapper, provider: "vllm", options?: keycycle.CallOptions): keycycle.client.vllm
---@overload fun(self: keycycle.MultiClientWrapper, provider: "llamacpp", options?: keycycle.CallOptions): keycycle.client.llamacpp
---@overload fun(self: keycycle.MultiClientWrapper, provider: "mistral", options?: keycycle.CallOptions): keycycle.client.mistral
---@overload fun(self: keycycle.MultiClientWrapper, provider: "groq", options?: keycycle.CallOptions): keycycle.client.groq
---@overload fun(self: keycycle.MultiClientWrapper, provider: "xai", options?: keycycle.CallOptions): keycycle.client.xai
---@overload fun(self: keycycle.MultiClientWrapper, provider: "sambanova", options?: keycycle.CallOptions): keycycle.client.sambanova
---@overload fun(self: keycycle.MultiClientWrapper, provider: "nvidia", options?: keycycle.CallOptions): keycycle.client.nvidia
---@overload fun(self: keycycle.MultiClientWrapper, provider: "ollama", options?: keycycle.CallOptions): keycycle.client.ollama
---@overload fun(self: keycycle.MultiClientWrapper, provider: "huggingface", options?: keycycle.CallOptions): keycycle.client.huggingface
---@overload fun(self: keycycle.MultiClientWrapper, provider: "cerebras", options?: keycycle.CallOptions): keycycle.client.cerebras
---@overload fun(self: keycycle.MultiClientWrapper, provider: "azure_openai", options?: keycycle.CallOptions): keycycle.client.azure_openai
---@overload fun(self: keycycle.MultiClientWrapper, provider: "gemini_openai", options?: keycycle.CallOptions): keycycle.client.gemini_openai
---@overload fun(self: keycycle.MultiClientWrapper, provider: string, options?: keycycle.CallOptions): keycycle.client.openai
---@overload fun(self: keycycle.MultiClientWrapper, provider: string, class: keycycle.face.AsyncOpenAI, options?: keycycle.CallOptions): keycycle.async.OpenAI
---@overload fun(self: keycycle.MultiClientWrapper, provider: string, class: keycycle.face.AsyncAnthropic, options?: keycycle.CallOptions): keycycle.async.Anthropic
---@overload fun(self: keycycle.MultiClientWrapper, provider: string, class: keycycle.face.AsyncGemini, options?: keycycle.CallOptions): keycycle.async.Gemini
---@overload fun(self: keycycle.MultiClientWrapper, provider: string, class: keycycle.face.AsyncCohere, options?: keycycle.CallOptions): keycycle.async.Cohere
---@overload fun(self: keycycle.MultiClientWrapper, provider: string, class: keycycle.face.AsyncTwelveLabs, options?: keycycle.CallOptions): keycycle.async.TwelveLabs
---@overload fun(self: keycycle.MultiClientWrapper, provider: string, class: keycycle.face.Anthropic, options?: keycycle.CallOptions): keycycle.client.anthropic
---@overload fun(self: keycycle.MultiClientWrapper, provider: string, class: keycycle.face.Gemini, options?: keycycle.CallOptions): keycycle.client.gemini
---@overload fun(self: keycycle.MultiClientWrapper, provider: string, class: keycycle.face.Cohere, options?: keycycle.CallOptions): keycycle.client.cohere
---@overload fun(self: keycycle.MultiClientWrapper, provider: string, class: keycycle.face.TwelveLabs, options?: keycycle.CallOptions): keycycle.client.twelvelabs
---@overload fun(self: keycycle.MultiClientWrapper, provider: string, class: keycycle.face.OpenAI, options?: keycycle.CallOptions): keycycle.client.openai
---@overload fun(self: keycycle.MultiClientWrapper, provider: string, class: function|table, options?: keycycle.ForeignOptions): any
---@param provider "anthropic"
---@param options? keycycle.CallOptions of every call
---@return keycycle.client.anthropic
function wrapper:get_rotating_client(provider, options) end

--- A model of the provider: one shape for all of them. It rotates over the keys.
---@param provider string
---@param options? keycycle.ModelOptions
---@return keycycle.Model
function wrapper:get_model(provider, options) end

--- A model over a chain of models. Each is asked in turn; then whichever is free first is waited
--- for. One deadline and one budget of attempts for all. Raises InvalidConfigurationError.
---@param chain keycycle.Chain
---@return keycycle.Model
function wrapper:fallback(chain) end

--- Opens a connection to the provider ahead of need, so that the next call finds it warm. Sends
--- no key. Blocks, or yields in a task. Raises TransportError.
---@param provider string
function wrapper:preconnect(provider) end

--- The provider's manager: statistics, states, keys.
---@param provider string
---@return keycycle.Manager
function wrapper:get_manager(provider) end

--- Writes what was used, at a point of the program's choice. Blocks until it is done; without a
--- store it does nothing. Raises StoreError.
---@param seconds? number to wait at most for the database; default 5
function wrapper:save(seconds) end

--- Ends it: waiting calls are refused, streams end, usage is written within five seconds.
--- Idempotent. Later calls raise KeycycleError (`closed`).
function wrapper:stop() end

--- How wrappers of one provider are made: `keycycle.MultiProviderWrapper`.
---@class keycycle.MultiProviderWrappers
local provider_wrappers = {}

--- Makes a wrapper of one provider. Without `keys` they come from the environment.
---@param options keycycle.ProviderOptions
---@return keycycle.MultiProviderWrapper
function provider_wrappers.new(options) end

--- The same; the keys come from the environment.
---@param options keycycle.ProviderOptions
---@return keycycle.MultiProviderWrapper
function provider_wrappers.from_env(options) end

--- One provider. It is closable.
---@class keycycle.MultiProviderWrapper
---@field provider string
---@field default_model_id? string
---@field manager keycycle.Manager
local one = {}

--- A client whose calls rotate over the keys; as of MultiClientWrapper, without the provider.
---@overload fun(self: keycycle.MultiProviderWrapper, class: keycycle.face.AsyncOpenAI, options?: keycycle.CallOptions): keycycle.async.OpenAI
---@overload fun(self: keycycle.MultiProviderWrapper, class: keycycle.face.AsyncAnthropic, options?: keycycle.CallOptions): keycycle.async.Anthropic
---@overload fun(self: keycycle.MultiProviderWrapper, class: keycycle.face.AsyncGemini, options?: keycycle.CallOptions): keycycle.async.Gemini
---@overload fun(self: keycycle.MultiProviderWrapper, class: keycycle.face.AsyncCohere, options?: keycycle.CallOptions): keycycle.async.Cohere
---@overload fun(self: keycycle.MultiProviderWrapper, class: keycycle.face.AsyncTwelveLabs, options?: keycycle.CallOptions): keycycle.async.TwelveLabs
---@overload fun(self: keycycle.MultiProviderWrapper, class: keycycle.face.Anthropic, options?: keycycle.CallOptions): keycycle.client.anthropic
---@overload fun(self: keycycle.MultiProviderWrapper, class: keycycle.face.Gemini, options?: keycycle.CallOptions): keycycle.client.gemini
---@overload fun(self: keycycle.MultiProviderWrapper, class: keycycle.face.Cohere, options?: keycycle.CallOptions): keycycle.client.cohere
---@overload fun(self: keycycle.MultiProviderWrapper, class: keycycle.face.TwelveLabs, options?: keycycle.CallOptions): keycycle.client.twelvelabs
---@overload fun(self: keycycle.MultiProviderWrapper, class: keycycle.face.OpenAI, options?: keycycle.CallOptions): keycycle.client.openai
---@overload fun(self: keycycle.MultiProviderWrapper, class: function|table, options?: keycycle.ForeignOptions): any
---@param options? keycycle.CallOptions
---@return keycycle.client.openai
function one:get_rotating_client(options) end

--- The client with OpenAI's paths. Raises InvalidConfigurationError where the provider has none
--- of them.
---@param options? keycycle.CallOptions
---@return keycycle.client.openai
function one:get_openai_client(options) end

--- The same, each call of which is a task.
---@param options? keycycle.CallOptions
---@return keycycle.async.OpenAI
function one:get_async_openai_client(options) end

--- A model that rotates over the keys.
---@param options? keycycle.ModelOptions
---@return keycycle.Model
function one:get_model(options) end

--- Opens a connection ahead of need. Raises TransportError.
function one:preconnect() end

--- A lease of a key for one request of the program's own, which settles it (`commit`, `fail`,
--- `cancel`). Blocks, or yields in a task. Raises NoAvailableKeyError, RateLimitError,
--- InvalidKeyError, KeyNotFoundError.
---@param options? keycycle.KeyUsageOptions
---@return keycycle.Lease
function one:get_key_usage(options) end

--- A key as a text. It counts as one request in flight until `record_key_usage`, or for ten
--- minutes: then what was reserved stays counted. Raises as get_key_usage.
---@param options? keycycle.KeyUsageOptions
---@return string api_key
function one:get_api_key(options) end

--- A key and its lease, which the program settles, by the lease or by `record_key_usage`.
---@param options? keycycle.KeyUsageOptions
---@return string api_key
---@return keycycle.Lease lease
function one:get_api_key_with_context(options) end

--- Records what was used of a key: settles the oldest lease of it that was handed out; where
--- none is, it is counted as a request of its own. Raises KeyNotFoundError.
---@param api_key string|integer the key, its end or its index
---@param options? keycycle.KeyRecord
function one:record_key_usage(api_key, options) end

--- Writes a table of every key: what was used by minute, hour and day, and its state.
---@param out? file*|{ write: function } default: standard output
function one:print_global_stats(out) end

--- Writes a table of one key, by model; a line that says so where there is no such key.
---@param id integer|string its index, its end or the whole key
---@param out? file*|{ write: function }
function one:print_key_stats(id, out) end

--- Writes a table of one model, by key.
---@param model string
---@param out? file*|{ write: function }
function one:print_model_stats(model, out) end

--- Writes each window of one key and model beside its limit.
---@param id integer|string
---@param model string
---@param out? file*|{ write: function }
function one:print_granular_stats(id, model, out) end

--- Has the library's log say everything, or as much as before.
---@param on? boolean nil: the other way
---@return boolean on
function one:toggle_debug(on) end

--- Writes what was used, as MultiClientWrapper's.
---@param seconds? number default 5
function one:save(seconds) end

--- Ends it, as MultiClientWrapper's.
function one:stop() end

--- Options of `get_key_usage`, `get_api_key` and `get_api_key_with_context`.
---@class keycycle.KeyUsageOptions
---@field model_id? string default: default_model_id
---@field model? string the same as model_id
---@field estimated_tokens? number to reserve; default 0
---@field wait? boolean for a key; default true
---@field timeout? number seconds to wait; default 10
---@field priority? 0|1|2|3|4|5|6|7 in the queue; default 4
---@field affinity? string the same text, the same key while that has room
---@field key_id? integer|string that key and no other
---@field pin_key? boolean false: with key_id, another one where that has no room

--- What `record_key_usage` is told.
---@class keycycle.KeyRecord
---@field model_id? string
---@field model? string the same as model_id
---@field actual_tokens? integer
---@field estimated_tokens? integer counted where actual_tokens are not known; neither: what was reserved

--- The strategies by name.
---@class keycycle.RateLimitStrategies
---@field PER_MODEL "per_model" each model has its limits
---@field GLOBAL "global" one set of limits for all models

--- What is known of an answer.
---@class keycycle.Info
---@field provider string
---@field model string
---@field key_index? integer
---@field key_suffix? string
---@field params? table<string, string> the key's, none of them secret
---@field attempts keycycle.Attempt[]
---@field waited number seconds, for keys and between attempts
---@field usage? keycycle.Usage
---@field status? integer
---@field headers? table<string, string> by lower-case names
---@field body? string the exact text; nil for a stream

--- What was used. Of a stream that ended early what was seen is counted: `estimated`.
---@class keycycle.Usage
---@field input_tokens? integer
---@field output_tokens? integer
---@field total_tokens? integer
---@field cached_tokens? integer
---@field reasoning_tokens? integer
---@field estimated? boolean

