--- keycycle batch: a file of requests, many at a time; goes on where it was stopped.
local keycycle = require "keycycle"
local batch = require "keycycle.command.batch"
local command = require "keycycle.command"
local report = require "keycycle.report"

local usage = [[
usage: keycycle batch [options] IN.jsonl OUT.jsonl
  IN    a line each: { "prompt": "…" } or { "messages": [ … ] }, with "id", "model",
        "temperature", "max_tokens" and the like where they are wanted; - is standard input
  OUT   a line each: { "line": n, "id", "content", "usage", "key", "finish_reason" } or
        { "line": n, "id", "error": { "code", "message" } }, as they come; - is standard
        output. Lines that it answers already are not asked again.
  --provider NAME  --model MODEL  --base-url URL    as of keycycle chat
  --system TEXT    for lines without a system message
  --jobs N         requests at a time (default 8)
  --retry-errors   asks the lines again that ended with an error
It waits for keys as long as it takes. It ends with 0 when every line has its answer, with
1 when some ended with an error, or when it had to stop: the same command then goes on.]]

local options, words = command.read(arg, usage, { provider = true, model = true,
  ["base-url"] = true, system = true, jobs = "count", ["retry-errors"] = "flag" }, 2)
if not options then return words end
if #words < 2 then return select(2, command.refuse(usage, "IN and OUT are needed")) end
local name, config = command.provider(options, usage)
if not name then return config end

local wrapper <close> = keycycle.MultiClientWrapper.from_env { [name] = config }
local model = wrapper:get_model(name, { policy = "patient", timeout = 30 * 86400 })
local job <close> = batch.open(words[1], words[2], options["retry-errors"])
local progress = report.progress(job.total, { out = io.stderr, every = 60,
  done = job.done, manager = wrapper:get_manager(name), model = model.id })
keycycle.log.set_sink(function(level, line)
  progress.clear()
  io.stderr:write("keycycle ", level, ": ", line, "\n")
end)

--- The answer to a request, or nil and an error. A limit is no error: the next try waits
--- until a key has room.
local function ask(request)
  while true do
    local answer, err = keycycle.try(model.invoke, model, request.messages, request.opts)
    if answer or not batch.is_limit(err) then return answer, err end
    keycycle.sleep(math.min(err.retry_after or 1, 60))
  end
end

local function work(requests)
  for line, request in requests do
    local answer, err = ask(request)
    if answer then
      job:answer(line, request.id, answer, keycycle.info(answer).key_index)
    elseif batch.concerns_all(err, request) then
      error(err, 0)
    else
      job:fail(line, request.id, err)
    end
  end
end

local ok, err = pcall(keycycle.run, function()
  local workers, requests = {}, job:requests(options.system)
  for i = 1, options.jobs or 8 do workers[i] = function() work(requests) end end
  local watch = keycycle.spawn(function()
    while true do
      progress.show(job.done)
      keycycle.sleep(0.25)
    end
  end)
  keycycle.gather(workers)
  watch:cancel()
end)
progress.finish(job.done)
if job.failed > 0 then io.stderr:write("keycycle batch: ", job:failures(), "\n") end
if not ok then io.stderr:write("keycycle batch: stopped: ", tostring(err), "\n") end
return ok and job.failed == 0 and 0 or 1
