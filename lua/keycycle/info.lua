--- What is known of an answer beside what it says: kept apart from it, so that
--- encoding or printing it shows nothing more.
local info = {}

local known = setmetatable({}, { __mode = "k" })

--- Keeps what a run knows of its answer for `object`, which stands for it.
---@param run table the state of the call
---@param result table of the attempt that worked
---@param object table an answer or a stream
---@return table about what `info.of` gives from now on
function info.keep(run, result, object)
  local about = {
    provider = run.entry.name, model = run.model, key_index = run.key_index,
    key_suffix = run.key_suffix, params = run.params, attempts = run.attempts,
    waited = run.waited, usage = result.usage, status = result.status,
    headers = result.headers, body = result.body,
  }
  known[object] = about
  return about
end

--- The same is known of another object.
function info.share(about, object)
  known[object] = about
end

--- What is known of a response or a stream: `{ provider, model, key_index,
--- key_suffix, params, attempts, waited, usage, status, headers, body }`; `attempts`
--- has one entry a try. nil for others.
function info.of(response)
  return known[response]
end

return info
