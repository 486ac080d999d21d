--- Loads users' providers, policies and limits: which folders, in what order, and all
--- or nothing. The scripts themselves run in the box.
local core = require "keycycle.core"
local entry = require "keycycle.entry"
local errors = require "keycycle.errors"
local later = require "keycycle.later"
local limit_table = require "keycycle.limit.table"
local log = require "keycycle.log"
local policy = require "keycycle.policy"
local provider = require "keycycle.provider"
local scripts = require "keycycle.loader.scripts"
local shape = require "keycycle.config.shape"
local task = require "keycycle.task"

local box = later.module "keycycle.loader.box"
local trust = later.module "keycycle.call.trust"

local loader = {}

local MOST_BYTES = 1024 * 1024 -- of one script
local kinds = { { kind = "provider", folder = "providers" },
  { kind = "policy", folder = "policies" }, { kind = "limits", folder = "limits" } }

local here = false      -- whether ./.keycycle is trusted
local searched = false  -- whether the search path was loaded
local folders = {}      -- in force: the earlier wins
local files = {}        -- path -> { path, kind, stem, text, value }

local function fail(path, line, fmt, ...)
  local message = fmt:format(...)
  local at = line and ("%s:%d"):format(path, line) or path
  errors.raise(errors.ScriptError, { code = "script", file = path, line = line,
    message = at .. ": " .. message })
end

--- Trusts the folder ./.keycycle, too; before the first wrapper is made.
function loader.trust_here() here = true end

-- "scripts" of "scripts/"
local function plain_name(dir)
  return (dir:gsub("(.)/+$", "%1"))
end

local unasked -- the folder in the user's home, which nobody has named

-- A folder of the environment; one that depends on where the program runs is none.
local function absolute(variable)
  local folder = os.getenv(variable)
  return folder and folder:find "^/" and folder
end

