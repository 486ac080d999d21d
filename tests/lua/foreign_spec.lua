local keycycle = require "keycycle"
local foreign = require "tests.support.foreign"
local raises = require "tests.support.raises"

local KEYS, SLOW, HOUR = foreign.KEYS, foreign.SLOW, foreign.HOUR

describe("a client of another's class", function()
  local wrapper, total, client_of
  before_each(function()
    local opened = foreign.open()
    wrapper, total, client_of = opened.wrapper, opened.total, opened.client_of
  end)
  after_each(function() wrapper:stop() end)

  describe("'s form", function()
    local seen
    local methods = { key = function(self) return self.api_key end }
    local function object(key)
      return setmetatable({ api_key = key }, { __index = methods })
    end
    local forms = {
      ["new with the key"] = { new = function(api_key) return object(api_key) end },
      ["new with the key, of an unknown name"] = { new = function(...) return object((...)) end },
      ["new with a table"] = { new = function(opts) return object(opts.api_key) end },
      ["new with a colon and the key"] = { new = function(self, key)
        seen = self
        return object(key)
      end },
      ["new with a colon and a table"] = { new = function(self, o)
        seen = self
        return object(o.api_key)
      end },
      ["new that is callable"] = { new = setmetatable({}, {
        __call = function(_, ...) return object((...)) end }) },
      ["a table that is called"] = setmetatable({}, {
        __call = function(_, params) return object(params.api_key) end }),
      ["a table that is called with the key"] = setmetatable({}, {
        __call = function(_, api_key) return object(api_key) end }),
      ["a function"] = function(params) return object(params.api_key) end,
      ["a function of the key"] = function(key) return object(key) end,
      ["a function of anything"] = function(...) return object((...).api_key) end,
    }
    for name, class in pairs(forms) do
      it("is " .. name, function()
        seen = nil
        local client = wrapper:get_rotating_client("p", class)
        assert.equal(KEYS[1], client:key())
        assert.truthy(seen == nil or seen == class)
      end)
    end

    it("is given the key's other parameters", function()
      wrapper:register_provider("q", { base_url = "http://127.0.0.1:1/v1",
        keys = { { api_key = KEYS[1], index_id = "i1" } }, extra_params = { "index_id" } })
      local by_table = wrapper:get_rotating_client("q", function(params)
        return { get = function() return params end }
      end)
      assert.same({ api_key = KEYS[1], index_id = "i1" }, by_table.get())
      local by_key = wrapper:get_rotating_client("q", { new = function(key, more)
        return { get = function() return key, more end }
      end })
      assert.same({ KEYS[1], { index_id = "i1" } }, { by_key.get() })
    end)

    it("is called with what `construct` makes of the parameters", function()
      local client = wrapper:get_rotating_client("p", { new = function(...)
        local given = table.pack(...)
        return { given = function() return given end }
      end }, { construct = function(params)
        return "Bearer " .. params.api_key, nil, { a = 1 }
      end })
      assert.same({ "Bearer " .. KEYS[1], nil, { a = 1 }, n = 3 }, client.given())
    end)

    it("may come right out of `require`, which returns a second value", function()
      package.preload["a.client"] = function() return { new = object } end
      local client = wrapper:get_rotating_client("p", require "a.client")
      package.preload["a.client"], package.loaded["a.client"] = nil, nil
      assert.equal(KEYS[1], client:key())
    end)

    it("is refused where it is none", function()
      for _, class in ipairs { "Client", 5, true, io.stdout } do
        raises(keycycle.InvalidConfigurationError, "class", wrapper.get_rotating_client, wrapper,
          "p", class)
      end
      raises(keycycle.InvalidConfigurationError, "class", wrapper.get_rotating_client, wrapper,
        "p", { key = 1 }, {})
      raises(keycycle.InvalidConfigurationError, "no option \"key\"", wrapper.get_rotating_client,
        wrapper, "p", { key = 1 })
    end)

    it("may make nothing, which is said without the key, and no lease is lost", function()
      for word, class in pairs {
        ["bad key [sk-..."] = function(params) error("bad key [" .. params.api_key .. "]", 0) end,
        ["no such host"] = function() return nil, "no such host" end,
        ["returned a nil"] = function() end,
      } do
        local client = wrapper:get_rotating_client("p", class)
        local err = raises(keycycle.InvalidConfigurationError, nil, function() client() end)
        assert.truthy(err.message:find("key 1", 1, true))
        assert.truthy(err.message:find(word:gsub("%[.*", ""), 1, true), err.message)
        assert.falsy(tostring(err):find("0123456789", 1, true))
      end
      assert.same({ 0, 0 }, { total().in_flight, total().total_requests })
    end)
  end)

  describe("forwards", function()
    it("arguments and results, nils too", function()
      local client = client_of(function(_, ...) return select("#", ...), ... end)
      local results = table.pack(client:ask(nil, 2, nil))
      assert.same({ 3, nil, 2, nil, n = 4 }, results)
      assert.same({ 0, n = 1 }, table.pack(client:ask()))
    end)

    it("calls with a dot and with a colon to the same object", function()
      local class = function(params)
        local inner = { key = params.api_key }
        function inner:get(x) return self == inner, x end
        local object = { chat = { inner = inner } }
        function object:top(x) return self == object, x end
        return object
      end
      local client = wrapper:get_rotating_client("p", class)
      assert.same({ true, 5 }, { client.chat.inner:get(5) })
      assert.same({ true, 5 }, { client.chat.inner.get(5) })
      assert.same({ true, nil }, { client.chat.inner.get() })
      assert.same({ true, 5 }, { client:top(5) })
      assert.same({ true, 5 }, { client.top(5) })
      local inner = client.chat.inner
      assert.same({ true, 5 }, { inner:get(5) })
    end)

    it("a dot to functions that want no object", function()
      local client = wrapper:get_rotating_client("p", function(params)
        return { get = function(x) return x, params.api_key end }
      end)
      assert.same({ 7, KEYS[1] }, { client.get(7) })
    end)

    it("a call of the client itself", function()
      local client = wrapper:get_rotating_client("p", function(params)
        return function(x) return x, params.api_key end
      end)
      assert.same({ 7, KEYS[1] }, { client(7) })
    end)

    it("what is no function, of the first usable key and without a lease", function()
      local made = 0
      local client = wrapper:get_rotating_client("p", function(params)
        made = made + 1
        return { name = "x", list = { 1, 2 }, key = params.api_key, flag = false,
          ask = function() return 1 end }
      end)
      assert.same({ "x", { 1, 2 }, false, nil }, { client.name, client.list, client.flag,
        client.nothing })
      assert.equal(1, made)
      wrapper:get_manager("p"):disable(1)
      assert.equal(KEYS[2], client.key)
      assert.same({ 0, 0, {} }, { total().total_requests, total().in_flight,
        wrapper.entries.p.pool:models() })
    end)

    it("a field that is set to every instance, made or not", function()
      local client = wrapper:get_rotating_client("p", function(params)
        return { url = "a", deep = { n = 1, f = print }, ask = function(self)
          if params.api_key == KEYS[1] then return 429, SLOW, HOUR end
          return self.url, self.deep.n
        end }
      end)
      assert.equal("a", client.url)
      client.url, client.deep.n = "b", 1
      client.deep.n = 2
      assert.same({ "b", 2 }, { client:ask() })
      assert.same({ "b", 2 }, { client.url, client.deep.n })
    end)

    it("nothing to what is no method", function()
      local client = wrapper:get_rotating_client("p", function(params)
        if params.api_key == KEYS[2] then return { ask = 1 } end
        return { ask = function() end }
      end, { key_id = 2 })
      raises(keycycle.InvalidConfigurationError, "client.ask is no method", client.ask)
      assert.same({ 0, 0 }, { total().total_requests, total().in_flight })
    end)
  end)

  it("keeps one instance a key, until it is removed or is another", function()
    local made = {}
    local client = wrapper:get_rotating_client("p", function(params)
      local object = { key = params.api_key, ask = function(self) return self end }
      made[#made + 1] = params.api_key
      return object
    end)
    local first = client:ask()
    assert.equal(first, client:ask())
    assert.same({ KEYS[1] }, made)
    local kept = setmetatable({ first }, { __mode = "v" })
    wrapper:get_manager("p"):remove_key(1)
    assert.equal(KEYS[2], client:ask().key)
    first = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.is_nil(kept[1])
  end)

  it("makes another instance where the key's parameters are others now", function()
    local function register(id)
      wrapper:register_provider("q", { base_url = "http://127.0.0.1:1/v1",
        keys = { { api_key = KEYS[1], index_id = id } }, extra_params = { "index_id" } })
    end
    register "i1"
    local client = wrapper:get_rotating_client("q", function(params)
      return { get = function() return params.index_id end }
    end)
    assert.equal("i1", client.get())
    register "i2"
    assert.equal("i2", client.get())
  end)

  it("shows no key in a dump", function()
    local client = client_of(function() return 1 end)
    client:ask()
    local seen = {}
    local function dump(value)
      if seen[value] then return end
      seen[value] = true
      assert.falsy(tostring(value):find("0123456789", 1, true))
      if type(value) ~= "table" then return end
      dump(getmetatable(value) or 1)
      for k, v in pairs(value) do
        dump(k)
        dump(v)
      end
    end
    dump(client)
    dump(client.ask)
    assert.equal("keycycle client of p", tostring(client))
    assert.equal("function", type(client.ask))
  end)

  it("shows no key in whatever error", function()
    local function told(ok, ...)
      local value = ok and select(2, ...) or (...)
      local text = type(value) == "table" and keycycle.json.encode(value) or tostring(value)
      assert.truthy(text:find("***", 1, true), text)
      assert.falsy(text:find("0123456789", 1, true), text)
    end
    local mt, own = { __name = "own" }, nil
    for _, fn in ipairs {
      function(key) error("bad " .. key) end,
      function(key) error { message = "bad", request = { headers = { auth = "B " .. key } } } end,
      function(key) return nil, "bad " .. key end,
      function(key)
        own = setmetatable({ key = key }, mt)
        error(own)
      end,
    } do
      local client = client_of(fn)
      told(pcall(client.ask, client))
    end
    assert.equal(KEYS[1], own.key) -- it may be the client itself
    local stream = client_of(function(key)
      local n = 0
      return function()
        n = n + 1
        return n == 1 and "a" or error("broke " .. key)
      end
    end):ask()
    stream()
    told(pcall(stream))
    local odd = wrapper:get_rotating_client("p", function(params)
      local function raise() error("no " .. params.api_key) end
      return { part = setmetatable({}, { __index = raise }) }
    end)
    told(pcall(function() return odd.part.any end))
    local sentinel = setmetatable({}, mt)
    local client = client_of(function() error(sentinel) end)
    assert.is_true(rawequal(sentinel, select(2, pcall(client.ask, client))))
  end)

  it("reserves by the model and the size of what it is given", function()
    local manager, seen = wrapper:get_manager("p"), {}
    local client = client_of(function()
      seen = manager:get_global_stats().total.tpm
      return nil
    end)
    client:ask { model = "big", messages = { { role = "user", content = ("x"):rep(400) } } }
    assert.truthy(seen >= 100, seen)
    assert.equal("big", manager:get_model_stats("big").model_id)
    client:ask({ { role = "user", content = ("x"):rep(4000) } }, { model = "list" })
    assert.truthy(manager:get_model_stats("list").total.tpm >= 1000)
    client:ask(("x"):rep(4000))
    assert.truthy(manager:get_model_stats("m").total.tpm >= 1000)
    client = client_of(function() end, { model_param = "engine", estimated_tokens = 7 })
    client:ask { engine = "e" }
    assert.equal(7, manager:get_model_stats("e").total.tpm)
  end)

  it("takes excluded fields out of a copy", function()
    local given
    local client = client_of(function(_, request) given = request end,
      { excluded_params = { "store" } })
    local request = { store = true, model = "m" }
    client:ask(request)
    assert.same({ model = "m" }, given)
    assert.is_true(request.store)
    local plain = { model = "m" }
    client:ask(plain)
    assert.equal(plain, given)
  end)

  it("refuses options that only our own transport serves", function()
    for _, name in ipairs { "base_url", "headers", "request_timeout", "idle_timeout" } do
      local value = ({ base_url = "http://x", headers = {} })[name] or 1
      raises(keycycle.InvalidConfigurationError, name, client_of, print, { [name] = value })
    end
    raises(keycycle.InvalidConfigurationError, "failure", client_of, print, { failure = 1 })
    raises(keycycle.InvalidConfigurationError, "options", client_of, print, 5)
  end)

  describe("counts", function()
    it("what the answer says, which info knows, too", function()
      local answer = { usage = { prompt_tokens = 3, completion_tokens = 4, total_tokens = 7 } }
      local client = client_of(function() return 200, answer, { a = "b" } end)
      client:ask { messages = {} }
      local info = keycycle.info(answer)
      assert.same({ 7, 1, "m", "p" }, { info.usage.total_tokens, info.key_index, info.model,
        info.provider })
      assert.equal(7, total().total_tokens)
    end)

    it("what the program's extractor says", function()
      local client = client_of(function() return { n = 9 } end, {
        usage_extractor = function(response) return response.n end })
      client:ask()
      assert.equal(9, total().total_tokens)
    end)

    it("nothing wrong where an extractor fails, and loses no answer", function()
      local answer = setmetatable({}, { __index = function() error "lazy" end })
      for _, extract in ipairs { function() error "oops" end, function() return "many" end,
        function() return { total_tokens = -5 } end } do
        local client = client_of(function() return { usage = { total_tokens = 5 } } end,
          { usage_extractor = extract })
        assert.equal(5, client:ask().usage.total_tokens)
      end
      assert.equal(answer, client_of(function() return answer end):ask())
      assert.same({ 4, 0 }, { total().total_requests, total().in_flight })
    end)
  end)

  it("lets a method yield to whoever resumed it", function()
    local client = client_of(function(_, x)
      local y = coroutine.yield(x)
      if y == "fail" then return nil, { status = 429, headers = HOUR } end
      return y
    end)
    local co = coroutine.wrap(function() return "end", client:ask("wait") end)
    assert.equal("wait", co())
    assert.equal("wait", co "fail")
    assert.same({ "end", 5 }, { co(5) })
    local again = coroutine.create(function() client:ask("wait") end)
    coroutine.resume(again)
    assert.is_true(coroutine.close(again))
    assert.equal(0, total().in_flight)
  end)

  it("is closed with its wrapper", function()
    local client = client_of(print)
    wrapper:stop()
    assert.equal("closed", raises(keycycle.KeycycleError, nil, function()
      client:ask()
    end).code)
  end)
end)
