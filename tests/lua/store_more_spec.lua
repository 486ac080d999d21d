--- Stores as demanding programs use them: several wrappers, odd data, hard ends.
local files = require "tests.support.files"
local keycycle = require "keycycle"
local raises = require "tests.support.raises"

local Invalid = keycycle.InvalidConfigurationError
local A = "sk-test-0123456789abcdefghij"
local URL = "http://127.0.0.1:1/v1"

local function open(opts, more)
  local config = { base_url = URL, keys = { A }, default_model = "m" }
  for k, v in pairs(more or {}) do config[k] = v end
  local wrapper = keycycle.MultiClientWrapper.new(opts)
  local ok, err = pcall(wrapper.register_provider, wrapper, "p", config)
  if ok then return wrapper, wrapper:get_manager "p" end
  wrapper:stop()
  error(err, 0)
end

--- A store that remembers in a field what it is given.
local function own_store()
  local own = { saves = 0 }
  function own.load() return own.data end
  function own.save(data) own.data, own.saves = data, own.saves + 1 end
  return own
end

describe("a store of the program's own", function()
  it("is not put beside another one on a shared pool, and loses nothing to it", function()
    local own, other = own_store(), own_store()
    local one, manager = open { shared = "own", store = own }
    manager:get_key("m"):commit(5)
    one:save()
    for _, second in ipairs { own, other } do
      local err = raises(Invalid, "given by one alone", open, { shared = "own", store = second })
      assert.equal("differs", err.code)
      assert.same({ 1, 0 }, { own.saves, other.saves })
    end
    raises(Invalid, "given by one alone", open, { shared = "own", db_url = "memory:" })
    local bare, same = open { shared = "own" }
    same:get_key("m"):commit(6)
    bare:stop()
    one:stop()
    assert.equal(11, own.data.sums[1].total)
  end)

  it("tells what is wrong with data that it cannot use", function()
    local state = { provider = "p", key = "ab", model = "", label = "", suffix = "", reason = "",
      learned = "", changed_ms = 1 }
    local own = own_store()
    for _, name in ipairs { "cooling", "suspended" } do
      state.state = name
      own.data = { version = 1, usage = {}, sums = {}, states = { state } }
      local err = raises(keycycle.StoreError, "states[1].until_ms is missing", open,
        { store = own })
      assert.equal("corrupt", err.code)
    end
    state.state = "exhausted" -- for good, where no time is given
    open({ store = own }):stop()
    own.data = { version = "1" }
    raises(keycycle.StoreError, 'its version is "1", and this library reads the number 1', open,
      { store = own })
  end)
end)

describe("a name that is no UTF-8", function()
  local lines
  before_each(function()
    lines = {}
    keycycle.log.set_sink(function(_, line) lines[#lines + 1] = line end)
  end)
  after_each(function() keycycle.log.set_sink(nil) end)

  it("is told and left out, and does not keep the rest from being saved as JSON", function()
    local own, text = own_store(), nil
    own.load = function() return text and keycycle.json.decode(text) end
    own.save = function(data) text = keycycle.json.encode(data) end
    local wrapper, manager = open { store = own }
    manager:get_key("m\255x"):commit(5)
    manager:get_key("m"):commit(7)
    wrapper:stop()
    assert.truthy(lines[1]:find "refused counts for good.*the model's name is not UTF%-8$")
    local again <close>, after = open({ store = own })
    assert.equal(7, after:get_global_stats().total.total_tokens)
    assert.truthy(again)
  end)

  it("is refused where a program gives it for a provider or a group", function()
    local wrapper <close> = keycycle.MultiClientWrapper.new {}
    raises(Invalid, "not UTF-8", wrapper.register_provider, wrapper, "p\255",
      { base_url = URL, keys = { A } })
    for _, group in ipairs { "g\255", "g\0h" } do
      raises(Invalid, "keys[1].group must be UTF-8", open, {},
        { keys = { { api_key = A, group = group } } })
    end
  end)
end)

describe("a URL", function()
  it("is not looked for in a variable without a name", function()
    raises(Invalid, "db_env_var is empty", open, { db_env_var = "" })
  end)

  it("with a zero byte is not cut short", function()
    local folder, remove = files.folder()
    raises(Invalid, "zero byte", open, { db_url = "sqlite:" .. folder .. "/a\0b" })
    assert.is_nil(io.open(folder .. "/a"))
    remove()
  end)
end)
