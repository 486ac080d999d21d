---@meta _
--- The shapes of the other providers' interfaces: what is used most. Their other fields are sent
--- and received as well.

--- A message of a request.
---@class keycycle.anthropic.MessageParam
---@field role "user"|"assistant"
---@field content string|table[]

--- A request of Anthropic's Messages.
---@class keycycle.anthropic.MessageRequest
---@field messages keycycle.anthropic.MessageParam[]
---@field max_tokens integer
---@field model? string
---@field system? string|table[]
---@field temperature? number
---@field top_p? number
---@field top_k? integer
---@field stop_sequences? string[]
---@field tools? table[]
---@field tool_choice? table
---@field thinking? table
---@field [string] any

--- The same for a stream.
---@class keycycle.anthropic.MessageStreamRequest: keycycle.anthropic.MessageRequest
---@field stream true

--- A block of an answer.
---@class keycycle.anthropic.ContentBlock
---@field type "text"|"tool_use"|"thinking"|string
---@field text? string
---@field id? string of a tool_use
---@field name? string of a tool_use
---@field input? table of a tool_use
---@field [string] any

--- An answer of Anthropic's Messages.
---@class keycycle.anthropic.Message
---@field id string
---@field type "message"
---@field role "assistant"
---@field model string
---@field content keycycle.anthropic.ContentBlock[]
---@field stop_reason? "end_turn"|"max_tokens"|"stop_sequence"|"tool_use"|string
---@field usage { input_tokens: integer, output_tokens: integer, [string]: any }
---@field [string] any

--- An event of its stream.
---@class keycycle.anthropic.Event
---@field type "message_start"|"content_block_start"|"content_block_delta"|"content_block_stop"|"message_delta"|"message_stop"|string
---@field index? integer
---@field delta? table
---@field message? keycycle.anthropic.Message
---@field usage? table
---@field [string] any

--- A part of a turn.
---@class keycycle.gemini.Part
---@field text? string
---@field inlineData? { mimeType: string, data: string }
---@field functionCall? { name: string, args: table }
---@field functionResponse? table
---@field [string] any

--- A turn of a conversation.
---@class keycycle.gemini.Turn
---@field role? "user"|"model"
---@field parts keycycle.gemini.Part[]

--- A request of Gemini's own form.
---@class keycycle.gemini.Request
---@field contents keycycle.gemini.Turn[]
---@field model? string
---@field systemInstruction? keycycle.gemini.Turn
---@field generationConfig? table
---@field tools? table[]
---@field toolConfig? table
---@field safetySettings? table[]
---@field [string] any

--- The same for a stream.
---@class keycycle.gemini.StreamRequest: keycycle.gemini.Request
---@field stream true chooses the path, and is not sent

--- An answer of Gemini's own form, and a chunk of its stream.
---@class keycycle.gemini.Content
---@field candidates? { content: keycycle.gemini.Turn, finishReason?: string, [string]: any }[]
---@field usageMetadata? { promptTokenCount?: integer, candidatesTokenCount?: integer, totalTokenCount?: integer, [string]: any }
---@field [string] any

--- A request of Cohere's chat.
---@class keycycle.cohere.ChatRequest
---@field messages { role: "system"|"user"|"assistant"|"tool", content: string|table[], [string]: any }[]
---@field model? string
---@field max_tokens? integer
---@field temperature? number
---@field p? number
---@field k? integer
---@field tools? table[]
---@field documents? table[]
---@field response_format? table
---@field [string] any

--- The same for a stream.
---@class keycycle.cohere.ChatStreamRequest: keycycle.cohere.ChatRequest
---@field stream true

--- An answer of Cohere's chat.
---@class keycycle.cohere.Chat
---@field id string
---@field finish_reason string
---@field message { role: "assistant", content: { type: string, text?: string }[], [string]: any }
---@field usage? table
---@field [string] any

--- An event of its stream.
---@class keycycle.cohere.Event
---@field type "message-start"|"content-delta"|"message-end"|string
---@field delta? table
---@field [string] any

--- A request for embeddings.
---@class keycycle.cohere.EmbedRequest
---@field texts? string[]
---@field input_type "search_document"|"search_query"|"classification"|"clustering"|"image"
---@field embedding_types? string[]
---@field model? string
---@field [string] any

--- A request to order texts by how well they answer a question.
---@class keycycle.cohere.RerankRequest
---@field query string
---@field documents (string|table)[]
---@field top_n? integer
---@field model? string
---@field [string] any

--- A question about a video.
---@class keycycle.twelvelabs.AnalyzeRequest
---@field prompt string
---@field video_id? string
---@field video? table
---@field temperature? number
---@field max_tokens? integer
---@field response_format? table
---@field [string] any

--- A text about a video.
---@class keycycle.twelvelabs.Analysis
---@field id string
---@field data string
---@field finish_reason? string
---@field usage? table
---@field [string] any

