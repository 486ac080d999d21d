---@meta _
--- Clients: a provider's own paths. `.` and `:` both work for the last step.
---
--- A request is sent as it is, but for the model, which is filled in where it is left out; a
--- response has the provider's own form, JSON's null being nil in it. `keycycle.info` tells the
--- rest. Options of one call are the second argument. What is wrong is raised before anything
--- is sent; see errors.

--- What every client has.
---@class keycycle.Client
local client = {}

--- Any path of the provider, for all that has no name of its own.
---@param request keycycle.AnyRequest
---@param options? keycycle.CallOptions
---@return any
function client:request(request, options) end

--- The cheapest call that tells whether a key is good.
---@param request? table
---@param options? keycycle.CallOptions
---@return table
function client:check(request, options) end

--- A request by its path.
---@class keycycle.AnyRequest
---@field path string begins with /; behind base_url
---@field method? string default "GET", with json or body "POST"
---@field query? table<string, string|number|boolean>
---@field json? any the body
---@field body? string the body as a text, in place of json
---@field headers? table<string, string>
---@field stream? boolean the answer is a stream; default false
---@field model? string counted as this model

--- A stream of a client: called, it gives the next chunk, in the provider's form. It is
--- closable, and closed by `for`.
---@class keycycle.Stream
local stream = {}

--- The next chunk; nil at the end. Raises what breaks the stream off.
---@return table?
function stream:next() end

--- The next chunk, and what it means (nil: nothing); nil at the end.
---@return table? chunk
---@return keycycle.Chunk? meaning
function stream:step() end

--- Reads what is left and returns its text.
---@return string
function stream:text() end

--- Stops the transfer and settles the usage. Never yields; idempotent.
function stream:close() end

--- `client.chat.completions`.
---@class keycycle.path.completions
local completions = {}

--- Chat completions. With `stream = true` a stream of chunks.
---@overload fun(self: keycycle.path.completions, request: keycycle.openai.ChatStreamRequest, options?: keycycle.CallOptions): (keycycle.Stream|fun(): keycycle.openai.ChatChunk?), nil, nil, keycycle.Stream
---@param request keycycle.openai.ChatRequest
---@param options? keycycle.CallOptions
---@return keycycle.openai.ChatCompletion
function completions:create(request, options) end

--- `client.chat`.
---@class keycycle.path.chat
---@field completions keycycle.path.completions

--- `client.responses`.
---@class keycycle.path.responses
local responses = {}

--- OpenAI's Responses. With `stream = true` a stream of events.
---@overload fun(self: keycycle.path.responses, request: keycycle.openai.ResponseStreamRequest, options?: keycycle.CallOptions): (keycycle.Stream|fun(): keycycle.openai.ResponseEvent?), nil, nil, keycycle.Stream
---@param request keycycle.openai.ResponseRequest
---@param options? keycycle.CallOptions
---@return keycycle.openai.Response
function responses:create(request, options) end

--- `client.embeddings`.
---@class keycycle.path.embeddings
local embeddings = {}

--- Makes vectors of texts.
---@param request keycycle.openai.EmbeddingRequest
---@param options? keycycle.CallOptions
---@return keycycle.openai.EmbeddingList
function embeddings:create(request, options) end

--- `client.models`.
---@class keycycle.path.models_list
local models_list = {}

--- Lists the models.
---@param query? table
---@param options? keycycle.CallOptions
---@return keycycle.openai.ModelList
function models_list:list(query, options) end

--- `client.models`.
---@class keycycle.path.models: keycycle.path.models_list
local models = {}

--- Tells of one model.
---@param request { model: string }
---@param options? keycycle.CallOptions
---@return table
function models:retrieve(request, options) end

--- `client.audio.transcriptions`.
---@class keycycle.path.transcriptions
local transcriptions = {}

--- What a recording says; `file` is a path.
---@param request keycycle.openai.TranscriptionRequest
---@param options? keycycle.CallOptions
---@return keycycle.openai.Transcription
function transcriptions:create(request, options) end

--- `client.audio`.
---@class keycycle.path.audio
---@field transcriptions keycycle.path.transcriptions

--- `client.moderations`.
---@class keycycle.path.moderations
local moderations = {}

--- Tells whether a text is harmful.
---@param request { input: string|table, model?: string }
---@param options? keycycle.CallOptions
---@return table
function moderations:create(request, options) end

--- `client.messages`.
---@class keycycle.path.messages_create
local messages_create = {}

