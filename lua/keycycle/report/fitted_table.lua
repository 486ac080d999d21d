--- Tables that fit a terminal: long names are cut, then columns left out.
local printer = require "keycycle.agent.printer"
local report = require "keycycle.report"

local fitted_table = {}

local GAP = 2 -- between columns, as report.table has it
local NAME, SHORT_NAME = 32, 12

local function length(text) return utf8.len(text) or #text end

--- A text that others wrote, on one line and harmless to a terminal.
---@param text string
---@param most? integer characters; what is longer ends with "…"
function fitted_table.shown(text, most)
  text = printer.harmless(text:gsub("%s+", " "))
  if not utf8.len(text) then text = text:gsub("[\128-\255]", "?") end
  if not most or length(text) <= most then return text end
  return text:sub(1, utf8.offset(text, math.max(1, most)) - 1) .. "…"
end

-- The width that each column would have.
local function measure(columns, lines)
  local widths = {}
  for i, column in ipairs(columns) do
    widths[i] = math.max(length(column[1]), length(column[2]))
    for _, line in ipairs(lines) do widths[i] = math.max(widths[i], length(line[i])) end
  end
  return widths
end

-- The widths where names have at most `name` characters, and that of all.
local function with_names(columns, natural, name)
  local widths, all = {}, -GAP
  for i, column in ipairs(columns) do
    local most = column.name and math.max(name, name >= SHORT_NAME and column.name or 1)
    widths[i] = most and math.min(natural[i], math.max(most, length(column[2]))) or natural[i]
    all = all + widths[i] + GAP
  end
  return widths, all
end

-- Leaves out the columns that go first; false where all that are left stay.
local function leave_out(columns, lines, widths)
  local most = 0
  for _, column in ipairs(columns) do most = math.max(most, column.drop or 0) end
  for i = most > 0 and #columns or 0, 1, -1 do
    if columns[i].drop == most then
      for _, list in ipairs { columns, widths, table.unpack(lines) } do table.remove(list, i) end
    end
  end
  return most > 0
end

-- Makes it as narrow as `most`, if that can be, and tells the columns' widths.
local function fit(columns, lines, most)
  local natural, name = measure(columns, lines), NAME
  local widths, all = with_names(columns, natural, math.huge)
  while all > (most or math.huge) and name > 0 do
    widths, all = with_names(columns, natural, name)
    if name == SHORT_NAME and all > most and leave_out(columns, lines, natural) then
      name = NAME
    else
      name = name - 1
    end
  end
  for i, column in ipairs(columns) do
    for _, line in ipairs(column.name and lines or {}) do
      line[i] = fitted_table.shown(line[i], widths[i])
    end
  end
  return widths
end

--- Writes a table of two heads, one above the other, and lines of texts.
---@param columns table[] { upper head, lower head, right = its texts stand there, name =
--- its texts may be cut, to that many characters before columns are left out, drop = it
--- may be left out, the highest number first }; changed
---@param lines table[] lists of texts, `code` is a line's colour; changed
---@param to table out, style, width (nil: as wide as it gets)
function fitted_table.write(columns, lines, to)
  local widths = fit(columns, lines, to.width)
  local upper, lower = {}, { code = "1" }
  for i, column in ipairs(columns) do upper[i], lower[i] = column[1], column[2] end
  table.insert(lines, 1, lower)
  for _, line in ipairs { upper, table.unpack(lines) } do
    for i, column in ipairs(columns) do
      if column.right then line[i] = (" "):rep(widths[i] - length(line[i])) .. line[i] end
    end
  end
  local two = table.concat(upper):find "%S"
  report.table(two and upper or table.remove(lines, 1), lines, to)
end

return fitted_table
