--- How much of the library's Lua was run: what lines.c wrote, beside the lines that have
--- code. usage: lua5.4 lines.lua FOLDER [LEAST]: fails under LEAST percent; with
--- KEYCYCLE_MISSED set it names the lines that were not run.
local folder, least = arg[1], tonumber(arg[2] or 0)

local function lines_of(command)
  local pipe <close> = assert(io.popen(command))
  local all = {}
  for line in pipe:lines() do all[#all + 1] = line end
  return all
end

local run = {} -- "keycycle/task.lua:12" -> true
for _, line in ipairs(lines_of(("cat '%s'/* | sort -u"):format(folder))) do run[line] = true end

-- The lines that have an instruction. What a function ends with by itself, after its last
-- `return`, has one, too, which is never run: that one counts only where it was.
local function code_lines(file, name)
  local has, last = {}, nil
  local function leave()
    if last and run[name .. ":" .. last] then has[last] = true end
    last = nil
  end
  for _, text in ipairs(lines_of(("luac5.4 -l -p '%s'"):format(file))) do
    if text:find "^main <" or text:find "^function <" then
      leave()
    else
      local line, code = text:match "^\t%d+\t%[(%d+)%]\t(%u%w*)"
      if line and code ~= "VARARGPREP" then
        if last then has[last] = true end
        last = tonumber(line)
      end
    end
  end
  leave()
  return has
end

local total, done = 0, 0
local files = lines_of "find lua/keycycle -name '*.lua' -not -path '*/meta/*' | LC_ALL=C sort"
for _, file in ipairs(files) do
  local name, missed, all = file:gsub("^lua/", ""), {}, 0
  for line in pairs(code_lines(file, name)) do
    all = all + 1
    if not run[name .. ":" .. line] then missed[#missed + 1] = line end
  end
  total, done = total + all, done + all - #missed
  if #missed > 0 then
    table.sort(missed)
    local which = os.getenv "KEYCYCLE_MISSED" and ": " .. table.concat(missed, " ") or ""
    print(("%5.1f %%  %s, %d of %d%s"):format(100 * (all - #missed) / all, file, all - #missed,
      all, which))
  end
end
local share = total > 0 and 100 * done / total or 0
print(("lua/: %.1f %% of %d lines"):format(share, total))
os.exit(share >= least)
