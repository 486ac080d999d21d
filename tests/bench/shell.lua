--- Programs that a bench starts: their output, their figures, their end.
local shell = {}

--- What a command prints. Raises where it fails.
function shell.output(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "a"
  assert(pipe:close(), command:sub(1, 200) .. " failed")
  return text
end

--- The numbers that a command prints, as a list.
function shell.figures(command)
  local list, text = {}, shell.output(command)
  for word in text:gmatch "%S+" do list[#list + 1] = assert(tonumber(word), text) end
  return list
end

function shell.quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

--- The middle of each of the figures of several runs.
---@param lists number[][] one list a run
---@return number[]
function shell.medians(lists)
  local middle = {}
  for i = 1, #lists[1] do
    local column = {}
    for k, list in ipairs(lists) do column[k] = list[i] end
    table.sort(column)
    middle[i] = column[(#column + 1) // 2]
  end
  return middle
end

local server_mt = {
  __close = function(server)
    os.execute("kill " .. server.pid)
    server.pipe:close()
  end,
}

--- Starts a program that prints its URL; it is to be closed.
---@return table server `{ url, pid }`
function shell.server(command)
  local pipe = assert(io.popen(("echo $$; exec %s"):format(command)))
  local pid, url = pipe:read("l", "l")
  return setmetatable({ pipe = pipe, pid = pid, url = assert(url, command .. " did not start") },
    server_mt)
end

return shell
