--- The fact sheet's wire facts of every provider, by hand and apart from the adapters:
--- what the specs compare them with. A fact is a table:
---   base      its base_url                 root   what of it is no path on a server
---   path, stream_path, query               of a chat; the path begins after the host
---   auth      header and value, "{key}" for the key
---   headers   further ones that must be sent
---   form      in asking.lua                model  a name of one of its own
---   most      the field of the most tokens that may come back ("max_tokens")
---   style     of the mock, or a relative   params parameters of a key
---   embed, rerank, transcribe              path and native request of these; `used`: the
---                                          tokens that the answer tells are the mock's
---   check     method and path of its cheapest call
local facts = {}

local bearer = { authorization = "Bearer {key}" }

local function openai_embed(path, model)
  return { path = path, used = true, call = "embeddings.create",
    request = { model = model, input = { "first", "second" } },
    vectors = function(r) return { r.data[1].embedding, r.data[2].embedding } end }
end

local function reranked(path, used)
  return { path = path, used = used, call = "rerank",
    request = { model = "rerank-v3.5", query = "two", documents = { "one", "two" }, top_n = 1 } }
end

local function transcribed(path, model)
  return { path = path, call = "audio.transcriptions.create", model = model }
end

local function provider(name, fact)
  fact.name, fact.style = name, fact.style or name
  fact.auth, fact.form = fact.auth or bearer, fact.form or "chat"
  fact.path = fact.path or fact.base:match "^https?://[^/]+(.*)$" .. "/chat/completions"
  fact.check = fact.check or { "GET", (fact.path:gsub("/chat/completions$", "/models")) }
  facts[name] = fact
end

provider("openai", {
  most = "max_completion_tokens",
  base = "https://api.openai.com/v1", model = "gpt-4o-mini", responses = "/v1/responses",
  embed = openai_embed("/v1/embeddings", "text-embedding-3-small"),
  transcribe = transcribed("/v1/audio/transcriptions", "whisper-1"),
})

provider("groq", {
  most = "max_completion_tokens",
  base = "https://api.groq.com/openai/v1", model = "openai/gpt-oss-120b",
  responses = "/openai/v1/responses",
  embed = openai_embed("/openai/v1/embeddings", "nomic-embed-text-v1_5"),
  transcribe = transcribed("/openai/v1/audio/transcriptions", "whisper-large-v3"),
})

provider("azure_openai", {
  most = "max_completion_tokens",
  base = "https://{resource}.openai.azure.com", model = "gpt-4o-mini", style = "azure",
  auth = { ["api-key"] = "{key}" }, query = "api-version=2024-10-21",
  path = "/openai/deployments/gpt-4o-mini/chat/completions", responses = "/openai/v1/responses",
  params = { { resource = "res-one" }, { resource = "res-two" } },
  embed = openai_embed("/openai/deployments/embed-3/embeddings", "embed-3"),
  transcribe = transcribed("/openai/deployments/whisper/audio/transcriptions", "whisper"),
  check = { "GET", "/openai/models" },
})

provider("anthropic", {
  base = "https://api.anthropic.com/v1", model = "claude-sonnet-4-5", form = "messages",
  path = "/v1/messages", auth = { ["x-api-key"] = "{key}" },
  headers = { ["anthropic-version"] = "2023-06-01" }, check = { "GET", "/v1/models" },
})

provider("gemini", {
  most = "maxOutputTokens",
  base = "https://generativelanguage.googleapis.com/v1beta", model = "gemini-2.5-flash",
  form = "contents", path = "/v1beta/models/gemini-2.5-flash:generateContent",
  stream_path = "/v1beta/models/gemini-2.5-flash:streamGenerateContent",
  stream_query = "alt=sse", auth = { ["x-goog-api-key"] = "{key}" },
  check = { "GET", "/v1beta/models" },
  embed = { path = "/v1beta/models/gemini-embedding-001:batchEmbedContents",
    call = "models.batch_embed_contents", in_path = { "model" },
    request = { model = "gemini-embedding-001", requests = {
      { model = "models/gemini-embedding-001", content = { parts = { { text = "first" } } } },
      { model = "models/gemini-embedding-001", content = { parts = { { text = "second" } } } } } },
    vectors = function(r) return { r.embeddings[1].values, r.embeddings[2].values } end },
})

provider("gemini_openai", {
  base = "https://generativelanguage.googleapis.com/v1beta/openai", model = "gemini-2.5-flash",
  embed = openai_embed("/v1beta/openai/embeddings", "gemini-embedding-001"),
})

provider("cohere", {
  base = "https://api.cohere.com", model = "command-a-03-2025", form = "cohere",
  path = "/v2/chat", check = { "POST", "/v1/check-api-key" },
  embed = { path = "/v2/embed", used = true, call = "embed",
    request = { model = "embed-v4.0", input_type = "search_document",
      texts = { "first", "second" }, embedding_types = { "float" } },
    vectors = function(r) return r.embeddings.float end },
  rerank = reranked "/v2/rerank",
  transcribe = transcribed("/v2/audio/transcriptions", "cohere-transcribe"),
})

