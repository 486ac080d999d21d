--- What is stopped when all is closed, unless it is collected before.
local stops = {}

local numbers = setmetatable({}, { __mode = "k" }) -- what is stopped -> its number
local count = 0

--- Has `stops.all` call `what:stop()`.
---@param what table with stop()
function stops.add(what)
  count = count + 1
  numbers[what] = count
end

--- Stops all of it, the newest first: it may be around another. What raises, and what was
--- added before it, is stopped by the next call.
function stops.all()
  local list = {}
  for what in pairs(numbers) do list[#list + 1] = what end
  table.sort(list, function(a, b) return numbers[a] > numbers[b] end)
  for _, what in ipairs(list) do
    what:stop()
    numbers[what] = nil
  end
end

return stops
