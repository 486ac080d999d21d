--- The built-in clients by the names of their makers' own: `keycycle.OpenAI` and so
--- on. Each stands for paths that a provider must have; which they are, its routes say.
--- `keycycle.AsyncOpenAI` and the other Async ones have the same paths, and each of
--- their calls is a task.
local errors = require "keycycle.errors"

local faces = {}

local OPENAI = { "chat.completions.create", "responses.create" }

local paths = {
  OpenAI = OPENAI, AzureOpenAI = OPENAI, Cerebras = OPENAI, Cloudflare = OPENAI, DeepSeek = OPENAI,
  Fireworks = OPENAI, Groq = OPENAI, HuggingFace = OPENAI, Mistral = OPENAI, Nvidia = OPENAI,
  OpenRouter = OPENAI, Perplexity = OPENAI, SambaNova = OPENAI, Together = OPENAI, XAI = OPENAI,
  Anthropic = { "messages.create" }, Gemini = { "models.generate_content" },
  Cohere = { "chat" }, TwelveLabs = { "analyze" },
}

--- The faces by name, for the module; `async` marks those whose calls are tasks.
faces.all = {}
for name in pairs(paths) do
  faces.all[name] = { face = name }
  faces.all["Async" .. name] = { face = name, async = true }
end

--- Whether a value is a built-in face.
function faces.is_face(value)
  return type(value) == "table" and paths[value.face] ~= nil
end

--- Raises InvalidConfigurationError where a provider has none of the face's paths.
---@param face table
---@param adapter table
function faces.check(face, adapter)
  for _, path in ipairs(paths[face.face]) do
    if adapter.routes and adapter.routes[path] then return end
  end
  errors.invalid("provider %s does not speak as %s: it has no client.%s", adapter.name, face.face,
    paths[face.face][1])
end

return faces
