--- What is shown again and again: on a terminal in its place, elsewhere one after the
--- other.
local screen = {}

local methods = {}
local screen_mt = { __name = "keycycle.screen", __index = methods }

---@param out table a file
---@param between string elsewhere than on a terminal, between one and the next
function screen.new(out, between)
  return setmetatable({ out = out, between = between, parts = {}, shown = false }, screen_mt)
end

--- Adds to what is shown next.
function methods:write(...)
  for i = 1, select("#", ...) do self.parts[#self.parts + 1] = (select(i, ...)) end
end

-- From the corner on, each line to its end, then all below.
local function in_place(text, rows, again)
  local lines = {}
  for line in text:gmatch "([^\n]*)\n" do
    if rows and rows > 2 and #lines == rows - 2 then
      lines[#lines + 1] = "…"
      break
    end
    lines[#lines + 1] = line
  end
  return (again and "\27[H" or "\27[2J\27[H") .. table.concat(lines, "\27[K\n") .. "\27[K\n\27[J"
end

--- Shows what was written. Raises when the output takes no more.
---@param terminal? boolean in place
---@param rows? integer of the terminal: what does not fit is left out
function methods:show(terminal, rows)
  local text = table.concat(self.parts)
  if terminal then
    text = in_place(text, rows, self.shown)
  elseif self.shown then
    text = self.between .. text
  end
  self.parts, self.shown = {}, true
  assert(self.out:write(text))
  assert(self.out:flush())
end

return screen
