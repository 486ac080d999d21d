---@meta _
--- Errors: what calls raise. They are objects: `pcall` catches them, `tostring` reads well,
--- and `keycycle.is(err, keycycle.RateLimitError)` follows the tree of their classes.
---
--- No field of an error shows more of a key than its last characters.

--- A class of errors.
---@class keycycle.ErrorClass
---@field name string "RateLimitError"
---@field parent? keycycle.ErrorClass

--- What went wrong, in a word for programs.
---@alias keycycle.ErrorCode
---| "limited" # no key had room in time
---| "queue_full" # too many wait already
---| "rate_limited" # attempts used up while the provider says 429
---| "impossible" # more than a limit itself
---| "no_key" # no key is usable
---| "not_found" # no such key; or what was asked for is not there
---| "ambiguous" # several keys end so
---| "missing_variable"
---| "no_keys"
---| "invalid" # a configuration
---| "unknown_provider"
---| "unknown_path"
---| "bad_request" # it cannot be sent as it is
---| "closed" # the wrapper was stopped
---| "script" # a user's file is faulty
---| "no_such_store"
---| "store"
---| "corrupt"
---| "timeout"
---| "resolve"
---| "connect"
---| "tls"
---| "cut" # the connection broke off
---| "garbage" # what came is no answer
---| "too_large"
---| "insecure"
---| "bad_url"
---| "foreign_host"
---| "differs"
---| "cancelled"
---| "deadlock"
---| "forked" # in the child of a fork
---| keycycle.Kind

--- What is raised; fields where they are known.
---@class keycycle.Error
---@field class keycycle.ErrorClass
---@field code keycycle.ErrorCode|string
---@field message string
---@field provider? string
---@field model? string
---@field key_suffix? string the last characters of the key
---@field status? integer of the answer
---@field retry_after? number seconds
---@field retry_at? number epoch seconds
---@field body? string of the answer, as far as it may be shown
---@field attempts? keycycle.Attempt[] one entry a try
---@field limit? string the limit that is in the way
---@field max? integer what that is
---@field file? string of a ScriptError
---@field line? integer of a ScriptError
---@field traceback? string where a task raised it

--- One try of a call.
---@class keycycle.Attempt
---@field key_index? integer nil: passed over, in a chain
---@field status? integer of the answer; nil: there was none
---@field kind string "ok", or what the failure meant
---@field waited number seconds, after it
---@field action? "retry"|"rotate"|"disable"|"fail"|"next" what the policy answered
---@field sends? integer how often it left the machine
---@field provider? string in a chain
---@field model? string in a chain

---@class keycycle
local keycycle = {}

--- The class of all errors of this library.
---@type keycycle.ErrorClass
keycycle.KeycycleError = {}
--- What has to do with keys: the class above the next three.
---@type keycycle.ErrorClass
keycycle.KeycycleKeyError = {}
--- No key within `wait`, `timeout` or `deadline` (`limited`, `queue_full`).
---@type keycycle.ErrorClass
keycycle.NoAvailableKeyError = {}
--- An id that is unknown, or fits several keys (`not_found`, `ambiguous`).
---@type keycycle.ErrorClass
keycycle.KeyNotFoundError = {}
--- Every key, or the pinned one, is suspended, invalid, disabled or unpaid.
---@type keycycle.ErrorClass
keycycle.InvalidKeyError = {}
--- The attempts are used up and the provider still says 429 (`rate_limited`), or the request is
--- larger than a limit itself (`impossible`).
---@type keycycle.ErrorClass
keycycle.RateLimitError = {}
--- What has to do with what the program says: the class above the next three.
---@type keycycle.ErrorClass
keycycle.ConfigurationError = {}
--- A variable is missing; it is named.
---@type keycycle.ErrorClass
keycycle.MissingEnvironmentVariableError = {}
--- An option, a provider or a path that is not known, or a value that is none.
---@type keycycle.ErrorClass
keycycle.InvalidConfigurationError = {}
--- A provider, policy or limits file is faulty: `file` and `line` say where.
---@type keycycle.ErrorClass
keycycle.ScriptError = {}
--- The provider said no and another key would not help; `code` is the kind of its refusal.
---@type keycycle.ErrorClass
keycycle.APIError = {}
--- No connection, TLS, cut off, garbage.
---@type keycycle.ErrorClass
keycycle.TransportError = {}
--- It took too long; below TransportError.
---@type keycycle.ErrorClass
keycycle.TimeoutError = {}
--- The task was cancelled.
---@type keycycle.ErrorClass
keycycle.CancelledError = {}
--- The store of usage failed.
---@type keycycle.ErrorClass
keycycle.StoreError = {}

