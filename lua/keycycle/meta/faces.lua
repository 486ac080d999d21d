---@meta _
--- The built-in clients by the names of their makers' own, for `get_rotating_client`; each
--- one's Async twin makes a task of every call.

--- One of the built-in clients, for `get_rotating_client`.
---@class keycycle.Face
---@field face string its name
---@field async? true each call is a task

--- The face of a client with the paths of OpenAI.
---@class keycycle.face.OpenAI: keycycle.Face

--- The face of a client with the paths of Anthropic.
---@class keycycle.face.Anthropic: keycycle.Face

--- The face of a client with the paths of Gemini.
---@class keycycle.face.Gemini: keycycle.Face

--- The face of a client with the paths of Cohere.
---@class keycycle.face.Cohere: keycycle.Face

--- The face of a client with the paths of TwelveLabs.
---@class keycycle.face.TwelveLabs: keycycle.Face

--- The same, each call of which is a task.
---@class keycycle.face.AsyncOpenAI: keycycle.Face

--- The same, each call of which is a task.
---@class keycycle.face.AsyncAnthropic: keycycle.Face

--- The same, each call of which is a task.
---@class keycycle.face.AsyncGemini: keycycle.Face

--- The same, each call of which is a task.
---@class keycycle.face.AsyncCohere: keycycle.Face

--- The same, each call of which is a task.
---@class keycycle.face.AsyncTwelveLabs: keycycle.Face

---@class keycycle
local keycycle = {}

--- The client of OpenAI.
---@type keycycle.face.OpenAI
keycycle.OpenAI = {}
--- Each call is a task: the client of OpenAI.
---@type keycycle.face.AsyncOpenAI
keycycle.AsyncOpenAI = {}
--- The client of AzureOpenAI, with OpenAI's paths.
---@type keycycle.face.OpenAI
keycycle.AzureOpenAI = {}
--- Each call is a task: the client of AzureOpenAI, with OpenAI's paths.
---@type keycycle.face.AsyncOpenAI
keycycle.AsyncAzureOpenAI = {}
--- The client of Cerebras, with OpenAI's paths.
---@type keycycle.face.OpenAI
keycycle.Cerebras = {}
--- Each call is a task: the client of Cerebras, with OpenAI's paths.
---@type keycycle.face.AsyncOpenAI
keycycle.AsyncCerebras = {}
--- The client of Cloudflare, with OpenAI's paths.
---@type keycycle.face.OpenAI
keycycle.Cloudflare = {}
--- Each call is a task: the client of Cloudflare, with OpenAI's paths.
---@type keycycle.face.AsyncOpenAI
keycycle.AsyncCloudflare = {}
--- The client of DeepSeek, with OpenAI's paths.
---@type keycycle.face.OpenAI
keycycle.DeepSeek = {}
--- Each call is a task: the client of DeepSeek, with OpenAI's paths.
---@type keycycle.face.AsyncOpenAI
keycycle.AsyncDeepSeek = {}
--- The client of Fireworks, with OpenAI's paths.
---@type keycycle.face.OpenAI
keycycle.Fireworks = {}
--- Each call is a task: the client of Fireworks, with OpenAI's paths.
---@type keycycle.face.AsyncOpenAI
keycycle.AsyncFireworks = {}
--- The client of Groq, with OpenAI's paths.
---@type keycycle.face.OpenAI
keycycle.Groq = {}
--- Each call is a task: the client of Groq, with OpenAI's paths.
---@type keycycle.face.AsyncOpenAI
keycycle.AsyncGroq = {}
--- The client of HuggingFace, with OpenAI's paths.
---@type keycycle.face.OpenAI
keycycle.HuggingFace = {}
--- Each call is a task: the client of HuggingFace, with OpenAI's paths.
---@type keycycle.face.AsyncOpenAI
keycycle.AsyncHuggingFace = {}
--- The client of Mistral, with OpenAI's paths.
---@type keycycle.face.OpenAI
keycycle.Mistral = {}
--- Each call is a task: the client of Mistral, with OpenAI's paths.
---@type keycycle.face.AsyncOpenAI
keycycle.AsyncMistral = {}
--- The client of Nvidia, with OpenAI's paths.
---@type keycycle.face.OpenAI
keycycle.Nvidia = {}
--- Each call is a task: the client of Nvidia, with OpenAI's paths.
---@type keycycle.face.AsyncOpenAI
keycycle.AsyncNvidia = {}
--- The client of OpenRouter, with OpenAI's paths.
---@type keycycle.face.OpenAI
keycycle.OpenRouter = {}
--- Each call is a task: the client of OpenRouter, with OpenAI's paths.
---@type keycycle.face.AsyncOpenAI
keycycle.AsyncOpenRouter = {}
--- The client of Perplexity, with OpenAI's paths.
---@type keycycle.face.OpenAI
keycycle.Perplexity = {}
--- Each call is a task: the client of Perplexity, with OpenAI's paths.
---@type keycycle.face.AsyncOpenAI
keycycle.AsyncPerplexity = {}
--- The client of SambaNova, with OpenAI's paths.
---@type keycycle.face.OpenAI
keycycle.SambaNova = {}
--- Each call is a task: the client of SambaNova, with OpenAI's paths.
---@type keycycle.face.AsyncOpenAI
keycycle.AsyncSambaNova = {}
--- The client of Together, with OpenAI's paths.
---@type keycycle.face.OpenAI
keycycle.Together = {}
--- Each call is a task: the client of Together, with OpenAI's paths.
---@type keycycle.face.AsyncOpenAI
keycycle.AsyncTogether = {}
--- The client of XAI, with OpenAI's paths.
---@type keycycle.face.OpenAI
keycycle.XAI = {}
--- Each call is a task: the client of XAI, with OpenAI's paths.
---@type keycycle.face.AsyncOpenAI
keycycle.AsyncXAI = {}
--- The client of Anthropic.
---@type keycycle.face.Anthropic
keycycle.Anthropic = {}
--- Each call is a task: the client of Anthropic.
---@type keycycle.face.AsyncAnthropic
keycycle.AsyncAnthropic = {}
--- The client of Gemini.
---@type keycycle.face.Gemini
keycycle.Gemini = {}
--- Each call is a task: the client of Gemini.
---@type keycycle.face.AsyncGemini
keycycle.AsyncGemini = {}
--- The client of Cohere.
---@type keycycle.face.Cohere
keycycle.Cohere = {}
--- Each call is a task: the client of Cohere.
---@type keycycle.face.AsyncCohere
keycycle.AsyncCohere = {}
--- The client of TwelveLabs.
---@type keycycle.face.TwelveLabs
keycycle.TwelveLabs = {}
--- Each call is a task: the client of TwelveLabs.
---@type keycycle.face.AsyncTwelveLabs
keycycle.AsyncTwelveLabs = {}

