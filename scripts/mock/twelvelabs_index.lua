--- The mock's indexes and tasks of TwelveLabs: one index of each name, tasks that are
--- ready at once.
local json = require "keycycle.json"
local multipart = require "keycycle.mock.multipart"

local READY = "ready"

local function ask(more)
  local out = { said = "", input = 0, model = "marengo3.0" }
  for k, v in pairs(more or {}) do out[k] = v end
  return out
end

local function index_of(id)
  return { _id = id, index_name = id, video_count = 1, total_duration = 90,
    models = { { model_name = "marengo3.0", model_options = { "visual", "audio" } } } }
end

local function task_of(id, index)
  return { _id = id, video_id = "mock-video-1", index_id = index, status = READY }
end

local function read_task(form)
  local index, file = multipart.part(form, "index_id"), multipart.part(form, "video_file")
  local url = multipart.part(form, "video_url")
  if not index or not index.value then
    return nil, { message = "The index_id parameter is required but was not provided." }
  elseif not (file and file.filename) and not url then
    return nil, { message = "The video_file parameter is required but was not provided." }
  end
  return ask { index = index.value }
end

-- A GET whose path ends in an id.
local function by_id(path, answer)
  return { method = "GET", path = path, silent = true,
    read = function(_, captures) return ask { id = captures[1] } end,
    answer = function(a) return answer(a.id) end }
end

return {
  { method = "GET", path = "^/v1%.3/indexes$", silent = true, read = function() return ask() end,
    answer = function()
      return { data = { index_of "mock-index" }, page_info = { page = 1, limit_per_page = 10,
        total_page = 1, total_results = 1, total_duration = 90 } }
    end },
  by_id("^/v1%.3/indexes/([^/]+)$", index_of),
  { method = "POST", path = "^/v1%.3/tasks$", form = "multipart", silent = true,
    read = read_task,
    answer = function(a)
      local task = task_of(("mock-task-%d"):format(a.seen), a.index)
      return { _id = task._id, video_id = task.video_id }
    end },
  by_id("^/v1%.3/tasks/([^/]+)$", function(id) return task_of(id, "mock-index") end),
  -- Every further page of a search is the empty last one.
  by_id("^/v1%.3/search/([^/]+)$", function()
    return { data = json.array {}, page_info = { limit_per_page = 10, total_results = 3 } }
  end),
}