--- Anthropic's Messages. With `stream = true` a stream of events.
---@overload fun(self: keycycle.path.messages_create, request: keycycle.anthropic.MessageStreamRequest, options?: keycycle.CallOptions): (keycycle.Stream|fun(): keycycle.anthropic.Event?), nil, nil, keycycle.Stream
---@param request keycycle.anthropic.MessageRequest
---@param options? keycycle.CallOptions
---@return keycycle.anthropic.Message
function messages_create:create(request, options) end

--- `client.messages`.
---@class keycycle.path.messages: keycycle.path.messages_create
local messages = {}

--- Counts the tokens of a request.
---@param request keycycle.anthropic.MessageRequest
---@param options? keycycle.CallOptions
---@return { input_tokens: integer }
function messages:count_tokens(request, options) end

--- `client.models` of Gemini.
---@class keycycle.path.gemini_models: keycycle.path.models_list
local gemini_models = {}

--- Gemini's own form. With `stream = true` a stream of such answers.
---@overload fun(self: keycycle.path.gemini_models, request: keycycle.gemini.StreamRequest, options?: keycycle.CallOptions): (keycycle.Stream|fun(): keycycle.gemini.Content?), nil, nil, keycycle.Stream
---@param request keycycle.gemini.Request
---@param options? keycycle.CallOptions
---@return keycycle.gemini.Content
function gemini_models:generate_content(request, options) end

--- Gemini's own form as a stream.
---@param request keycycle.gemini.Request
---@param options? keycycle.CallOptions
---@return keycycle.Stream|fun(): keycycle.gemini.Content? stream
---@return nil
---@return nil
---@return keycycle.Stream
function gemini_models:generate_content_stream(request, options) end

--- Makes a vector of a content.
---@param request { model?: string, content: table, [string]: any }
---@param options? keycycle.CallOptions
---@return { embedding: { values: number[] } }
function gemini_models:embed_content(request, options) end

--- Makes a vector of each of several contents.
---@param request { model?: string, requests: table[] }
---@param options? keycycle.CallOptions
---@return { embeddings: { values: number[] }[] }
function gemini_models:batch_embed_contents(request, options) end

--- Counts the tokens of a request.
---@param request keycycle.gemini.Request
---@param options? keycycle.CallOptions
---@return { totalTokens: integer }
function gemini_models:count_tokens(request, options) end

--- `client.search`.
---@class keycycle.path.search
local search = {}

--- TwelveLabs' search; the key's index_id is filled in.
---@param request { query_text?: string, search_options: table, [string]: any }
---@param options? keycycle.CallOptions
---@return table
function search:query(request, options) end

--- The next page of a search.
---@param request { page_token: string }
---@param options? keycycle.CallOptions
---@return table
function search:page(request, options) end

--- `client.search`.
---@class keycycle.path.search_create
local search_create = {}

--- Searches the web.
---@param request { query: string, [string]: any }
---@param options? keycycle.CallOptions
---@return table
function search_create:create(request, options) end

--- `client.embed`.
---@class keycycle.path.embed
local embed = {}

--- Makes vectors of a video, a sound, an image or a text.
---@param request table
---@param options? keycycle.CallOptions
---@return table
function embed:create(request, options) end

--- `client.tasks`.
---@class keycycle.path.tasks
local tasks = {}

--- Begins to index a video; `video_file` is a path.
---@param request table
---@param options? keycycle.CallOptions
---@return table
function tasks:create(request, options) end

--- Tells how far that is.
---@param request { id: string }
---@param options? keycycle.CallOptions
---@return table
function tasks:retrieve(request, options) end

--- `client.indexes`.
---@class keycycle.path.indexes
local indexes = {}

--- Lists the indexes.
---@param query? table
---@param options? keycycle.CallOptions
---@return table
function indexes:list(query, options) end

--- Tells of one index.
---@param request? { index_id?: string } default: the key's
---@param options? keycycle.CallOptions
---@return table
function indexes:retrieve(request, options) end

--- `client.credits`.
---@class keycycle.path.credits
local credits = {}

--- What is left of the account's credit.
---@param query? table
---@param options? keycycle.CallOptions
---@return table
function credits:retrieve(query, options) end

--- `client.generation`.
---@class keycycle.path.generation
local generation = {}

--- What a call has cost.
---@param query { id: string }
---@param options? keycycle.CallOptions
---@return table
function generation:retrieve(query, options) end

--- `client.user`.
---@class keycycle.path.user
local user = {}

--- What is left of the account's credit.
---@param query? table
---@param options? keycycle.CallOptions
---@return table
function user:balance(query, options) end

