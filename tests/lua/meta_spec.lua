--- The annotations for editors beside the module: what the one has the other has.
local annotations = require "lua.docs.annotations"
local core = require "keycycle.core"
local keycycle = require "keycycle"
local meta = require "tests.support.meta"
local provider = require "keycycle.provider"

local KEY = "sk-mock-aaaaaaaaaaaaaaaa-01"

local wrapper, one
before_each(function()
  wrapper = keycycle.MultiClientWrapper.new { scripts = false }
  wrapper:register_provider("openai", { keys = { KEY }, default_model = "m" })
  one = keycycle.MultiProviderWrapper.new { provider = "cohere", keys = { KEY }, scripts = false,
    default_model_id = "m" }
end)
after_each(function()
  wrapper:stop()
  one:stop()
end)

-- The methods of an object, by its metatable.
local function methods_of(object)
  return meta.keys(getmetatable(object).__index, true)
end

local function of_kind(member, value)
  if member.kind == "function" or meta.is_function(member.type) then return "function" end
  return type(value) == "string" and "string" or "table"
end

describe("the annotations of the module #pure", function()
  it("name all that it has, and nothing else, of the same kind", function()
    local known = meta.members "keycycle"
    assert.same(meta.keys(keycycle), meta.names "keycycle")
    for name, member in pairs(known) do
      assert.equal(of_kind(member, keycycle[name]), type(keycycle[name]), name)
    end
    assert.equal("string", known._VERSION.type)
  end)

  it("name what its tables have", function()
    for class, value in pairs { ["keycycle.MultiClientWrappers"] = keycycle.MultiClientWrapper,
      ["keycycle.MultiProviderWrappers"] = keycycle.MultiProviderWrapper,
      ["keycycle.RateLimitStrategies"] = keycycle.RateLimitStrategy,
      ["keycycle.clock"] = keycycle.clock, ["keycycle.json"] = keycycle.json,
      ["keycycle.log"] = keycycle.log, ["keycycle.http"] = keycycle.http } do
      assert.same(meta.keys(value), meta.names(class), class)
      for name, member in pairs(meta.members(class)) do
        assert.equal(member.kind == "function", type(value[name]) == "function", name)
      end
    end
    local compat = keycycle.compat
    for _, name in ipairs(meta.names "keycycle.compat") do assert.is_table(compat[name]) end
    assert.same(meta.keys(compat), meta.names "keycycle.compat")
    assert.same(meta.keys(compat.socket_http), meta.names "keycycle.socket_http")
  end)

  it("tell a class of errors and a face for what they are", function()
    for name, member in pairs(meta.members "keycycle") do
      local value = keycycle[name]
      if type(value) == "table" then
        assert.equal(value.parent ~= nil or name == "KeycycleError",
          member.type == "keycycle.ErrorClass", name)
        local face = member.type:match "^keycycle%.face%.(%w+)$"
        assert.equal(value.face ~= nil, face ~= nil, name)
        if face then assert.equal(value.async == true, face:find "^Async" ~= nil, name) end
      end
    end
  end)

  it("name the global that users' files have", function()
    local box = require "keycycle.loader.box"
    local loaded = assert(box.load([[
      local names = {}
      for name in pairs(keycycle) do names[#names + 1] = name end
      table.sort(names)
      return { names = names }
    ]], "@names.lua"))
    assert.same(loaded.value.names, meta.names "keycycle.script")
  end)

  it("have a word for everything", function()
    for _, file in ipairs(meta.files()) do
      assert.truthy(file.text, file.path)
      for _, item in ipairs(file.items) do
        local again = item.kind == "class" and item.name == "keycycle"
        assert.is_true(item.text ~= "" or item.private or again, file.path .. ": " .. item.name)
      end
    end
  end)

  it("name no type that is not there", function()
    local known = {}
    for _, file in ipairs(meta.files()) do
      for _, item in ipairs(file.items) do known[item.name] = true end
    end
    for _, file in ipairs(meta.files()) do
      for line in io.lines(file.path) do
        if line:find "^%-%-%-@" then
          for name in line:gmatch "%f[%w_.]keycycle%.[%w_.]+" do
            assert.is_true(known[name] or name:find "^keycycle%.compat%." ~= nil
              or keycycle[name:match "%.(.*)$"] ~= nil, file.path .. ": " .. name)
          end
        end
      end
    end
  end)
end)

describe("the annotated methods #pure", function()
  it("are those of the objects", function()
    local task = keycycle.spawn(function() end)
    local agent = keycycle.Agent { model = wrapper:get_model "openai" }
    for class, object in pairs { ["keycycle.MultiClientWrapper"] = wrapper,
      ["keycycle.MultiProviderWrapper"] = one, ["keycycle.Manager"] = one.manager,
      ["keycycle.Model"] = wrapper:get_model "openai", ["keycycle.Agent"] = agent } do
      assert.same(methods_of(object), meta.names(class, "function"), class)
    end
    local of_task = meta.names "keycycle.Task"
    assert.same(methods_of(task), of_task)
    task:await()
    local clock = keycycle.clock.manual(5)
    for _, name in ipairs(meta.names "keycycle.ManualClock") do assert.is_function(clock[name]) end
    local chain = wrapper:fallback { "openai/m" }
    assert.same(methods_of(chain), meta.names("keycycle.Model", "function"))
  end)

  it("are those of a lease, and so are its fields", function()
    assert.same(meta.keys(core.lease_methods, true), meta.names("keycycle.Lease", "function"))
    local lease <close> = assert(one.manager:get_key())
    for _, name in ipairs(meta.names("keycycle.Lease", "field")) do
      assert.is_not_nil(lease[name], name)
    end
  end)

  it("begin with self where they take it, and with a dot where they do not", function()
    for _, file in ipairs(meta.files()) do
      for _, item in ipairs(file.items) do
        if item.kind == "function" and not item.private then
          local names = {}
          for _, param in ipairs(item.params) do names[#names + 1] = param.name end
          assert.equal(item.arguments, table.concat(names, ", "), file.path .. ": " .. item.name)
        end
      end
    end
  end)

  it("are the routes of each provider that is built in", function()
    for _, name in ipairs(core.builtin_names "keycycle/providers/") do
      local routes = meta.keys(provider.get(name).routes)
      table.insert(routes, "request")
      table.sort(routes)
      assert.same(routes, meta.paths("keycycle.client." .. name), name)
    end
  end)

  it("are routes of the providers of each Async face", function()
    for face, names in pairs { OpenAI = { "openai" }, Anthropic = { "anthropic" },
      Gemini = { "gemini" }, Cohere = { "cohere" }, TwelveLabs = { "twelvelabs" } } do
      for _, name in ipairs(names) do
        assert.same(meta.paths("keycycle.client." .. name), meta.paths("keycycle.async." .. face))
      end
    end
  end)
end)

-- What an error says is known: "… (known: a, b)".
local function known_by(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  assert.is_table(err, err)
  local names = {}
  for name in err.message:match "%(known: (.-)%)":gmatch "[%w_]+" do names[#names + 1] = name end
  return names
end

local function define(field, value)
  return function()
    keycycle.provider { name = "x", extends = "openai", [field] = value }
  end
end

local odd = { no_such_field = 1 }

describe("the annotated options #pure", function()
  it("are those of wrappers and providers", function()
    assert.same(known_by(keycycle.MultiClientWrapper.new, odd), meta.names "keycycle.Options")
    assert.same(known_by(keycycle.MultiClientWrapper.new, { transport = odd }),
      meta.names "keycycle.Transport")
    assert.same(known_by(keycycle.ProviderEnvConfig, odd), meta.names "keycycle.ProviderConfig")
    assert.same(known_by(keycycle.MultiProviderWrapper.new, odd),
      meta.names "keycycle.ProviderOptions")
    assert.same(known_by(one.get_key_usage, one, odd), meta.names "keycycle.KeyUsageOptions")
    assert.same(known_by(one.record_key_usage, one, KEY, odd), meta.names "keycycle.KeyRecord")
  end)

  it("are those of calls, models, agents and tools", function()
    local model = wrapper:get_model "openai"
    assert.same(known_by(wrapper.get_rotating_client, wrapper, "openai", odd),
      meta.names "keycycle.CallOptions")
    assert.same(known_by(wrapper.get_rotating_client, wrapper, "openai", print, odd),
      meta.names "keycycle.ForeignOptions")
    assert.same(known_by(wrapper.get_model, wrapper, "openai", odd),
      meta.names "keycycle.ModelOptions")
    assert.same(known_by(model.invoke, model, "hello", odd), meta.names "keycycle.AskOptions")
    assert.same(known_by(keycycle.Agent, odd), meta.names "keycycle.AgentOptions")
    assert.same(known_by(keycycle.Agent, { model = model, tools = { odd } }),
      meta.names "keycycle.Tool")
    assert.same(known_by(wrapper:get_rotating_client("openai").request, odd),
      meta.names "keycycle.AnyRequest")
  end)

  it("are those of limits, plain HTTP and simulations", function()
    assert.same(known_by(keycycle.RateLimits, odd), meta.names "keycycle.RateLimits")
    assert.same(known_by(keycycle.RateLimits, { windows = { { no_such_field = 1 } } }),
      meta.names "keycycle.Window")
    assert.same(known_by(keycycle.http.request, odd), meta.names "keycycle.HttpRequest")
    assert.same(known_by(keycycle.simulate, odd), meta.names "keycycle.SimulateOptions")
  end)

  it("are those of definitions", function()
    assert.same(known_by(keycycle.provider, { name = "x", no_such_field = 1 }),
      meta.names "keycycle.ProviderDefinition")
    for field, class in pairs { auth = "AuthDefinition", charge = "ChargeDefinition" } do
      assert.same(known_by(define(field, odd)), meta.names("keycycle." .. class))
    end
    assert.same(known_by(define("usage", { no_such_field = "a" })),
      meta.names "keycycle.UsagePaths")
    for field, class in pairs { routes = "RouteDefinition", protocols = "ProtocolDefinition" } do
      assert.same(known_by(define(field, { x = odd })), meta.names("keycycle." .. class))
    end
    for field, class in pairs { limit_headers = "LimitHeader", classify = "ClassifyRule" } do
      assert.same(known_by(define(field, { odd })), meta.names("keycycle." .. class))
    end
    assert.same(known_by(keycycle.policy, odd), meta.names "keycycle.PolicyDefinition")
  end)

  it("are those of a table of limits, whose other names are models", function()
    for _, name in ipairs(meta.names "keycycle.LimitsDefinition") do
      local ok, err = pcall(define("limits", { [name] = 5 }))
      assert.is_false(ok)
      local is_model = name == "default" or name == "[string]"
      assert.equal(is_model, err.message:find "what holds for a model" ~= nil, name)
    end
  end)
end)

describe("the annotated words #pure", function()
  -- The literals of a type: `"a"|"b"`.
  local function words(type_of)
    local list = {}
    for word in type_of:gmatch '"([^"]+)"' do list[#list + 1] = word end
    table.sort(list)
    return list
  end

  local function alias(name)
    local list = {}
    for _, file in ipairs(meta.files()) do
      for _, item in ipairs(file.items) do
        if item.kind == "alias" and item.name == name then
          for _, value in ipairs(item.alias.values) do list[#list + 1] = words(value.value)[1] end
        end
      end
    end
    table.sort(list)
    return list
  end

  it("are those of kinds, scopes and windows", function()
    local rules = require "keycycle.refusal.rules"
    local rule = meta.members "keycycle.ClassifyRule"
    assert.same(meta.keys(rules.kinds), alias "keycycle.Kind")
    assert.same(meta.keys(rules.windows), words(rule.window.type))
    for _, op in ipairs(words(rule.op.type)) do
      local _, err = pcall(define("classify",
        { { path = "a", op = op, value = function() end, kind = "auth" } }))
      assert.is_nil(tostring(err):find "unknown op", op)
    end
  end)

  it("are those of selections, protocols and formats", function()
    local _, err = pcall(keycycle.ProviderEnvConfig, { selection = "no_such" })
    for _, word in ipairs(alias "keycycle.Selection") do
      assert.truthy(err.message:find(word, 1, true), word)
    end
    assert.equal(7, #alias "keycycle.Selection")
    assert.same(known_by(define("protocols", { chat = "no_such" })), alias "keycycle.ProtocolName")
    local header = meta.members "keycycle.LimitHeader"
    for _, field in ipairs { "unit", "window", "format" } do
      local bad = { unit = "requests", limit = "x", [field] = "no_such" }
      local _, why = pcall(define("limit_headers", { bad }))
      for _, word in ipairs(words(header[field].type)) do
        assert.truthy(why.message:find(word, 1, true), word)
      end
    end
  end)

  it("are those of events", function()
    local _, err = pcall(one.manager.on, one.manager, "no_such", print)
    local names = alias "keycycle.EventName"
    assert.equal(0, #names) -- it is one line
    for _, file in ipairs(meta.files()) do
      for _, item in ipairs(file.items) do
        if item.name == "keycycle.EventName" then names = words(item.alias.type) end
      end
    end
    assert.equal("(known: " .. table.concat(names, ", ") .. ")", err.message:match "%b()")
  end)

  it("are read as they are written", function()
    assert.same({ "fun(a: T): U|nil", "words" },
      { annotations.split_type "fun(a: T): U|nil words" })
    assert.same({ "{ a: T, b: U }[]", "more words" },
      { annotations.split_type "{ a: T, b: U }[] more words" })
    assert.same({ '"a b"|"c"', "d" }, { annotations.split_type '"a b"|"c" d' })
  end)
end)
