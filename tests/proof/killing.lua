--- A store that processes use until they are killed (load.lua), and that new ones look at
--- (look.lua): each sight is held against what the killed ones have told (book.lua).
local proc = require "tests.support.proc"
local book = require "tests.proof.book"
local processes = require "tests.support.processes"
local shop = require "tests.proof.shop"

local killing = {}

local WINDOW = 55 -- seconds after which a minute is no longer all that there was

local methods = {}
local killing_mt = { __index = methods }

--- url: of an empty store; opts: web (a mock's base_url or "-"), models (how many "free"
--- has), grace (as of book.new).
function killing.new(url, opts)
  return setmetatable({ url = url, web = opts.web or "-", models = opts.models,
    book = book.new(opts.grace), born = proc.mono(), round = 0, over = 0,
    room = 0, taken = 0 }, killing_mt)
end

--- Starts a process that makes calls, at most so many (default: until it is killed).
function methods:start(calls)
  self.round = self.round + 1
  self.note = self.book:run()
  return processes.lua("tests/proof/load.lua", self.url, self.web, tostring(self.round),
    tostring(math.random(1 << 30)), tostring(self.models), tostring(calls or math.maxinteger))
end

--- Kills it. Returns when, by the wall clock.
function methods:kill(child)
  local killed = proc.wall()
  child:kill(processes.SIGKILL)
  local how, number = child:finish(self.note)
  if how ~= "signal" or number ~= processes.SIGKILL then
    self.book:fault("failed", "the process that calls ended by %s %d", how, number)
  end
  self.book:killed()
  return killed
end

local function scope_name(sight)
  return ("%s/%d/%s"):format(sight.provider, sight.key, sight.model)
end

-- Holds all that was seen against the book.
local function hold(self, seen, killed)
  local young = proc.mono() - self.born < WINDOW
  local requests, tokens = 0, 0
  for _, s in ipairs(seen) do
    if s.provider == "web" then
      requests, tokens = requests + s.requests, tokens + s.tokens
    else
      if not young then s.minute, s.minute_tokens = nil, nil end
      self.book:see(scope_name(s), s, killed)
    end
  end
  if self.web ~= "-" then self.book:see_web(requests, tokens, killed) end
end

local function read_sight(line)
  local provider, key, model, requests, tokens, in_flight, minute, minute_tokens =
    line:match "^s (%S+) (%d+) (%S+) (%d+) (%d+) (%d+) (%d+) (%d+)$"
  return provider and { provider = provider, key = math.tointeger(key), model = model,
    requests = math.tointeger(requests), tokens = math.tointeger(tokens),
    in_flight = math.tointeger(in_flight), minute = math.tointeger(minute),
    minute_tokens = math.tointeger(minute_tokens) }
end

--- What a new process sees, as a list of { provider, key, model, requests, … }; it calls
--- the models of `tight` and tells that to `note`, once all is seen.
function methods:sights(tight, on_seen, note)
  local seen, done, ended = {}, false, false
  local child <close> = processes.lua("tests/proof/look.lua", self.url, self.web,
    tostring(self.models), tostring(self.round), table.concat(tight, ","))
  local how, code = child:finish(function(line)
    local sight = read_sight(line)
    if sight then
      seen[#seen + 1] = sight
      return
    end
    ended = line == "end"
    if not done and on_seen then note = on_seen(seen) end
    done = true
    if note then note(line) end
  end)
  if how ~= "exit" or code ~= 0 or not ended then
    self.book:fault("failed", "the process that looks ended by %s %d", how, code)
  end
  return seen
end

-- The limited models of the last runs.
local function recent(self)
  local list = {}
  for round = self.round, math.max(1, self.round - 2), -1 do list[#list + 1] = "t" .. round end
  return list
end

-- How much of the room that was left the one who looked has found.
local function measure(self)
  for key = 1, #shop.KEYS do
    local name = ("tight/%d/t%d"):format(key, self.round)
    self.over = math.max(self.over, self.book:limits(name))
    local known, taken = self.book:room(name)
    self.room, self.taken = self.room + shop.REQUESTS - known, self.taken + taken
  end
end

--- Looks at the store after the process was killed at that time, and calls its limited
--- models and those of the runs before.
function methods:look(killed)
  self:sights(recent(self), function(seen)
    hold(self, seen, killed)
    return self.book:run()
  end)
  self.book:ended()
  measure(self)
end

--- Waits until a new process sees all that the running one has done; false where it does
--- not within so many seconds.
function methods:wait_until_kept(seconds)
  local moment = proc.mono() + seconds
  repeat
    local missing = 0
    for _, s in ipairs(self:sights {}) do
      local there = self.book:complete(scope_name(s), s)
      missing = missing + (there and 0 or 1)
    end
    if missing == 0 then return true end
  until proc.mono() > moment
  return false
end

--- Looks at it when all that were killed are known to be dead: what they held is in the
--- totals now, whatever it was before.
function methods:look_late()
  for _, s in ipairs(self:sights {}) do
    if s.provider ~= "web" then
      self.book:see_late(scope_name(s), s.requests, s.tokens)
    end
  end
end

return killing