provider("openrouter", {
  base = "https://openrouter.ai/api/v1", model = "openai/gpt-4o-mini", form = "chat_unasked",
  responses = "/api/v1/responses", check = { "GET", "/api/v1/key" },
  embed = openai_embed("/api/v1/embeddings", "openai/text-embedding-3-small"),
  rerank = reranked("/api/v1/rerank", true), messages = "/api/v1/messages",
})

provider("cerebras", {
  most = "max_completion_tokens",
  base = "https://api.cerebras.ai/v1", model = "gpt-oss-120b",
  form = "chat_unasked" })

provider("twelvelabs", {
  base = "https://api.twelvelabs.io/v1.3", model = "analyze", form = "analyze",
  path = "/v1.3/analyze", auth = { ["x-api-key"] = "{key}" },
  params = { { index_id = "index-one" }, { index_id = "index-two" } },
  check = { "GET", "/v1.3/indexes" },
  embed = { path = "/v1.3/embed-v2", call = "embed.create",
    request = { input_type = "text", model_name = "marengo3.0",
      text = { input_text = "second" } },
    vectors = function(r) return { false, r.data[1].embedding } end, size = 16 },
})

provider("mistral", { base = "https://api.mistral.ai/v1", model = "mistral-small-latest",
  form = "chat_unasked", embed = openai_embed("/v1/embeddings", "mistral-embed"),
  transcribe = transcribed("/v1/audio/transcriptions", "voxtral-mini-latest") })

provider("deepseek", { base = "https://api.deepseek.com", model = "deepseek-chat",
  form = "chat_unasked", responses = "/responses" })

provider("together", { base = "https://api.together.xyz/v1",
  model = "meta-llama/Llama-3.3-70B-Instruct-Turbo", form = "chat_unasked",
  embed = openai_embed("/v1/embeddings", "BAAI/bge-base-en-v1.5"),
  rerank = reranked("/v1/rerank", true),
  transcribe = transcribed("/v1/audio/transcriptions", "openai/whisper-large-v3") })

provider("fireworks", { base = "https://api.fireworks.ai/inference/v1", form = "chat_unasked",
  model = "accounts/fireworks/models/llama-v3p3-70b-instruct",
  responses = "/inference/v1/responses", messages = "/inference/v1/messages",
  embed = openai_embed("/inference/v1/embeddings", "nomic-ai/nomic-embed-text-v1.5"),
  rerank = reranked("/inference/v1/rerank", true) })

provider("xai", { base = "https://api.x.ai/v1", model = "grok-4", form = "chat_unasked",
  responses = "/v1/responses", embed = openai_embed("/v1/embeddings", "v1") })

provider("perplexity", {
  most = "max_output_tokens",
  base = "https://api.perplexity.ai", model = "openai/gpt-5",
  form = "responses", path = "/v1/responses", check = { "GET", "/v1/models" },
  embed = openai_embed("/v1/embeddings", "pplx-embed") })

provider("nvidia", { base = "https://integrate.api.nvidia.com/v1",
  model = "meta/llama-3.3-70b-instruct",
  embed = openai_embed("/v1/embeddings", "nvidia/nv-embedqa-e5-v5") })

provider("sambanova", { base = "https://api.sambanova.ai/v1",
  model = "Meta-Llama-3.3-70B-Instruct",
  embed = openai_embed("/v1/embeddings", "E5-Mistral-7B-Instruct"),
  transcribe = transcribed("/v1/audio/transcriptions", "Whisper-Large-v3") })

provider("huggingface", { base = "https://router.huggingface.co/v1",
  model = "openai/gpt-oss-120b:cheapest", responses = "/v1/responses" })

local ONE, TWO = ("1"):rep(32), ("2"):rep(32)

provider("cloudflare", {
  base = "https://api.cloudflare.com/client/v4/accounts/{account_id}/ai",
  model = "@cf/meta/llama-3.3-70b-instruct-fp8-fast", form = "chat_unasked",
  path = "/client/v4/accounts/" .. ONE .. "/ai/v1/chat/completions",
  responses = "/client/v4/accounts/" .. ONE .. "/ai/v1/responses",
  params = { { account_id = ONE }, { account_id = TWO } },
  check = { "GET", "/client/v4/accounts/" .. ONE .. "/ai/models/search" },
  embed = openai_embed("/client/v4/accounts/" .. ONE .. "/ai/v1/embeddings",
    "@cf/baai/bge-base-en-v1.5"),
})

provider("ollama", { base = "http://localhost:11434/v1", model = "llama3.2",
  responses = "/v1/responses",
  embed = openai_embed("/v1/embeddings", "nomic-embed-text") })
provider("llamacpp", { base = "http://localhost:8080/v1", model = "local",
  responses = "/v1/responses", rerank = reranked("/v1/rerank", true),
  embed = openai_embed("/v1/embeddings", "local") })
provider("vllm", { base = "http://localhost:8000/v1", model = "meta-llama/Llama-3.1-8B-Instruct",
  responses = "/v1/responses", rerank = reranked("/v1/rerank", true),
  transcribe = transcribed("/v1/audio/transcriptions", "openai/whisper-small"),
  embed = openai_embed("/v1/embeddings", "BAAI/bge-m3") })

--- The names in order.
function facts.names()
  local names = {}
  for name, fact in pairs(facts) do
    if type(fact) == "table" then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

return facts
