--- Usage in a file: what was told to be committed is there for the next wrapper.
local keycycle = require "keycycle"
local core = require "keycycle.core"

local function got(value, err)
  if value == nil then error(err, 0) end
  return value
end

local function open(w)
  local wrapper = keycycle.MultiClientWrapper.new { db_url = "sqlite:" .. w.file }
  wrapper:register_provider("local", { base_url = "http://127.0.0.1:9/v1",
    keys = { "sk-oom-first-0001", "sk-oom-second-002" }, limits = { requests_per_day = 90 } })
  return wrapper, wrapper:get_manager "local"
end

local function put(path, text)
  local file <close> = assert(io.open(path, "w"))
  file:write(text)
end

-- Of each file that a store has.
local function remove(path)
  for _, suffix in ipairs { "", "-wal", "-shm", ".away" } do os.remove(path .. suffix) end
end

-- Another file comes to lie where it was: all that is told is how many counts are lost.
local function end_in_vain(path)
  local journal <close> = got(core.journal("sqlite:" .. path))
  local pool <close> = got(core.pool { provider = "q" })
  got(pool:add_key { api_key = "sk-oom-first-0001" })
  got(journal:attach(pool))
  got(journal:flush())
  os.rename(path, path .. ".away")
  put(path, ("no database"):rep(99))
  got(pool:acquire "m"):commit(1)
  return journal:close(0.01)
end

return {
  { "open", function(w)
    w.file = w.file or os.tmpname()
    w.wrapper, w.manager = open(w)
  end },
  { "use", function(w)
    w.done = w.done or 0
    for _ = w.done + 1, 3 do
      local lease <close> = got(w.manager:get_key("m", { estimated_tokens = 5 }))
      lease:commit(4)
      w.done = w.done + 1
    end
  end },
  { "bad", function(w)
    local wrapper, err = keycycle.try(keycycle.MultiClientWrapper.new, { db_url = "sqlite:/no/x" })
    if err.code ~= "store" then error(err, 0) end
    assert(wrapper == nil)
    -- The store's own words are what may be missing.
    assert(err.message:find "/no/x" or w.oom.hits() > 0, err.message)
  end },
  { "end in vain", function(w)
    w.other = w.other or os.tmpname()
    remove(w.other)
    local ok, err = end_in_vain(w.other)
    if ok or err.code ~= "store" then error(err, 0) end
    assert(err.message:find "^%d counts could not be written before the end: .", err.message)
  end },
  { "stop", function(w)
    w.manager = nil
    w.wrapper:stop()
  end },
  { "open again", function(w) w.again, w.manager = open(w) end },
  check = function(w)
    local total = w.manager:get_global_stats().total
    w.tokens, w.requests = total.total_tokens, total.total_requests
    w.again:stop()
    remove(w.file)
    remove(w.other)
    -- An attempt that failed on its way may count as sent.
    assert(w.requests >= 3 and w.requests <= 4, w.requests)
    assert(w.tokens >= 12 and w.tokens <= 17, w.tokens)
    if w.oom.hits() == 0 then assert(w.requests == 3 and w.tokens == 12) end
  end,
}
