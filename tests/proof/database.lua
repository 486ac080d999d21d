--- The databases of the proofs: SQLite files, a MariaDB server of our own, or one that
--- somebody names by its URL; and how each one fails.
local proc = require "tests.support.proc"
local processes = require "tests.support.processes"
local servers = require "tests.support.servers"

local database = {}

local START = 30          -- seconds that a server may take to start
local SMALL_DISK = 65536  -- KiB

local function size(path)
  local file <close> = io.open(path)
  return file and file:seek "end" or 0
end

-- -- SQLite ---------------------------------------------------------------

local sqlite = {}
local function remove(self)
  if not self.keep then os.execute(("rm -rf '%s'"):format(self.dir)) end
end

--- Removes all of it, but for `keep`.
function sqlite:close() remove(self) end
local sqlite_mt = { __index = sqlite, __close = sqlite.close }

--- A new store: its URL and, where it is one, its file.
function sqlite:fresh()
  self.count = self.count + 1
  local path = ("%s/%d.db"):format(self.dir, self.count)
  return "sqlite:" .. path, path
end

-- Takes all room of its filesystem.
local function fill_disk(self)
  local pipe <close> = assert(io.popen(("df --output=avail -k '%s'"):format(self.dir)))
  local free = tonumber(pipe:read "a":match "%d+")
  assert(free < SMALL_DISK, "the folder must lie on a small filesystem: mount -t tmpfs -o size=16m")
  os.execute(("head -c %dk /dev/zero > '%s/filler' 2>/dev/null"):format(free + 1, self.dir))
end

--- Makes the newest store fail for a process: "lock" (another has it), "full" (its files
--- must not grow, and a write is cut), "disk" (there is no room on it).
function sqlite:fail(how, pid)
  local path = ("%s/%d.db"):format(self.dir, self.count)
  if how == "lock" then
    self.lock = proc.lock(path)
  elseif how == "full" then
    self.limited = pid
    proc.limit_files(pid, size(path .. "-wal") + math.random(6000))
  elseif how == "disk" then
    fill_disk(self)
  else
    error("sqlite has no failure " .. how)
  end
end

function sqlite:heal()
  if self.lock then self.lock:close() end
  if self.limited then proc.limit_files(self.limited) end
  os.remove(self.dir .. "/filler")
  self.lock, self.limited = nil, nil
end

-- -- MariaDB --------------------------------------------------------------

local mariadb = {}

function mariadb:close()
  self.server:close()
  remove(self)
end
local mariadb_mt = { __index = mariadb, __close = mariadb.close }

-- Waits until it takes connections.
function mariadb:start()
  self.server = processes.start("tests/support/mariadb.sh", self.dir, tostring(self.port))
  local ready, text = false, {}
  self.server:listen(proc.mono() + START, function(line)
    text[#text + 1] = line
    ready = ready or line:find "ready for connections" ~= nil
    return ready
  end)
  if not ready then error("mariadb did not start:\n" .. table.concat(text, "\n")) end
end

function mariadb:fresh()
  self.count = self.count + 1
  local name = "kc" .. self.count
  assert(os.execute(("mariadb --no-defaults --socket='%s/socket' -u root -e 'CREATE DATABASE %s; "
    .. "GRANT ALL ON %s.* TO kc@127.0.0.1'"):format(self.dir, name, name)))
  return ("mysql://kc:kcpw@127.0.0.1:%d/%s"):format(self.port, name)
end

--- Makes it fail for all: "stop" (it shuts down), "crash" (SIGKILL), "freeze" (it answers
--- nothing).
function mariadb:fail(how)
  if how == "freeze" then
    self.frozen = self.server:kill(processes.SIGSTOP)
    return
  end
  if how ~= "stop" and how ~= "crash" then error("mariadb has no failure " .. how) end
  self.server:kill(how == "stop" and processes.SIGTERM or processes.SIGKILL)
  self.server:finish()
end

function mariadb:heal()
  if self.frozen then
    self.server:kill(processes.SIGCONT)
    self.frozen = nil
  else
    self:start()
  end
end

--- Those that this machine has.
function database.kinds()
  local kinds = { "sqlite" }
  if os.execute "PATH=$PATH:/usr/sbin:/usr/libexec command -v mariadbd >/dev/null" then
    kinds[2] = "mariadb"
  end
  return kinds
end

-- -- by name --------------------------------------------------------------

--- Opens "sqlite", "mariadb" or what a URL names, in a new folder in `dir`. It is to be
--- closed, which removes that, but for `keep`. `name` is the kind.
function database.open(which, dir)
  if which:find ":" then
    return { name = which:match "^%a+", lasting = true, fresh = function() return which end }
  end
  local made <close> = assert(io.popen(("mktemp -d '%s/proof-%s-XXXXXX'"):format(dir, which)))
  local folder = assert(made:read "l", "no folder could be made")
  local self = { name = which, dir = folder, count = 0 }
  if which == "sqlite" then return setmetatable(self, sqlite_mt) end
  assert(which == "mariadb", "the database is sqlite, mariadb or a URL, not " .. which)
  self.port = servers.free_port()
  setmetatable(self, mariadb_mt)
  self:start()
  return self
end

return database
