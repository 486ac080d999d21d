--- The files of `keycycle batch`: requests in, answers out, both a JSON text a line.
---
--- A line of the input is known by its number, so one that has an answer in the output
--- is not given out again. Of those one bit each is kept; nothing else of either file
--- stays in memory.
local core = require "keycycle.core"
local errors = require "keycycle.errors"

local batch = {}

local json = core.json
local methods = {}
local job_mt = { __name = "keycycle.batch", __index = methods }

-- What a line may have beside its prompt or messages: a neutral request's fields.
local fields = { "model", "temperature", "top_p", "max_tokens", "stop", "seed", "tools",
  "tool_choice", "response_format", "extra" }
local known = { id = true, prompt = true, messages = true }
for _, name in ipairs(fields) do known[name] = true end

local function fail(fmt, ...)
  errors.raise(errors.KeycycleError, { code = "file", message = fmt:format(...) })
end

local function is_done(self, n)
  return (self.bits[n >> 6] or 0) & 1 << (n & 63) ~= 0
end

local function note(self, n, failed)
  if is_done(self, n) then return end
  self.bits[n >> 6] = (self.bits[n >> 6] or 0) | 1 << (n & 63)
  self.done = self.done + 1
  if failed then self.failed = self.failed + 1 end
end

local function put(self, path, text)
  local ok, why = self.output:write(text)
  if not ok then fail("%s cannot be written: %s", path, why) end
end

-- A file to read, and its size: nil where it has none, like a pipe.
local function open(path)
  local file, why, _ = io.stdin
  if path ~= "-" then file, why = io.open(path, "rb") end
  if not file then fail("%s", why) end
  local size = file:seek "end"
  if size then file:seek "set" end
  if path ~= "-" then _, why = file:read(0) end -- a folder can be opened, too
  if why then fail("%s: %s", path, why) end
  return file, size
end

-- A file to be added to, which another batch must not add to meanwhile.
local function open_output(path)
  local file, why = io.open(path, "ab")
  if not file then fail("%s", why) end
  file:setvbuf "no" -- a line is one write: whenever we are killed, it is there or not
  local ok
  ok, why = core.lock_file(file)
  if not ok then fail("%s is another batch's at this moment (%s)", path, why) end
  return file
end

local function decode(line)
  local value, why = json.decode(line, { null = "absent" })
  if type(value) == "table" then return value end
  return nil, why or "a single value"
end

-- A line of an output: the number of the line that it answers, and the answer.
local function read_answer(line)
  local answer = decode(line)
  local n = answer and math.tointeger(answer.line)
  if n and n > 0 then return n, answer end
end

-- Notes what the output answers: the last line of the input that it does, how long its
-- whole lines are, and what is missing behind them.
local function read_output(self, path, skip_errors)
  local file <close>, size = open(path)
  local last, whole, missing, at = 0, 0, "", 0
  if not size or size == 0 then return last end
  for line in file:lines "L" do
    local n, answer = read_answer(line)
    local ended = line:sub(-1) == "\n"
    at = at + 1
    if n then
      if not (skip_errors and answer.error) then note(self, n, answer.error ~= nil) end
      last, whole, missing = math.max(last, n), whole + #line, ended and "" or "\n"
    elseif ended then
      fail("%s: line %d is no answer of a batch: name another file", path, at)
    end
  end
  return last, whole, missing
end

-- How many lines of the input hold anything.
local function count(self, path, last)
  local total, lines = 0, 0
  for line in self.input:lines() do
    lines = lines + 1
    if line:find "%S" then total = total + 1 end
  end
  self.input:seek "set"
  if last > lines then
    fail("%s has %d lines, but line %d is answered: the output is another input's", path, lines,
      last)
  end
  return total
end

-- Makes the output anew without its errors. Who dies meanwhile leaves the old one.
local function drop_errors(self, path)
  local file <close> = open(path)
  local new_path = path .. ".new"
  os.remove(new_path)
  self.old, self.output = self.output, open_output(new_path) -- and its lock stays
  for line in file:lines "L" do
    local n, answer = read_answer(line)
    if n and not answer.error then put(self, new_path, line:sub(-1) == "\n" and line
      or line .. "\n") end
  end
  local ok, why = os.rename(new_path, path)
  if not ok then fail("%s", why) end
end

-- Takes away what a killed run left of its last line.
local function mend(self, path, whole, missing)
  local ok, why = core.cut_file(self.output, whole)
  if not ok then fail("%s: its last line is torn and cannot be cut off: %s", path, why) end
  if missing ~= "" then put(self, path, missing) end
end

local closing_mt = { __close = function(guard)
  if guard.job then guard.job:close() end
end }

