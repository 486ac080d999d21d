---@meta _
--- The clients of the Async faces: the same paths, each call of which returns a task at once.
--- `task:await()` gives the results, of a stream all four, and raises whatever is wrong.
--- Which of them a provider has is as without Async.

--- What every Async client has.
---@class keycycle.async.Client
local client = {}

--- Any path of the provider.
---@param request keycycle.AnyRequest
---@param options? keycycle.CallOptions
---@return keycycle.Task<any>
function client:request(request, options) end

--- Tells whether a key is good.
---@param request? table
---@param options? keycycle.CallOptions
---@return keycycle.Task<table>
function client:check(request, options) end

--- `client.chat.completions`.
---@class keycycle.async.path.completions
local completions = {}

--- Chat completions.
---@overload fun(self: keycycle.async.path.completions, request: keycycle.openai.ChatStreamRequest, options?: keycycle.CallOptions): keycycle.Task<keycycle.Stream|fun(): keycycle.openai.ChatChunk?>
---@param request keycycle.openai.ChatRequest
---@param options? keycycle.CallOptions
---@return keycycle.Task<keycycle.openai.ChatCompletion>
function completions:create(request, options) end

--- `client.chat`.
---@class keycycle.async.path.chat
---@field completions keycycle.async.path.completions

--- `client.responses`.
---@class keycycle.async.path.responses
local responses = {}

--- OpenAI's Responses.
---@overload fun(self: keycycle.async.path.responses, request: keycycle.openai.ResponseStreamRequest, options?: keycycle.CallOptions): keycycle.Task<keycycle.Stream|fun(): keycycle.openai.ResponseEvent?>
---@param request keycycle.openai.ResponseRequest
---@param options? keycycle.CallOptions
---@return keycycle.Task<keycycle.openai.Response>
function responses:create(request, options) end

--- `client.embeddings`.
---@class keycycle.async.path.embeddings
local embeddings = {}

--- Makes vectors of texts.
---@param request keycycle.openai.EmbeddingRequest
---@param options? keycycle.CallOptions
---@return keycycle.Task<keycycle.openai.EmbeddingList>
function embeddings:create(request, options) end

--- `client.models`.
---@class keycycle.async.path.models_list
local models_list = {}

--- Lists the models.
---@param query? table
---@param options? keycycle.CallOptions
---@return keycycle.Task<keycycle.openai.ModelList>
function models_list:list(query, options) end

--- `client.models`.
---@class keycycle.async.path.models: keycycle.async.path.models_list
local models = {}

--- Tells of one model.
---@param request { model: string }
---@param options? keycycle.CallOptions
---@return keycycle.Task<table>
function models:retrieve(request, options) end

--- `client.audio.transcriptions`.
---@class keycycle.async.path.transcriptions
local transcriptions = {}

--- What a recording says; `file` is a path.
---@param request keycycle.openai.TranscriptionRequest
---@param options? keycycle.CallOptions
---@return keycycle.Task<keycycle.openai.Transcription>
function transcriptions:create(request, options) end

--- `client.audio`.
---@class keycycle.async.path.audio
---@field transcriptions keycycle.async.path.transcriptions

--- `client.moderations`.
---@class keycycle.async.path.moderations
local moderations = {}

--- Tells whether a text is harmful.
---@param request { input: string|table, model?: string }
---@param options? keycycle.CallOptions
---@return keycycle.Task<table>
function moderations:create(request, options) end

--- `client.messages`.
---@class keycycle.async.path.messages
local messages = {}

--- Anthropic's Messages.
---@overload fun(self: keycycle.async.path.messages, request: keycycle.anthropic.MessageStreamRequest, options?: keycycle.CallOptions): keycycle.Task<keycycle.Stream|fun(): keycycle.anthropic.Event?>
---@param request keycycle.anthropic.MessageRequest
---@param options? keycycle.CallOptions
---@return keycycle.Task<keycycle.anthropic.Message>
function messages:create(request, options) end

--- Counts the tokens of a request.
---@param request keycycle.anthropic.MessageRequest
---@param options? keycycle.CallOptions
---@return keycycle.Task<{ input_tokens: integer }>
function messages:count_tokens(request, options) end

--- `client.models` of Gemini.
---@class keycycle.async.path.gemini_models: keycycle.async.path.models_list
local gemini_models = {}

--- Gemini's own form.
---@overload fun(self: keycycle.async.path.gemini_models, request: keycycle.gemini.StreamRequest, options?: keycycle.CallOptions): keycycle.Task<keycycle.Stream|fun(): keycycle.gemini.Content?>
---@param request keycycle.gemini.Request
---@param options? keycycle.CallOptions
---@return keycycle.Task<keycycle.gemini.Content>
function gemini_models:generate_content(request, options) end

--- Gemini's own form as a stream.
---@param request keycycle.gemini.Request
---@param options? keycycle.CallOptions
---@return keycycle.Task<keycycle.Stream|fun(): keycycle.gemini.Content?>
function gemini_models:generate_content_stream(request, options) end

