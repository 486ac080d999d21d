---@meta _
--- The clients of the providers that are built in. Any other server that speaks as OpenAI does
--- has the client `keycycle.client.openai_compatible`.

--- The client of any server that speaks as OpenAI does.
---@class keycycle.client.openai_compatible: keycycle.Client
---@field chat keycycle.path.chat
---@field embeddings keycycle.path.embeddings
---@field models keycycle.path.models

--- The client of `openai`.
---@class keycycle.client.openai: keycycle.client.openai_compatible
---@field responses keycycle.path.responses
---@field audio keycycle.path.audio
---@field moderations keycycle.path.moderations

--- The client of `gemini_openai`.
---@class keycycle.client.gemini_openai: keycycle.client.openai_compatible

--- The client of `nvidia`.
---@class keycycle.client.nvidia: keycycle.client.openai_compatible

--- The client of `mistral`.
---@class keycycle.client.mistral: keycycle.client.openai_compatible
---@field audio keycycle.path.audio

--- The client of `sambanova`.
---@class keycycle.client.sambanova: keycycle.client.mistral

--- The client of `ollama`.
---@class keycycle.client.ollama: keycycle.client.openai_compatible
---@field responses keycycle.path.responses

--- The client of `xai`.
---@class keycycle.client.xai: keycycle.client.ollama

--- The client of `groq`.
---@class keycycle.client.groq: keycycle.client.openai_compatible
---@field responses keycycle.path.responses
---@field audio keycycle.path.audio

--- The client of `cerebras`.
---@class keycycle.client.cerebras: keycycle.Client
---@field chat keycycle.path.chat
---@field models keycycle.path.models

--- The client of `huggingface`.
---@class keycycle.client.huggingface: keycycle.client.cerebras
---@field responses keycycle.path.responses

--- The client of `azure_openai`.
---@class keycycle.client.azure_openai: keycycle.Client
---@field chat keycycle.path.chat
---@field embeddings keycycle.path.embeddings
---@field models keycycle.path.models_list
---@field responses keycycle.path.responses
---@field audio keycycle.path.audio

--- The client of `cloudflare`.
---@class keycycle.client.cloudflare: keycycle.client.openai_compatible
---@field responses keycycle.path.responses
local cloudflare = {}

--- Any model, in its own form.
---@param request { model?: string, [string]: any }
---@param options? keycycle.CallOptions
---@return table
function cloudflare:run(request, options) end

--- The client of `deepseek`.
---@class keycycle.client.deepseek: keycycle.client.cerebras
---@field responses keycycle.path.responses
---@field user keycycle.path.user

--- What orders texts by how well they answer a question.
---@class keycycle.client.rerank: keycycle.client.openai_compatible
local rerank = {}

--- Orders texts by how well they answer a question.
---@param request keycycle.cohere.RerankRequest
---@param options? keycycle.CallOptions
---@return table
function rerank:rerank(request, options) end

--- The client of `together`.
---@class keycycle.client.together: keycycle.client.rerank
---@field audio keycycle.path.audio

--- The client of `llamacpp`.
---@class keycycle.client.llamacpp: keycycle.client.rerank
---@field responses keycycle.path.responses

--- The client of `vllm`.
---@class keycycle.client.vllm: keycycle.client.llamacpp
---@field audio keycycle.path.audio

--- The client of `fireworks`.
---@class keycycle.client.fireworks: keycycle.client.llamacpp
---@field messages keycycle.path.messages_create

--- The client of `openrouter`.
---@class keycycle.client.openrouter: keycycle.client.fireworks
---@field credits keycycle.path.credits
---@field generation keycycle.path.generation

--- The client of `perplexity`.
---@class keycycle.client.perplexity: keycycle.Client
---@field responses keycycle.path.responses
---@field embeddings keycycle.path.embeddings
---@field models keycycle.path.models_list
---@field search keycycle.path.search_create

--- The client of `anthropic`.
---@class keycycle.client.anthropic: keycycle.Client
---@field messages keycycle.path.messages
---@field models keycycle.path.models

--- The client of `gemini`.
---@class keycycle.client.gemini: keycycle.Client
---@field models keycycle.path.gemini_models

--- The client of `cohere`.
---@class keycycle.client.cohere: keycycle.Client
---@field models keycycle.path.models_list
---@field audio keycycle.path.audio
local cohere = {}

--- Cohere's chat. With `stream = true` a stream of events.
---@overload fun(self: keycycle.client.cohere, request: keycycle.cohere.ChatStreamRequest, options?: keycycle.CallOptions): (keycycle.Stream|fun(): keycycle.cohere.Event?), nil, nil, keycycle.Stream
---@param request keycycle.cohere.ChatRequest
---@param options? keycycle.CallOptions
---@return keycycle.cohere.Chat
function cohere:chat(request, options) end

--- Makes vectors of texts or images.
---@param request keycycle.cohere.EmbedRequest
---@param options? keycycle.CallOptions
---@return table
function cohere:embed(request, options) end

--- Orders texts by how well they answer a question.
---@param request keycycle.cohere.RerankRequest
---@param options? keycycle.CallOptions
---@return table
function cohere:rerank(request, options) end

--- Splits a text into tokens.
---@param request { text: string, model?: string }
---@param options? keycycle.CallOptions
---@return { tokens: integer[] }
function cohere:tokenize(request, options) end

--- The client of `twelvelabs`.
---@class keycycle.client.twelvelabs: keycycle.Client
---@field search keycycle.path.search
---@field embed keycycle.path.embed
---@field tasks keycycle.path.tasks
---@field indexes keycycle.path.indexes
local twelvelabs = {}

--- A text about a video.
---@param request keycycle.twelvelabs.AnalyzeRequest
---@param options? keycycle.CallOptions
---@return keycycle.twelvelabs.Analysis
function twelvelabs:analyze(request, options) end

--- The same as a stream of events.
---@param request keycycle.twelvelabs.AnalyzeRequest
---@param options? keycycle.CallOptions
---@return keycycle.Stream|fun(): table? stream
---@return nil
---@return nil
---@return keycycle.Stream
function twelvelabs:analyze_stream(request, options) end

