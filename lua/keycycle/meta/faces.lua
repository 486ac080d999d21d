---@meta _
--- The built-in clients by the names of their makers' own, for `get_rotating_client`; each
--- one's Async twin makes a task of every call.

---@class keycycle.Face
---@field face string its name
---@field async? true each call is a task

---@class keycycle.face.OpenAI: keycycle.Face
---@class keycycle.face.Anthropic: keycycle.Face
---@class keycycle.face.Gemini: keycycle.Face
---@class keycycle.face.Cohere: keycycle.Face
---@class keycycle.face.TwelveLabs: keycycle.Face
---@class keycycle.face.AsyncOpenAI: keycycle.Face
---@class keycycle.face.AsyncAnthropic: keycycle.Face
---@class keycycle.face.AsyncGemini: keycycle.Face
---@class keycycle.face.AsyncCohere: keycycle.Face
---@class keycycle.face.AsyncTwelveLabs: keycycle.Face

---@class keycycle
local keycycle = {}

---@type keycycle.face.OpenAI
keycycle.OpenAI = {}
---@type keycycle.face.AsyncOpenAI
keycycle.AsyncOpenAI = {}
---@type keycycle.face.OpenAI
keycycle.AzureOpenAI = {}
---@type keycycle.face.AsyncOpenAI
keycycle.AsyncAzureOpenAI = {}
---@type keycycle.face.OpenAI
keycycle.Cerebras = {}
---@type keycycle.face.AsyncOpenAI
keycycle.AsyncCerebras = {}
---@type keycycle.face.OpenAI
keycycle.Cloudflare = {}
---@type keycycle.face.AsyncOpenAI
keycycle.AsyncCloudflare = {}
---@type keycycle.face.OpenAI
keycycle.DeepSeek = {}
---@type keycycle.face.AsyncOpenAI
keycycle.AsyncDeepSeek = {}
---@type keycycle.face.OpenAI
keycycle.Fireworks = {}
---@type keycycle.face.AsyncOpenAI
keycycle.AsyncFireworks = {}
---@type keycycle.face.OpenAI
keycycle.Groq = {}
---@type keycycle.face.AsyncOpenAI
keycycle.AsyncGroq = {}
---@type keycycle.face.OpenAI
keycycle.HuggingFace = {}
---@type keycycle.face.AsyncOpenAI
keycycle.AsyncHuggingFace = {}
---@type keycycle.face.OpenAI
keycycle.Mistral = {}
---@type keycycle.face.AsyncOpenAI
keycycle.AsyncMistral = {}
---@type keycycle.face.OpenAI
keycycle.Nvidia = {}
---@type keycycle.face.AsyncOpenAI
keycycle.AsyncNvidia = {}
---@type keycycle.face.OpenAI
keycycle.OpenRouter = {}
---@type keycycle.face.AsyncOpenAI
keycycle.AsyncOpenRouter = {}
---@type keycycle.face.OpenAI
keycycle.Perplexity = {}
---@type keycycle.face.AsyncOpenAI
keycycle.AsyncPerplexity = {}
---@type keycycle.face.OpenAI
keycycle.SambaNova = {}
---@type keycycle.face.AsyncOpenAI
keycycle.AsyncSambaNova = {}
---@type keycycle.face.OpenAI
keycycle.Together = {}
---@type keycycle.face.AsyncOpenAI
keycycle.AsyncTogether = {}
---@type keycycle.face.OpenAI
keycycle.XAI = {}
---@type keycycle.face.AsyncOpenAI
keycycle.AsyncXAI = {}
---@type keycycle.face.Anthropic
keycycle.Anthropic = {}
---@type keycycle.face.AsyncAnthropic
keycycle.AsyncAnthropic = {}
---@type keycycle.face.Gemini
keycycle.Gemini = {}
---@type keycycle.face.AsyncGemini
keycycle.AsyncGemini = {}
---@type keycycle.face.Cohere
keycycle.Cohere = {}
---@type keycycle.face.AsyncCohere
keycycle.AsyncCohere = {}
---@type keycycle.face.TwelveLabs
keycycle.TwelveLabs = {}
---@type keycycle.face.AsyncTwelveLabs
keycycle.AsyncTwelveLabs = {}

