---@meta _
--- The clients of the Async faces: the same paths, each call of which returns a task at once.
--- `task:await()` gives the results, of a stream all four, and raises whatever is wrong.
--- Which of them a provider has is as without Async.

---@class keycycle.async.Client
local client = {}

---@param request keycycle.AnyRequest
---@param options? keycycle.CallOptions
---@return keycycle.Task<any>
function client:request(request, options) end

---@param request? table
---@param options? keycycle.CallOptions
---@return keycycle.Task<table>
function client:check(request, options) end

---@class keycycle.async.path.completions
local completions = {}

---@overload fun(self: keycycle.async.path.completions, request: keycycle.openai.ChatStreamRequest, options?: keycycle.CallOptions): keycycle.Task<keycycle.Stream|fun(): keycycle.openai.ChatChunk?>
---@param request keycycle.openai.ChatRequest
---@param options? keycycle.CallOptions
---@return keycycle.Task<keycycle.openai.ChatCompletion>
function completions:create(request, options) end

---@class keycycle.async.path.chat
---@field completions keycycle.async.path.completions

---@class keycycle.async.path.responses
local responses = {}

---@overload fun(self: keycycle.async.path.responses, request: keycycle.openai.ResponseStreamRequest, options?: keycycle.CallOptions): keycycle.Task<keycycle.Stream|fun(): keycycle.openai.ResponseEvent?>
---@param request keycycle.openai.ResponseRequest
---@param options? keycycle.CallOptions
---@return keycycle.Task<keycycle.openai.Response>
function responses:create(request, options) end

---@class keycycle.async.path.embeddings
local embeddings = {}

---@param request keycycle.openai.EmbeddingRequest
---@param options? keycycle.CallOptions
---@return keycycle.Task<keycycle.openai.EmbeddingList>
function embeddings:create(request, options) end

---@class keycycle.async.path.models_list
local models_list = {}

---@param query? table
---@param options? keycycle.CallOptions
---@return keycycle.Task<keycycle.openai.ModelList>
function models_list:list(query, options) end

---@class keycycle.async.path.models: keycycle.async.path.models_list
local models = {}

---@param request { model: string }
---@param options? keycycle.CallOptions
---@return keycycle.Task<table>
function models:retrieve(request, options) end

---@class keycycle.async.path.transcriptions
local transcriptions = {}

---@param request keycycle.openai.TranscriptionRequest
---@param options? keycycle.CallOptions
---@return keycycle.Task<keycycle.openai.Transcription>
function transcriptions:create(request, options) end

---@class keycycle.async.path.audio
---@field transcriptions keycycle.async.path.transcriptions

---@class keycycle.async.path.moderations
local moderations = {}

---@param request { input: string|table, model?: string }
---@param options? keycycle.CallOptions
---@return keycycle.Task<table>
function moderations:create(request, options) end

---@class keycycle.async.path.messages
local messages = {}

---@overload fun(self: keycycle.async.path.messages, request: keycycle.anthropic.MessageStreamRequest, options?: keycycle.CallOptions): keycycle.Task<keycycle.Stream|fun(): keycycle.anthropic.Event?>
---@param request keycycle.anthropic.MessageRequest
---@param options? keycycle.CallOptions
---@return keycycle.Task<keycycle.anthropic.Message>
function messages:create(request, options) end

---@param request keycycle.anthropic.MessageRequest
---@param options? keycycle.CallOptions
---@return keycycle.Task<{ input_tokens: integer }>
function messages:count_tokens(request, options) end

---@class keycycle.async.path.gemini_models: keycycle.async.path.models_list
local gemini_models = {}

---@overload fun(self: keycycle.async.path.gemini_models, request: keycycle.gemini.StreamRequest, options?: keycycle.CallOptions): keycycle.Task<keycycle.Stream|fun(): keycycle.gemini.Content?>
---@param request keycycle.gemini.Request
---@param options? keycycle.CallOptions
---@return keycycle.Task<keycycle.gemini.Content>
function gemini_models:generate_content(request, options) end

---@param request keycycle.gemini.Request
---@param options? keycycle.CallOptions
---@return keycycle.Task<keycycle.Stream|fun(): keycycle.gemini.Content?>
function gemini_models:generate_content_stream(request, options) end

