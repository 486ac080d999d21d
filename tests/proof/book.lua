--- What the processes of one store have told, held against what a new process sees.
---
--- A scope is (provider, key, model). What a store keeps of it after a kill must be its
--- state at some instant of the killed run: after some number of its steps, and those that
--- are missing must be younger than `grace`. Tokens are random, so a call that is counted
--- twice, or one whose tokens went elsewhere, matches no such state.
local shop = require "tests.proof.shop"

local book = {}

local methods = {}
local book_mt = { __index = methods }

--- grace: seconds before a kill after which a call may be missing.
function book.new(grace)
  return setmetatable({ grace = grace, scopes = {}, web = { requests = 0, tokens = 0 },
    faults = {}, late = 0, runs = 0 }, book_mt)
end

function methods:fault(kind, fmt, ...)
  self.faults[#self.faults + 1] = { kind = kind, text = kind .. ": " .. fmt:format(...) }
end

local function scope_of(self, name)
  self.scopes[name] = self.scopes[name] or { name = name, requests = 0, tokens = 0,
    minute = 0, minute_tokens = 0, held = 0, reserved = 0, calls = {}, steps = {} }
  return self.scopes[name]
end

local function add_step(scope, step)
  scope.steps[#scope.steps + 1] = step
  return step
end

local readers = {}

function readers.a(self, n, provider, model, tokens, at)
  self.asked = { n = n, provider = provider, model = model, tokens = math.tointeger(tokens),
    from = tonumber(at), charge = math.tointeger(tokens) }
end

function readers.r(self) self.asked = nil end

-- A call is known by its time before and after; a step of it is done once that was told.
function readers.A(self, n, key, at)
  local call = self.asked
  call.scope = scope_of(self, ("%s/%s/%s"):format(call.provider, key, call.model))
  call.to, call.run = tonumber(at), self.runs
  call.scope.calls[#call.scope.calls + 1] = call
  call.begin = add_step(call.scope, { call = call, done = call.to })
  self.open[n], self.asked = call, nil
end

function readers.c(self, n, how, tokens)
  local call = self.open[n]
  call.how, call.used = how, math.tointeger(tokens)
  call.finish = add_step(call.scope, { call = call, ends = true })
end

function readers.C(self, n, at)
  self.open[n].finish.done = tonumber(at)
end

function readers.w(self) self.browsing.begun = self.browsing.begun + 1 end

function readers.W(self, _, tokens, at)
  local b = self.browsing
  b.done[#b.done + 1] = { at = tonumber(at), tokens = math.tointeger(tokens) }
end

--- A process begins. Returns the function that takes its lines.
function methods:run()
  self.open, self.asked, self.browsing = {}, nil, { begun = 0, done = {} }
  self.runs = self.runs + 1
  return function(line)
    local words = {}
    for word in line:gmatch "%S+" do words[#words + 1] = word end
    local reader = readers[words[1]]
    if reader then reader(self, table.unpack(words, 2)) end
  end
end

--- The process ended by itself: all that it told is sure.
function methods:ended()
  for _, scope in pairs(self.scopes) do
    for _, step in ipairs(scope.steps) do
      local call = step.call
      local never = call.how == "never"
      if step.ends then
        scope.tokens, call.charge, call.back = scope.tokens + call.used, call.used, never
        scope.minute_tokens = scope.minute_tokens + call.used
      end
      local n = step.ends and (never and -1 or 0) or 1
      scope.requests, scope.minute = scope.requests + n, scope.minute + n
    end
    scope.steps = {}
  end
end

--- The process was killed. What it had asked for it may have got, of whatever key.
function methods:killed()
  local call = self.asked
  if not call then return end
  for key = 1, #shop.KEYS do
    add_step(scope_of(self, ("%s/%d/%s"):format(call.provider, key, call.model)), { call = call })
  end
end

-- The states of a scope in a run: what is counted after each step.
local function states_of(scope)
  local s = { requests = 0, settled = 0, tokens = 0, reserved = 0 }
  local list = { [0] = s }
  for i, step in ipairs(scope.steps) do
    s = { requests = s.requests, settled = s.settled, tokens = s.tokens, reserved = s.reserved }
    local call = step.call
    if not step.ends then
      s.requests, s.reserved = s.requests + 1, s.reserved + call.tokens
    else
      s.reserved = s.reserved - call.tokens
      s.requests = s.requests - (call.how == "never" and 1 or 0)
      s.settled, s.tokens = s.settled + (call.how == "never" and 0 or 1), s.tokens + call.used
    end
    list[i] = s
  end
  return list
end

-- What a killed process held is in its windows at once, and in the totals, with its tokens
-- or without, at once or when it is known to be dead.
local function matches(s, seen)
  return (not seen.minute
      or seen.minute == s.requests and seen.minute_tokens == s.tokens + s.reserved)
    and (seen.requests == s.settled and seen.tokens == s.tokens
      or seen.requests == s.requests
        and (seen.tokens == s.tokens or seen.tokens == s.tokens + s.reserved))
end

-- The first step that must not be missing is none: all of these are.
local function steps_required(scope, deadline)
  local n = 0
  for i, step in ipairs(scope.steps) do
    if step.done and step.done <= deadline then n = i end
  end
  return n
end

local function kind_of(seen, first, last)
  local counted = seen.minute or seen.requests
  if counted < (seen.minute and first.requests or first.settled) or seen.tokens < first.tokens then
    return "lost"
  end
  return (counted > last.requests or seen.tokens > last.tokens + last.reserved) and "twice"
    or "torn"
end

local function judge(self, scope, states, required, seen, found)
  local first, last = states[required], states[#scope.steps]
  self:fault(found and "lost" or kind_of(seen, first, last), "%s has of the run %d requests, %d "
    .. "tokens (%s, %s in the minute); it made %d (%d settled), %d tokens and held %d, of which %d "
    .. "(%d settled), %d tokens and %d are old", scope.name, seen.requests, seen.tokens,
    seen.minute or "?", seen.minute_tokens or "?", last.requests, last.settled, last.tokens,
    last.reserved, first.requests, first.settled, first.tokens, first.reserved)
end

-- How long before its end the oldest step was that is missing.
local function note_late(self, scope, k, killed)
  for i = k + 1, #scope.steps do
    local done = scope.steps[i].done
    if done then
      self.late = math.max(self.late, killed - done)
      return
    end
  end
end

-- Marks which calls the store knows: those of the first k steps.
local function mark(scope, k)
  for i, step in ipairs(scope.steps) do
    local call = step.call
    if not step.ends then call.lost = i > k end
    if step.ends then
      call.back = call.how == "never" and i <= k
      -- Less is counted only where the store knows that less was used.
      call.charge = i <= k and call.used or math.min(call.tokens, call.used)
    end
  end
end

-- What a sight has more than was known before the run.
local function more_of(scope, sight)
  local more = { requests = sight.requests - scope.requests, tokens = sight.tokens - scope.tokens }
  if sight.minute then
    more.minute = sight.minute - scope.minute
    more.minute_tokens = sight.minute_tokens - scope.minute_tokens
  end
  return more
end

--- What a new process sees of a scope after the run was killed at that time: { requests,
--- tokens } in all, { minute, minute_tokens } in the last minute (absent: a minute has passed
--- since the store was new).
function methods:see(name, sight, killed)
  local scope = scope_of(self, name)
  local states, required = states_of(scope), steps_required(scope, killed - self.grace)
  local seen, found = more_of(scope, sight), nil
  for k = #scope.steps, 0, -1 do
    found = found or matches(states[k], seen) and k
  end
  if not found or found < required then judge(self, scope, states, required, seen, found) end
  found = found or #scope.steps
  note_late(self, scope, found, killed)
  mark(scope, found)
  local s = states[found]
  -- Not in the totals yet, it may be.
  if seen.requests == s.settled then scope.held = scope.held + s.requests - s.settled end
  scope.reserved = scope.reserved + (seen.tokens == s.tokens and s.reserved or 0)
  scope.requests, scope.tokens = sight.requests, sight.tokens
  scope.minute = sight.minute or scope.minute
  scope.minute_tokens = sight.minute_tokens or scope.minute_tokens
  scope.steps = {}
end

--- Whether that is all that the run has done so far.
function methods:complete(name, sight)
  local scope = scope_of(self, name)
  return matches(states_of(scope)[#scope.steps], more_of(scope, sight))
end

--- What a new process sees of a scope when all that were killed are known to be dead.
function methods:see_late(name, requests, tokens)
  local scope = scope_of(self, name)
  local more, used = requests - scope.requests, tokens - scope.tokens
  if more ~= scope.held or used ~= 0 and used ~= scope.reserved then
    self:fault(more < scope.held and "lost" or more > scope.held and "twice" or "torn",
      "%s has %d more requests, %d tokens than at the last look; held were %d, %d", name, more,
      used, scope.held, scope.reserved)
  end
end

--- The same of whole calls, whose keys and moments are not told: all keys together.
function methods:see_web(requests, tokens, killed)
  local least, least_tokens = 0, 0
  for _, answer in ipairs(self.browsing.done) do
    if answer.at <= killed - self.grace then
      least, least_tokens = least + 1, least_tokens + answer.tokens
    end
  end
  local web = self.web
  local more, used = requests - web.requests, tokens - web.tokens
  if more < least or used < least_tokens then
    self:fault("lost", "web has %d requests, %d tokens of the run; it made %d, %d", more, used,
      least, least_tokens)
  elseif more > self.browsing.begun then
    self:fault("twice", "web has %d requests of the run; it began %d", more, self.browsing.begun)
  end
  web.requests, web.tokens = requests, tokens
end

-- Whether `call` counts in the minute that ends with `other`: surely, whatever the two
-- moments between "before" and "after" were.
local function beside(call, other)
  return not call.back and call.from > other.to - shop.MINUTE
    and call.from <= other.to
end

--- Holds the calls of a limited scope against its limits: in the minute up to each one
--- there were never more. What a kill made the store forget is not the store's fault.
--- Returns by how many requests they went over, forgotten ones included.
function methods:limits(name)
  local scope, worst = scope_of(self, name), 0
  for _, last in ipairs(scope.calls) do
    local known, tokens, all = 0, 0, 0
    for _, call in ipairs(scope.calls) do
      if beside(call, last) and call.from <= last.from then
        all = all + 1
        if not call.lost then known, tokens = known + 1, tokens + call.charge end
      end
    end
    worst = math.max(worst, all - shop.REQUESTS)
    if not last.lost and (known > shop.REQUESTS or tokens > shop.TOKENS) then
      self:fault("over", "%s made %d requests, %d tokens in the minute up to %.3f", name, known,
        tokens, last.to)
      break
    end
  end
  return worst
end

--- Of the calls of a limited scope: how many requests the store knew, or would have had no
--- room for their tokens, before the last run, and how many that one made.
function methods:room(name)
  local known, tokens, taken = 0, 0, 0
  for _, call in ipairs(scope_of(self, name).calls) do
    if call.run == self.runs then
      taken = taken + 1
    elseif not call.lost and not call.back then
      known, tokens = known + 1, tokens + call.charge
    end
  end
  return math.max(known, shop.REQUESTS - (shop.TOKENS - tokens)), taken
end

return book