local function search_path()
  local list = {}
  for folder in (os.getenv "KEYCYCLE_PATH" or ""):gmatch "[^:]+" do
    list[#list + 1] = plain_name(folder)
  end
  local xdg, home = absolute "XDG_CONFIG_HOME", absolute "HOME"
  if xdg then
    list[#list + 1] = xdg .. "/keycycle"
  elseif home then
    unasked = home .. "/.config/keycycle"
    list[#list + 1] = unasked
  end
  if here then list[#list + 1] = ".keycycle" end
  return list
end

local function read_text(path, size)
  if size > MOST_BYTES then fail(path, nil, "the file is larger than %d bytes", MOST_BYTES) end
  local file <close>, why = io.open(path, "rb")
  local text = file and file:read(MOST_BYTES + 1)
  if not text and size > 0 then fail(path, nil, "it cannot be read: %s", why or "no text") end
  return text or ""
end

-- The scripts of one folder, in the order of their names.
local function list_folder(dir, list)
  for _, one in ipairs(kinds) do
    local path = dir .. "/" .. one.folder
    local sizes, why, missing = core.lua_files(path)
    if not sizes and not missing then
      -- A daemon may run without the right to look into the home that it has.
      if dir ~= unasked then fail(path, nil, "it cannot be read: %s", why) end
      log.warn("%s is left out: it cannot be read: %s", path, why)
    end
    local names = {}
    for name in pairs(sizes or {}) do names[#names + 1] = name end
    table.sort(names)
    for _, name in ipairs(names) do
      list[#list + 1] = { path = path .. "/" .. name, kind = one.kind, stem = name:sub(1, -5),
        size = sizes[name] }
    end
  end
end

-- Runs a script in the box, unless the one that is in force has the same text.
local function run(file)
  file.text = read_text(file.path, file.size)
  local before = files[file.path]
  if before and before.text == file.text then
    file.value = before.value
    return
  end
  local loaded, err = box.load(file.text, "@" .. file.path)
  if not loaded then
    local words = err.line and err.message:match("^[^\n]-:" .. err.line .. ": (.*)$")
    fail(file.path, err.line, "%s", words or err.message)
  end
  if (loaded.kind or "limits") ~= file.kind then
    fail(file.path, nil, "it must return %s", file.kind == "limits" and "a table of limits"
      or ("keycycle.%s { … }"):format(file.kind))
  end
  file.value = loaded.value
end

-- The line of a script that a complaint is about: where the name it quotes, or its
-- last word before a colon, is set; else where the definition begins.
local function line_of(file, message)
  local name = message:match '"([%w_]+)"' or message:match ": (classify) rule "
    or message:match "%.([%w_]+)[^%w_.]"
  local n, begins, within = 0, nil, nil
  for line in (file.text .. "\n"):gmatch "(.-)\n" do
    n = n + 1
    if name and line:find("%f[%w_]" .. name .. "%f[^%w_]") then return n end
    if line:find "^return%f[^%w_]" then
      begins = n
    elseif not within and line:find "%f[%w_]return%f[^%w_]" then
      within = n
    end
  end
  return begins or within
end

-- What checks a definition raises about it becomes an error of the file.
local function check(file, fn, ...)
  local ok, result = pcall(fn, ...)
  if ok then return result end
  local of_another = errors.is(result, errors.ScriptError)
  if of_another or not errors.is(result, errors.ConfigurationError) then error(result, 0) end
  fail(file.path, line_of(file, result.message), "%s", result.message)
end

local function copy_of(value)
  local copy = {}
  for k, v in pairs(value) do copy[k] = v end
  return copy
end

local function note(all, sources, file, name, value)
  if all[file.kind][name] ~= nil then
    log.info("%s is not used: %s comes first", file.path, sources[file.kind][name])
    return false
  end
  all[file.kind][name], sources[file.kind][name] = value, file.path
  return true
end

-- Defines the providers: whatever one extends comes before it.
local function define_providers(list, all, sources)
  local by_name, defined = {}, {}
  for _, file in ipairs(list) do
    if file.kind == "provider" then
      local name = file.value.name
      check(file, shape.name, name, "provider.name")
      if note(all, sources, file, name, file) then by_name[name] = file end
    end
  end
  local define
  local function find(name)
    if by_name[name] then return define(by_name[name]) end
    return provider.get(name)
  end
  function define(file)
    if defined[file] == false then
      fail(file.path, line_of(file, " .extends "), "it extends itself, through others")
    end
    if defined[file] then return defined[file] end
    defined[file] = false
    defined[file] = check(file, provider.define, copy_of(file.value), find)
    return defined[file]
  end
  for name, file in pairs(by_name) do all.provider[name] = define(file) end
end

local function define_others(list, all, sources)
  for _, file in ipairs(list) do
    if file.kind == "policy" then
      local made = check(file, policy.define, copy_of(file.value))
      note(all, sources, file, made.name or file.stem, made)
    elseif file.kind == "limits" then
      note(all, sources, file, file.stem, check(file, limit_table.read, file.value, file.stem))
    end
  end
end

local function check_trust(list, all, sources)
  local held = entry.hosts()
  for _, file in ipairs(list) do
    local name = file.kind == "provider" and file.value.name
    if name and sources.provider[name] == file.path then
      local why = trust.refuses(all.provider[name], held)
      local field = why and why:match "^[%a_]+"
      if why then fail(file.path, line_of(file, (" .%s "):format(field)), "%s", why) end
    end
  end
end

-- Reads the folders and puts what they define in force, or raises and changes nothing.
local function load_folders(list)
  task.check_open()
  local found, all = {}, { provider = {}, policy = {}, limits = {} }
  local sources = { provider = {}, policy = {}, limits = {} }
  for _, dir in ipairs(list) do list_folder(dir, found) end
  for _, file in ipairs(found) do run(file) end
  define_providers(found, all, sources)
  define_others(found, all, sources)
  check_trust(found, all, sources)
  files, folders = {}, list
  for _, file in ipairs(found) do files[file.path] = file end
  scripts.replace(all, sources)
  entry.refresh_all()
end

-- Both lists as one, each folder where it comes first.
local function joined(first, second)
  local list, seen = {}, {}
  for _, some in ipairs { first, second } do
    for _, dir in ipairs(some) do
      if not seen[dir] then list[#list + 1], seen[dir] = dir, true end
    end
  end
  return list
end

--- Loads the search path, once, after what the program named: the host does it before a
--- script, else the first wrapper. Raises ScriptError.
function loader.search()
  if searched then return end
  load_folders(joined(folders, search_path()))
  searched = true
end

-- Whether a folder has any of the three that scripts lie in.
local function has_folders(dir)
  for _, one in ipairs(kinds) do
    if core.lua_files(dir .. "/" .. one.folder) then return true end
  end
  return false
end

--- Loads folders that the program names, before all others, the first one first. Raises
--- ScriptError where one is not there, or a script in it is faulty.
---@param given string|string[] each may hold providers/, policies/ and limits/
function loader.load(given)
  local list = {}
  if type(given) ~= "table" then given = { given or false } end
  for i, dir in ipairs(given) do
    if type(dir) ~= "string" or dir == "" then errors.invalid "load needs the name of a folder" end
    local there, why = core.lua_files(dir)
    if not there then fail(dir, nil, "it cannot be read: %s", why) end
    list[i] = plain_name(dir)
    if next(there) and not has_folders(dir) then
      log.warn("%s: scripts are read from its providers/, policies/ and limits/, not from itself",
        dir)
    end
  end
  load_folders(joined(list, folders))
end

--- Loads again what has changed, keeps all counters. A faulty script raises
--- ScriptError and leaves everything as it was.
function loader.reload()
  load_folders(folders)
end

return loader