---@param request { model?: string, content: table, [string]: any }
---@param options? keycycle.CallOptions
---@return keycycle.Task<{ embedding: { values: number[] } }>
function gemini_models:embed_content(request, options) end

---@param request { model?: string, requests: table[] }
---@param options? keycycle.CallOptions
---@return keycycle.Task<{ embeddings: { values: number[] }[] }>
function gemini_models:batch_embed_contents(request, options) end

---@param request keycycle.gemini.Request
---@param options? keycycle.CallOptions
---@return keycycle.Task<{ totalTokens: integer }>
function gemini_models:count_tokens(request, options) end

---@class keycycle.async.path.calls
local calls = {}

---@param request? table
---@param options? keycycle.CallOptions
---@return keycycle.Task<table>
function calls:create(request, options) end

---@class keycycle.async.path.search
local search = {}

---@param request { query_text?: string, search_options: table, [string]: any }
---@param options? keycycle.CallOptions
---@return keycycle.Task<table>
function search:query(request, options) end

---@param request { page_token: string }
---@param options? keycycle.CallOptions
---@return keycycle.Task<table>
function search:page(request, options) end

---@class keycycle.async.path.tasks: keycycle.async.path.calls
local tasks = {}

---@param request { id: string }
---@param options? keycycle.CallOptions
---@return keycycle.Task<table>
function tasks:retrieve(request, options) end

---@class keycycle.async.path.indexes
local indexes = {}

---@param query? table
---@param options? keycycle.CallOptions
---@return keycycle.Task<table>
function indexes:list(query, options) end

---@param request? { index_id?: string }
---@param options? keycycle.CallOptions
---@return keycycle.Task<table>
function indexes:retrieve(request, options) end

---@class keycycle.async.OpenAI: keycycle.async.Client
---@field chat keycycle.async.path.chat
---@field responses keycycle.async.path.responses
---@field embeddings keycycle.async.path.embeddings
---@field models keycycle.async.path.models
---@field audio keycycle.async.path.audio
---@field moderations keycycle.async.path.moderations

---@class keycycle.async.Anthropic: keycycle.async.Client
---@field messages keycycle.async.path.messages
---@field models keycycle.async.path.models

---@class keycycle.async.Gemini: keycycle.async.Client
---@field models keycycle.async.path.gemini_models

---@class keycycle.async.Cohere: keycycle.async.Client
---@field models keycycle.async.path.models_list
---@field audio keycycle.async.path.audio
local cohere = {}

---@overload fun(self: keycycle.async.Cohere, request: keycycle.cohere.ChatStreamRequest, options?: keycycle.CallOptions): keycycle.Task<keycycle.Stream|fun(): keycycle.cohere.Event?>
---@param request keycycle.cohere.ChatRequest
---@param options? keycycle.CallOptions
---@return keycycle.Task<keycycle.cohere.Chat>
function cohere:chat(request, options) end

---@param request keycycle.cohere.EmbedRequest
---@param options? keycycle.CallOptions
---@return keycycle.Task<table>
function cohere:embed(request, options) end

---@param request keycycle.cohere.RerankRequest
---@param options? keycycle.CallOptions
---@return keycycle.Task<table>
function cohere:rerank(request, options) end

---@param request { text: string, model?: string }
---@param options? keycycle.CallOptions
---@return keycycle.Task<{ tokens: integer[] }>
function cohere:tokenize(request, options) end

---@class keycycle.async.TwelveLabs: keycycle.async.Client
---@field search keycycle.async.path.search
---@field embed keycycle.async.path.calls
---@field tasks keycycle.async.path.tasks
---@field indexes keycycle.async.path.indexes
local twelvelabs = {}

---@param request keycycle.twelvelabs.AnalyzeRequest
---@param options? keycycle.CallOptions
---@return keycycle.Task<keycycle.twelvelabs.Analysis>
function twelvelabs:analyze(request, options) end

---@param request keycycle.twelvelabs.AnalyzeRequest
---@param options? keycycle.CallOptions
---@return keycycle.Task<keycycle.Stream|fun(): table?>
function twelvelabs:analyze_stream(request, options) end

