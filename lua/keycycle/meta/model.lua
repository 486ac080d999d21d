---@meta _
--- Models: one shape for every provider, and what it consists of.

--- A text in a message.
---@class keycycle.TextPart
---@field type "text"
---@field text string

--- An image: a url, or data in base64 with its media type.
---@class keycycle.ImagePart
---@field type "image"
---@field url? string
---@field data? string base64
---@field media_type? string "image/png"

--- A call of a tool that a model wants.
---@class keycycle.ToolCall
---@field id string
---@field name string
---@field arguments table
---@field arguments_text? string what is no JSON object, as it came
---@field extra? table the provider's own

--- A neutral message.
---@class keycycle.Message
---@field role "system"|"user"|"assistant"|"tool"
---@field content? string|(string|keycycle.TextPart|keycycle.ImagePart)[]
---@field tool_calls? keycycle.ToolCall[] of an assistant
---@field tool_call_id? string of a tool: which call it answers
---@field name? string
---@field reasoning? string of an assistant
---@field extra? table the provider's own

--- A tool that a model may call.
---@class keycycle.ToolDefinition
---@field name string
---@field description? string
---@field parameters? table a JSON schema of type object
---@field strict? boolean

--- The form that an answer is to have.
---@class keycycle.ResponseFormat
---@field type "text"|"json"|"json_schema"
---@field schema? table
---@field name? string
---@field strict? boolean

--- What a request says beside its messages.
---@class keycycle.RequestFields
---@field tools? keycycle.ToolDefinition[]
---@field tool_choice? "auto"|"none"|"required"|{ name: string }
---@field response_format? keycycle.ResponseFormat
---@field temperature? number
---@field top_p? number
---@field max_tokens? integer
---@field stop? string|string[]
---@field seed? integer
---@field extra? table fields of the provider's own, added to what is sent

--- Options of one question to a model.
---@class keycycle.AskOptions: keycycle.CallOptions, keycycle.RequestFields

--- Options of `get_model`.
---@class keycycle.ModelOptions: keycycle.CallOptions, keycycle.RequestFields
---@field id? string the model; default: default_model

--- A chain: "provider/model" or models in the list, and by name the options of all of them,
--- `base_url`, `key_id`, `model` and `pin_key` excepted. `timeout` is all that it waits.
---@class keycycle.Chain: keycycle.AskOptions
---@field [integer] string|keycycle.Model

--- A neutral request, as a protocol's `encode` is given it.
---@class keycycle.Request: keycycle.RequestFields
---@field model? string
---@field messages keycycle.Message[]
---@field stream? true

--- Why a model said no more.
---@alias keycycle.FinishReason "stop"|"length"|"tool_calls"|"content_filter"

--- A neutral response. It prints as its content.
---@class keycycle.Response
---@field id? string
---@field model? string
---@field content string
---@field reasoning? string
---@field tool_calls keycycle.ToolCall[]
---@field finish_reason? keycycle.FinishReason
---@field usage? keycycle.Usage
---@field extra? table
---@field raw? any what the provider sent

--- What a protocol's `decode` makes of an answer: of a neutral response what there is.
---@class keycycle.DecodedResponse
---@field id? string
---@field model? string
---@field content? string default ""
---@field reasoning? string
---@field tool_calls? keycycle.ToolCall[] default: none
---@field finish_reason? keycycle.FinishReason
---@field usage? keycycle.Usage
---@field extra? table
---@field raw? any default: the answer

--- A piece of a call of a tool, in a chunk.
---@class keycycle.ToolCallPiece
---@field index? integer which call it belongs to
---@field id? string
---@field name? string
---@field arguments? string a piece of its JSON
---@field extra? table

--- A neutral chunk of a stream.
---@class keycycle.Chunk
---@field text? string
---@field reasoning? string
---@field tool_call? keycycle.ToolCallPiece
---@field tool_calls? keycycle.ToolCallPiece[] several at once
---@field finish_reason? keycycle.FinishReason
---@field usage? keycycle.Usage
---@field done? boolean nothing more comes
---@field error? boolean the provider says no, instead of going on
---@field id? string
---@field model? string
---@field extra? table
---@field raw? any

--- A model. It holds no key between calls.
---@class keycycle.Model
---@field id? string
---@field provider? string nil of a chain
local model = {}

--- Asks the model. Blocks, or yields in a task.
---@param prompt string|keycycle.Message[] never written to
---@param options? keycycle.AskOptions
---@return keycycle.Response
function model:invoke(prompt, options) end

--- Asks it and returns a task at once.
---@param prompt string|keycycle.Message[]
---@param options? keycycle.AskOptions
---@return keycycle.Task<keycycle.Response>
function model:ainvoke(prompt, options) end

--- Asks it for a stream: `for text, chunk in model:invoke_stream(prompt) do`. Returns when the
--- first content is there and raises what comes before.
---@param prompt string|keycycle.Message[]
---@param options? keycycle.AskOptions
---@return keycycle.ModelStream|fun(): string?, keycycle.Chunk? stream
---@return nil
---@return nil
---@return keycycle.ModelStream
function model:invoke_stream(prompt, options) end

--- The same, by its name in a task.
---@param prompt string|keycycle.Message[]
---@param options? keycycle.AskOptions
---@return keycycle.ModelStream|fun(): string?, keycycle.Chunk? stream
---@return nil
---@return nil
---@return keycycle.ModelStream
function model:ainvoke_stream(prompt, options) end

--- A stream of a model: called, it is `next`. It is closable, and closed by `for`.
---@class keycycle.ModelStream
local stream = {}

--- The next text ("" where a chunk has none) and chunk; nil at the end. Raises what breaks the
--- stream off.
---@return string? text
---@return keycycle.Chunk? chunk
function stream:next() end

--- Reads what is left and returns its text.
---@return string
function stream:text() end

--- The response of what was read so far; at the end, the whole.
---@return keycycle.Response
function stream:response() end

--- Stops the transfer and settles the usage. Never yields; idempotent.
function stream:close() end

