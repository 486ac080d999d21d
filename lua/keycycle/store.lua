--- Where a wrapper keeps what was used: what its options name, opened and watched.
---
--- A database has a writer of its own, in C. A store that the program has written itself
--- stands behind one in memory: `load` fills that once, and `save` is given what it holds.
--- The options are not kept: a URL holds a password.
local core = require "keycycle.core"
local config = require "keycycle.config"
local errors = require "keycycle.errors"
local later = require "keycycle.later"
local log = require "keycycle.log"
local task = require "keycycle.task"

local store_data = later.module "keycycle.store.data"

local invalid = errors.invalid

local store = {}

local methods = {}
local store_mt = { __name = "keycycle.store", __index = methods }

local FLUSH_SECONDS = 5
local SAVE_EVERY = 10
local TURN_SECONDS = 1 -- what a turn of the loop waits at most for a save
local MOST_DAYS = 36500

-- Every store that is open; to watch one keeps no wrapper alive.
local watched = setmetatable({}, { __mode = "k" })

--- Checks the options that say where usage is kept, whose types are right. Raises
--- InvalidConfigurationError.
---@param opts table of a wrapper
function store.check(opts)
  local days, own = opts.keep_days, opts.store
  if days and not (math.tointeger(days) and days >= 1 and days <= MOST_DAYS) then
    invalid("option keep_days must be whole days, from 1 to %d", MOST_DAYS)
  end
  if opts.db_url == "" then invalid "option db_url is empty: leave it out to keep nothing" end
  if opts.db_env_var == "" then invalid "option db_env_var is empty: it names a variable" end
  if opts.db_url and opts.db_url:find "\0" then invalid "option db_url has a zero byte" end
  if not own then return end
  if opts.db_url then invalid "options db_url and store both name a store: give one" end
  for _, name in ipairs { "load", "save" } do
    if type(own[name]) ~= "function" then
      invalid("option store must have a function %s, not a %s", name, type(own[name]))
    end
  end
  local every = own.every
  if every ~= nil and not (type(every) == "number" and every > 0) then
    invalid "option store: every must be seconds, more than zero"
  end
end

local function fail(fmt, ...)
  errors.raise(errors.StoreError, { code = "store", message = fmt:format(...) })
end

-- That memory is short is no fault of the store: who asked may ask again.
local function raise_memory(err)
  if err == "not enough memory" or type(err) == "table" and err.code == "no_memory" then
    error(err, 0)
  end
end

-- What a store of the program's own remembers; nil: nothing yet.
local function read_past(own)
  local ok, data = pcall(own.load)
  if not ok then raise_memory(data) end
  if not ok then fail("store.load failed: %s", tostring(data)) end
  return data and store_data.check(data) or nil
end

-- The URL of a database and where it was named.
local function find_url(opts)
  if opts.db_url then return opts.db_url, "option db_url" end
  local variable = opts.db_env_var or "TIDB_DB_URL"
  return config.environment(opts.env_file)(variable), "the variable " .. variable
end

local look -- after each turn of the loop

--- Opens what the options of a wrapper name; nil where they name nothing, nor does the
--- environment. Raises ConfigurationError (`no_such_store`), InvalidConfigurationError
--- (`bad_url`), StoreError.
---@param opts table of a wrapper, checked
---@return table?
function store.open(opts)
  local own, url, where, past = opts.store, "memory:", "option store", nil
  if own then past = read_past(own) else url, where = find_url(opts) end
  if not url then return nil end
  local journal, err = core.journal(url, { keep_days = opts.keep_days, import = past,
    alone = own ~= nil })
  if not journal then
    error(errors.from_core(err, { message = ("%s: %s"):format(where, err.message) }), 0)
  end
  local clock = opts.clock
  local self = setmetatable({ journal = journal, changes = 0, set_aside = 0, failing = false,
    closed = false, attached = false, save_to = own and own.save,
    every = own and own.every or SAVE_EVERY,
    now = clock and function() return clock:now() end or core.mono, saving = false,
    save_at = 0, save_failing = false }, store_mt)
  self.save_at = self.now() + self.every
  task.after_each_turn(look)
  watched[self] = true
  return self
end

--- Reads back into the pool what was kept of its keys, and keeps it from now on. Before
--- the first lease. Raises StoreError, or InvalidConfigurationError (`differs`) for a
--- shared pool that is kept elsewhere.
---@param pool userdata
---@param name string of its provider
function methods:attach(pool, name)
  local ok, err = self.journal:attach(pool)
  if not ok then error(errors.from_core(err, { provider = name }), 0) end
  self.attached = true
