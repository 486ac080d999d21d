--- The code blocks of a page: what stands between ``` and ```.
local blocks = {}

--- Reads them, in their order: `{ language, text, line (of its first), name }`; the name is
--- what a comment in the first line says.
---@param path string
---@return table[]
function blocks.read(path)
  local list, open, number = {}, nil, 0
  for line in io.lines(path) do
    number = number + 1
    local fence = line:match "^```(%w*)$"
    if fence and not open then
      open = { language = fence, line = number + 1, lines = {} }
    elseif fence then
      open.text = table.concat(open.lines, "\n") .. "\n"
      open.name = open.text:match "^%-%- ([^\n]+)\n" or open.text:match "^/%* ([^\n]-) %*/\n"
      open.lines = nil
      list[#list + 1], open = open, nil
    elseif open then
      open.lines[#open.lines + 1] = line
    end
  end
  assert(not open, path .. ": a block without an end")
  return list
end

--- Those of a language that `wanted` (nil: each) is true for.
---@param path string
---@param language string
---@param wanted? fun(block: table): any
---@return table[]
function blocks.of(path, language, wanted)
  local list = {}
  for _, block in ipairs(blocks.read(path)) do
    if block.language == language and (not wanted or wanted(block)) then list[#list + 1] = block end
  end
  return list
end

--- Their texts as one, in which each line has the number that it has on the page: so an
--- error names the right one.
function blocks.join(list)
  local lines = {}
  for _, block in ipairs(list) do
    for _ = #lines + 1, block.line - 1 do lines[#lines + 1] = "" end
    for line in block.text:gmatch "(.-)\n" do lines[#lines + 1] = line end
  end
  return table.concat(lines, "\n") .. "\n"
end

--- The text of the one with that name.
function blocks.named(path, name)
  for _, block in ipairs(blocks.read(path)) do
    if block.name == name then return block.text end
  end
  error(("%s has no block %q"):format(path, name))
end

return blocks
