---@meta _
--- The shapes of OpenAI's interface, which most providers speak: what is used most. Their other
--- fields are sent and received as well.

--- A message of a chat.
---@class keycycle.openai.ChatMessage
---@field role "system"|"developer"|"user"|"assistant"|"tool"
---@field content? string|table[]
---@field name? string
---@field tool_calls? keycycle.openai.ToolCall[]
---@field tool_call_id? string
---@field [string] any

--- A call of a function.
---@class keycycle.openai.ToolCall
---@field id string
---@field type "function"
---@field index? integer in chunks
---@field function { name: string, arguments: string }

--- A request for a chat completion.
---@class keycycle.openai.ChatRequest
---@field messages keycycle.openai.ChatMessage[]
---@field model? string default: the option `model`, else default_model
---@field max_tokens? integer
---@field max_completion_tokens? integer
---@field temperature? number
---@field top_p? number
---@field n? integer
---@field stop? string|string[]
---@field seed? integer
---@field tools? table[]
---@field tool_choice? "none"|"auto"|"required"|table
---@field response_format? table
---@field reasoning_effort? "none"|"minimal"|"low"|"medium"|"high"
---@field logprobs? boolean
---@field user? string
---@field [string] any

--- The same for a stream.
---@class keycycle.openai.ChatStreamRequest: keycycle.openai.ChatRequest
---@field stream true
---@field stream_options? { include_usage?: boolean }

--- What a chat used.
---@class keycycle.openai.ChatUsage
---@field prompt_tokens integer
---@field completion_tokens integer
---@field total_tokens integer
---@field [string] any

--- One of the answers.
---@class keycycle.openai.ChatChoice
---@field index integer
---@field message keycycle.openai.ChatMessage
---@field finish_reason "stop"|"length"|"tool_calls"|"content_filter"|string
---@field [string] any

--- A chat completion.
---@class keycycle.openai.ChatCompletion
---@field id string
---@field object "chat.completion"
---@field created integer
---@field model string
---@field choices keycycle.openai.ChatChoice[]
---@field usage? keycycle.openai.ChatUsage
---@field [string] any

--- A piece of a message.
---@class keycycle.openai.ChatDelta
---@field role? string
---@field content? string
---@field tool_calls? keycycle.openai.ToolCall[]
---@field [string] any

--- A piece of one of the answers.
---@class keycycle.openai.ChatChunkChoice
---@field index integer
---@field delta keycycle.openai.ChatDelta
---@field finish_reason? string

--- A chunk of a chat's stream.
---@class keycycle.openai.ChatChunk
---@field id string
---@field object "chat.completion.chunk"
---@field created integer
---@field model string
---@field choices keycycle.openai.ChatChunkChoice[] empty in the chunk that has the usage
---@field usage? keycycle.openai.ChatUsage
---@field [string] any

--- A request for a Response.
---@class keycycle.openai.ResponseRequest
---@field input string|table[]
---@field model? string
---@field instructions? string
---@field max_output_tokens? integer
---@field temperature? number
---@field top_p? number
---@field tools? table[]
---@field tool_choice? string|table
---@field text? table
---@field reasoning? table
---@field previous_response_id? string
---@field store? boolean
---@field [string] any

--- The same for a stream.
---@class keycycle.openai.ResponseStreamRequest: keycycle.openai.ResponseRequest
---@field stream true

--- What a Response used.
---@class keycycle.openai.ResponseUsage
---@field input_tokens integer
---@field output_tokens integer
---@field total_tokens integer
---@field [string] any

--- A Response.
---@class keycycle.openai.Response
---@field id string
---@field object "response"
---@field status string
---@field model string
---@field output table[]
---@field usage? keycycle.openai.ResponseUsage
---@field [string] any

--- An event of a Response's stream.
---@class keycycle.openai.ResponseEvent
---@field type string "response.output_text.delta"
---@field delta? string
---@field response? keycycle.openai.Response
---@field [string] any

--- A request for embeddings.
---@class keycycle.openai.EmbeddingRequest
---@field input string|string[]|integer[]|integer[][]
---@field model? string
---@field dimensions? integer
---@field encoding_format? "float"|"base64"
---@field [string] any

--- Embeddings.
---@class keycycle.openai.EmbeddingList
---@field object "list"
---@field data { object: "embedding", index: integer, embedding: number[] }[]
---@field model string
---@field usage? { prompt_tokens: integer, total_tokens: integer }
---@field [string] any

--- The models of a provider.
---@class keycycle.openai.ModelList
---@field data? { id: string, [string]: any }[]
---@field [string] any

--- A request for what a recording says.
---@class keycycle.openai.TranscriptionRequest
---@field file string a path
---@field model? string
---@field language? string
---@field prompt? string
---@field response_format? "json"|"verbose_json"|"text"|"srt"|"vtt"
---@field temperature? number
---@field [string] any

--- What a recording says.
---@class keycycle.openai.Transcription
---@field text string
---@field [string] any