end

--- `{ waiting, set_aside, failing, error, aside }`: how many counts are not written yet
--- and how many were refused for good, for how many seconds writing has failed, and words.
function methods:status()
  return self.journal:status()
end

--- Logs what has changed, each once: that writing fails, that it works again, that something
--- was refused for good. Cheap where nothing has.
function methods:report()
  local changes = self.journal:changes()
  if changes == self.changes then return end
  local s = self.journal:status()
  self.changes = changes
  if s.set_aside > self.set_aside then
    log.warn("the store refused counts for good, which are left out (%d): %s",
      s.set_aside - self.set_aside, s.aside)
    self.set_aside = s.set_aside
  end
  if s.error ~= "" and not self.failing then
    self.failing = true
    log.warn("usage cannot be written, which is tried again until it can: %s", s.error)
  elseif s.error == "" and self.failing then
    self.failing = false
    log.info "usage is written again"
  end
end

-- Runs to its end apart from the task that asks: what it waits for blocks, so that no
-- other save begins or ends meanwhile. nil, or why it failed.
local function run_apart(fn, data)
  local co = coroutine.create(fn)
  local ok, result, why = coroutine.resume(co, data)
  if not ok then raise_memory(result) end
  if not ok then return tostring(result) end
  if coroutine.status(co) ~= "dead" then
    coroutine.close(co)
    return "it yields, which it may not"
  end
  if not result and why ~= nil then return tostring(why) end
  return nil
end

local saving_mt = { __close = function(self) self.store.saving = false end }

local function flush(self, seconds)
  local ok, err = self.journal:flush(seconds)
  if ok then return end
  if err.code == "timeout" then fail "usage could not be written in time" end
  error(errors.from_core(err), 0)
end

-- Gives the program what it is to keep. `mark`: not where that is what was saved with it.
local function save_own(self, seconds, mark)
  if self.saving then fail "store.save is running, and cannot be called from within" end
  local running <close> = setmetatable({ store = self }, saving_mt)
  running.store.saving = true
  flush(self, seconds)
  local data, new = self.journal:export(mark)
  if data == nil then error(errors.from_core(new), 0) end
  if not data then return end
  local why = run_apart(self.save_to, data)
  if why then fail("store.save failed: %s", why) end
  self.saved = new
end

--- Writes what was used, now: to the database, or by the program's own `save`, in which
--- what waits blocks. Raises StoreError.
---@param seconds? number to wait at most, default 5
function methods:save(seconds)
  seconds = seconds or FLUSH_SECONDS
  if self.save_to then save_own(self, seconds) else flush(self, seconds) end
end

-- Saves what is due; what fails is tried again later, and told once.
local function save_due(self)
  if not self.save_to or self.saving or self.now() < self.save_at then return end
  self.save_at = self.now() + self.every
  local ok, err = pcall(save_own, self, TURN_SECONDS, self.saved)
  if ok and self.save_failing then
    self.save_failing = false
    log.info "usage is saved again"
  elseif not ok and not self.save_failing then
    self.save_failing = true
    log.warn("usage could not be saved, which is tried again: %s", tostring(err))
  end
end

local function look_at(self)
  self:report()
  save_due(self)
end

function look()
  if not next(watched) then return end
  local all = {} -- what a save does may change the table that is walked
  for self in pairs(watched) do all[#all + 1] = self end
  for _, self in ipairs(all) do
    if not self.closed then pcall(look_at, self) end -- for want of memory: the next turn
  end
end

-- What could not be saved at the end is told; only want of memory is raised. Who has kept
-- nothing must not put what was loaded in the place of what another has saved since.
local function save_last(self)
  if not self.attached then return end
  local ok, err = pcall(save_own, self, FLUSH_SECONDS)
  if not ok then raise_memory(err) end
  if ok or err.code == "forked" then return end -- forked: the parent saves
  log.warn("usage could not be saved at the end: %s", tostring(err))
end

--- Writes what is left within five seconds and ends it. What could not be written is
--- logged. Idempotent.
function methods:close()
  if self.closed then return end
  if self.save_to then save_last(self) end
  self:report()
  local ok, err = self.journal:close(FLUSH_SECONDS)
  if not ok and not self.save_to then log.warn("%s", err.message) end
  self.closed, watched[self] = true, nil
end

return store
