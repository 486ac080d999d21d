---@meta _
--- Agents: a model that may call tools, and the conversation they have.

--- A tool of an agent. What `run` returns is the answer: a text as it is, anything else as
--- JSON; what it raises, or returns as nil and a message, the model is told as an error.
---@class keycycle.Tool
---@field name string letters, digits, _ and -; 64 at most
---@field description? string
---@field parameters? table a JSON schema of type object; without it there are no arguments
---@field run fun(args: table): any, string?
---@field strict? boolean

--- What an agent is made of.
---@class keycycle.AgentOptions
---@field model keycycle.Model
---@field instructions? string|string[] the system message of each run; a list of lines is one text
---@field tools? keycycle.Tool[]
---@field history? keycycle.Message[]|boolean what the conversation begins with; false: nothing is remembered
---@field max_steps? integer questions to the model in one run; default 10

--- A call of a tool, in a step.
---@class keycycle.ToolRun
---@field id string
---@field name string
---@field arguments table
---@field content? string what the model was told
---@field error? string what went wrong
---@field seconds? number

--- One question to the model, and the calls of tools that it wanted.
---@class keycycle.Step
---@field response keycycle.Response
---@field info keycycle.Info
---@field tools keycycle.ToolRun[]

--- What a run ends with. It prints as its content.
---@class keycycle.AgentResult
---@field content string
---@field messages keycycle.Message[] the conversation without the instructions
---@field steps keycycle.Step[]
---@field usage keycycle.Usage of all steps
---@field finish_reason? keycycle.FinishReason|"max_steps"

--- An agent; `keycycle.Agent { … }` makes it.
---@class keycycle.Agent
---@field model keycycle.Model
---@field instructions? string
---@field max_steps integer
---@field history keycycle.Message[]
local agent = {}

--- Asks, and sees all calls of tools to their end. Blocks, or yields in a task. `deadline` holds
--- for the whole run. Raises what the model raises.
---@param prompt string|keycycle.Message[]
---@param options? keycycle.AskOptions
---@return keycycle.AgentResult
function agent:run(prompt, options) end

--- The same as a task.
---@param prompt string|keycycle.Message[]
---@param options? keycycle.AskOptions
---@return keycycle.Task<keycycle.AgentResult>
function agent:arun(prompt, options) end

--- The same, read as it comes: `for text, chunk in agent:run_stream(prompt) do`. Chunks are the
--- model's, and `{ tool = call }` before and after each call of a tool.
---@param prompt string|keycycle.Message[]
---@param options? keycycle.AskOptions
---@return keycycle.AgentStream|fun(): string?, keycycle.AgentChunk? stream
---@return nil
---@return nil
---@return keycycle.AgentStream
function agent:run_stream(prompt, options) end

--- Streams the answer to standard output.
---@param prompt string|keycycle.Message[]
---@param options? keycycle.AskOptions
---@return keycycle.AgentResult
function agent:print_response(prompt, options) end

--- Forgets what was said: the history is again what the agent was made with.
function agent:reset() end

--- What an agent's stream gives beside its text.
---@class keycycle.AgentChunk: keycycle.Chunk
---@field tool? keycycle.ToolRun

--- The stream of a run: called, it is `next`. It is closable.
---@class keycycle.AgentStream
local stream = {}

--- The next text and chunk; nil at the end.
---@return string? text
---@return keycycle.AgentChunk? chunk
function stream:next() end

--- Reads what is left and returns its text.
---@return string
function stream:text() end

--- Reads on to the end: what `run` returns. Raises KeycycleError (`closed`) where it was closed
--- before.
---@return keycycle.AgentResult
function stream:result() end

--- Ends the run: it is as if it had never been. Never yields; idempotent.
function stream:close() end