--- Makes a vector of a content.
---@param request { model?: string, content: table, [string]: any }
---@param options? keycycle.CallOptions
---@return keycycle.Task<{ embedding: { values: number[] } }>
function gemini_models:embed_content(request, options) end

--- Makes a vector of each of several contents.
---@param request { model?: string, requests: table[] }
---@param options? keycycle.CallOptions
---@return keycycle.Task<{ embeddings: { values: number[] }[] }>
function gemini_models:batch_embed_contents(request, options) end

--- Counts the tokens of a request.
---@param request keycycle.gemini.Request
---@param options? keycycle.CallOptions
---@return keycycle.Task<{ totalTokens: integer }>
function gemini_models:count_tokens(request, options) end

--- `client.embed`.
---@class keycycle.async.path.calls
local calls = {}

--- Makes vectors of a video, a sound, an image or a text.
---@param request? table
---@param options? keycycle.CallOptions
---@return keycycle.Task<table>
function calls:create(request, options) end

--- `client.search`.
---@class keycycle.async.path.search
local search = {}

--- TwelveLabs' search.
---@param request { query_text?: string, search_options: table, [string]: any }
---@param options? keycycle.CallOptions
---@return keycycle.Task<table>
function search:query(request, options) end

--- The next page of a search.
---@param request { page_token: string }
---@param options? keycycle.CallOptions
---@return keycycle.Task<table>
function search:page(request, options) end

--- `client.tasks`.
---@class keycycle.async.path.tasks: keycycle.async.path.calls
local tasks = {}

--- Tells how far that is.
---@param request { id: string }
---@param options? keycycle.CallOptions
---@return keycycle.Task<table>
function tasks:retrieve(request, options) end

--- `client.indexes`.
---@class keycycle.async.path.indexes
local indexes = {}

--- Lists the indexes.
---@param query? table
---@param options? keycycle.CallOptions
---@return keycycle.Task<table>
function indexes:list(query, options) end

--- Tells of one index.
---@param request? { index_id?: string }
---@param options? keycycle.CallOptions
---@return keycycle.Task<table>
function indexes:retrieve(request, options) end

--- The client of an Async face with the paths of OpenAI.
---@class keycycle.async.OpenAI: keycycle.async.Client
---@field chat keycycle.async.path.chat
---@field responses keycycle.async.path.responses
---@field embeddings keycycle.async.path.embeddings
---@field models keycycle.async.path.models
---@field audio keycycle.async.path.audio
---@field moderations keycycle.async.path.moderations

--- The client of an Async face with the paths of Anthropic.
---@class keycycle.async.Anthropic: keycycle.async.Client
---@field messages keycycle.async.path.messages
---@field models keycycle.async.path.models

--- The client of an Async face with the paths of Gemini.
---@class keycycle.async.Gemini: keycycle.async.Client
---@field models keycycle.async.path.gemini_models

--- The client of an Async face with the paths of Cohere.
---@class keycycle.async.Cohere: keycycle.async.Client
---@field models keycycle.async.path.models_list
---@field audio keycycle.async.path.audio
local cohere = {}

--- Cohere's chat.
---@overload fun(self: keycycle.async.Cohere, request: keycycle.cohere.ChatStreamRequest, options?: keycycle.CallOptions): keycycle.Task<keycycle.Stream|fun(): keycycle.cohere.Event?>
---@param request keycycle.cohere.ChatRequest
---@param options? keycycle.CallOptions
---@return keycycle.Task<keycycle.cohere.Chat>
function cohere:chat(request, options) end

--- Makes vectors of texts or images.
---@param request keycycle.cohere.EmbedRequest
---@param options? keycycle.CallOptions
---@return keycycle.Task<table>
function cohere:embed(request, options) end

--- Orders texts by how well they answer a question.
---@param request keycycle.cohere.RerankRequest
---@param options? keycycle.CallOptions
---@return keycycle.Task<table>
function cohere:rerank(request, options) end

--- Splits a text into tokens.
---@param request { text: string, model?: string }
---@param options? keycycle.CallOptions
---@return keycycle.Task<{ tokens: integer[] }>
function cohere:tokenize(request, options) end

--- The client of an Async face with the paths of TwelveLabs.
---@class keycycle.async.TwelveLabs: keycycle.async.Client
---@field search keycycle.async.path.search
---@field embed keycycle.async.path.calls
---@field tasks keycycle.async.path.tasks
---@field indexes keycycle.async.path.indexes
local twelvelabs = {}

--- A text about a video.
---@param request keycycle.twelvelabs.AnalyzeRequest
---@param options? keycycle.CallOptions
---@return keycycle.Task<keycycle.twelvelabs.Analysis>
function twelvelabs:analyze(request, options) end

--- The same as a stream of events.
---@param request keycycle.twelvelabs.AnalyzeRequest
---@param options? keycycle.CallOptions
---@return keycycle.Task<keycycle.Stream|fun(): table?>
function twelvelabs:analyze_stream(request, options) end