--- Opens both files; an output that is there is gone on with. Raises KeycycleError
--- (`file`), with both as they were, where one cannot be had or is no batch's.
---@param input string path; "-": standard input
---@param output string path; "-": standard output, where nothing is known to be done
---@param retry_errors? boolean lines that are answered with an error are asked again
---@return table job to be closed; `total` (lines; nil where they cannot be counted), `done`
--- and `failed`: how many have an answer, and how many of these are errors
function batch.open(input, output, retry_errors)
  local self = setmetatable({ bits = {}, done = 0, failed = 0, at = 0, name = output }, job_mt)
  local guard <close> = setmetatable({ job = self }, closing_mt)
  local size
  self.input, size = open(input)
  if output == "-" then
    self.name, self.output = "standard output", io.stdout
    self.total = size and count(self, input, 0)
  else
    self.output = open_output(output)
    local last, whole, missing = read_output(self, output, retry_errors)
    self.total = size and count(self, input, last)
    if whole and retry_errors then
      drop_errors(self, output)
    elseif whole then
      mend(self, output, whole, missing)
    end
  end
  guard.job = nil
  return self
end

-- What a line asks: `{ id, messages, opts }`, opts for model:invoke; or nil, why, id.
local function read_request(line, system)
  local given, why = decode(line)
  if not given then return nil, "the line is not a JSON object: " .. why end
  for name in pairs(given) do
    if not known[name] then
      return nil, ("a line has no field %q (known: %s)"):format(name, errors.list(known)), given.id
    end
  end
  local messages = given.messages or { { role = "user", content = given.prompt } }
  if (given.messages == nil) == (given.prompt == nil) then
    return nil, "the line needs prompt or messages", given.id
  elseif type(messages) ~= "table" or given.prompt and type(given.prompt) ~= "string" then
    return nil, "prompt must be a text, and messages a list", given.id
  elseif given.model ~= nil and type(given.model) ~= "string" then
    return nil, "model must be a text", given.id
  end
  local first = messages[1]
  if system and not (type(first) == "table" and first.role == "system") then
    table.insert(messages, 1, { role = "system", content = system })
  end
  local opts = {}
  for _, name in ipairs(fields) do opts[name] = given[name] end
  return { id = given.id, messages = messages, opts = opts }
end

--- An iterator over the lines that are to be asked, which several tasks may share: the
--- line's number and its request, `{ id, messages, opts }` (id: the line's own). A line
--- that cannot be read is answered at once, with an error.
---@param system? string what to say where a line has no system message of its own
function methods:requests(system)
  return function()
    for line in self.input:lines() do
      self.at = self.at + 1
      local n = self.at
      if line:find "%S" and not is_done(self, n) then
        local request, why, id = read_request(line, system)
        if request then return n, request end
        self:fail(n, id, { code = "bad_line", message = why })
      end
    end
  end
end

-- Writes one line, in one write.
local function write(self, n, answer)
  answer.line = n
  local text, why = json.encode(answer)
  if not text then
    answer = { line = n, error = { code = "bad_answer", message = why } }
    text = assert(json.encode(answer))
  end
  put(self, ("%s: the answer to line %d"):format(self.name, n), text .. "\n")
  note(self, n, answer.error ~= nil)
  if answer.error and not self.first then
    self.first = { line = n, message = answer.error.message }
  end
end

--- Writes the answer to a line. Raises KeycycleError (`file`) where it cannot.
---@param n integer the line's number
---@param id any the line's own name, which goes along
---@param response table neutral
---@param key? integer which key served
function methods:answer(n, id, response, key)
  local calls = response.tool_calls
  write(self, n, { id = id, content = response.content, usage = response.usage, key = key,
    finish_reason = response.finish_reason, tool_calls = calls and calls[1] and calls or nil })
end

--- Writes that a line has no answer, and why: `{ code, message }`.
function methods:fail(n, id, err)
  local text = err.message or err.code or "failed"
  if not utf8.len(text) then text = text:gsub("[\128-\255]", "?") end
  write(self, n, { id = id, error = { code = err.code or "failed", message = text } })
end

--- What to say of the lines that have no answer: how many they are, and what is wrong
--- with one of those that were asked now.
function methods:failures()
  local text = ("%d of the lines ended with an error"):format(self.failed)
  if not self.first then return text .. " before (--retry-errors asks them again)" end
  return ("%s; line %d: %s"):format(text, self.first.line, self.first.message)
end

--- Whether an error only says that no key has room yet.
function batch.is_limit(err)
  return errors.is(err, errors.NoAvailableKeyError)
    or errors.is(err, errors.RateLimitError) and err.code ~= "impossible"
end

-- What is wrong with the model or the keys, not with what they were asked.
local of_all = { not_found = true, permission_region = true, closed = true }

--- Whether an error would meet the other lines, too, so that none more should be asked.
---@param err any of model:invoke
---@param request table of job:requests
function batch.concerns_all(err, request)
  if not errors.is(err, errors.KeycycleError) or errors.is(err, errors.InvalidKeyError)
    or errors.is(err, errors.ConfigurationError) or errors.is(err, errors.CancelledError) then
    return true
  elseif errors.is(err, errors.TransportError) then
    return not err.status and not errors.is(err, errors.TimeoutError)
  end
  return of_all[err.code] ~= nil and request.opts.model == nil
end

--- Closes both files, but for the program's own. Idempotent.
function methods:close()
  for _, name in ipairs { "input", "output", "old" } do
    local file = self[name]
    if file and file ~= io.stdin and file ~= io.stdout and io.type(file) == "file" then
      file:close()
    end
  end
end

job_mt.__close = methods.close

return batch
