local config = require "keycycle.config"
local files = require "tests.support.files"
local keycycle = require "keycycle"
local raises = require "tests.support.raises"

local Missing, Invalid = keycycle.MissingEnvironmentVariableError,
  keycycle.InvalidConfigurationError
local A, B = "sk-test-0123456789abcdefghij", "sk-test-9876543210jihgfedcba"

describe("keys from the environment", function()
  local function load(text, opts)
    return files.with(text, function(path)
      opts = opts or {}
      opts.env_file = path
      return keycycle.load_api_keys("kctest", opts)
    end)
  end
  local function fails(class, word, text, opts)
    local err = raises(class, word, load, text, opts)
    for _, key in ipairs { A, B } do
      assert.is_nil(tostring(err):find(key:sub(9, 20), 1, true))
    end
    return err
  end

  it("are counted by NUM_", function()
    local keys = load("NUM_KCTEST=2\nKCTEST_API_KEY_1=" .. A .. "\nKCTEST_API_KEY_2=" .. B
      .. "\nKCTEST_API_KEY_3=unused-key-000")
    assert.equal(2, #keys)
    assert.same({ A, B }, { keys[1].api_key, keys[2].api_key })
  end)

  it("are counted to the first gap without it", function()
    local keys = load("KCTEST_API_KEY_1=" .. A .. "\nKCTEST_API_KEY_3=" .. B)
    assert.equal(1, #keys)
  end)

  it("may be one alone", function()
    assert.equal(A, load("KCTEST_API_KEY=" .. A)[1].api_key)
  end)

  it("have a clear word for what is wrong, without the value", function()
    fails(Missing, "NUM_KCTEST", "")
    fails(Missing, "KCTEST_API_KEY_2", "NUM_KCTEST=2\nKCTEST_API_KEY_1=" .. A)
    for _, n in ipairs { "two", "-1", "0", "1.5", "0x", "1e9999", "99999999999999999999" } do
      fails(Invalid, "NUM_KCTEST", "NUM_KCTEST=" .. n)
    end
    fails(Invalid, "10000", "NUM_KCTEST=10001")
    fails(Invalid, "KCTEST_API_KEY_1", "KCTEST_API_KEY_1=" .. A .. " " .. B)
    fails(Invalid, "KCTEST_API_KEY_1", "KCTEST_API_KEY_1=" .. A .. "\195\164")
  end)

  it("are not placeholders", function()
    for _, text in ipairs { "sk-...", "your_api_key", "your-key-here", "xxxxxxxx", "XXXX", "<key>",
      "changeme", "gsk_...", "sk-ant-...", "........", "***" } do
      fails(Invalid, "KCTEST_API_KEY_1", "KCTEST_API_KEY_1=" .. text)
    end
    assert.equal(1, #load "KCTEST_API_KEY_1=sk-xylophone-0123456789")
  end)

  it("are kept once, with a warning that shows none", function()
    local lines = {}
    keycycle.log.set_sink(function(_, line) lines[#lines + 1] = line end)
    local keys = load("KCTEST_API_KEY_1=" .. A .. "\nKCTEST_API_KEY_2=" .. A
      .. "\nKCTEST_API_KEY_3=" .. B)
    keycycle.log.set_sink(nil)
    assert.equal(2, #keys)
    assert.equal(1, #lines)
    assert.truthy(lines[1]:find("KCTEST_API_KEY_2", 1, true))
    assert.is_nil(lines[1]:find(A, 1, true))
  end)

  it("have extra parameters", function()
    local text = "KCTEST_API_KEY_1=" .. A .. "\nKCTEST_INDEX_ID_1=idx"
    assert.same({ index_id = "idx" }, load(text, { extra_params = { "index_id" } })[1].params)
    fails(Missing, "KCTEST_REGION_1", text, { extra_params = { "region" } })
  end)

  it("may stand elsewhere", function()
    files.with(A .. "\n", function(path)
      assert.equal(A, load("KCTEST_API_KEY_1=file:" .. path)[1].api_key)
    end)
    assert.equal(A, load("OTHER=" .. A .. "\nKCTEST_API_KEY_1=env:OTHER")[1].api_key)
    assert.equal(A, load("KCTEST_API_KEY_1='cmd:echo " .. A .. "'")[1].api_key)
    fails(Invalid, "file", "KCTEST_API_KEY_1=file:/nowhere/at/all")
    fails(Missing, "NOBODY_SET_THIS", "KCTEST_API_KEY_1=env:NOBODY_SET_THIS")
    fails(Invalid, "command", "KCTEST_API_KEY_1=cmd:false")
  end)

  it("come from a file that must be there when it is named", function()
    raises(keycycle.ConfigurationError, "/nowhere/.env", keycycle.load_api_keys, "kctest",
      { env_file = "/nowhere/.env" })
  end)

  it("use the provider's own prefix", function()
    assert.equal(A, files.with("GROQ_API_KEY_1=" .. A, function(path)
      return keycycle.load_api_keys("groq", { env_file = path })[1].api_key
    end))
  end)
end)

describe("keys from a table", function()
  it("are texts or tables", function()
    local keys = config.read_keys { A, { api_key = B, label = "b", priority = 2, region = "eu" } }
    assert.same({ api_key = A, params = {} }, keys[1])
    assert.same({ api_key = B, label = "b", priority = 2, params = { region = "eu" } }, keys[2])
  end)

  it("may call the key otherwise", function()
    assert.equal(A, config.read_keys({ { token = A } }, { api_key_param = "token" })[1].api_key)
  end)

  it("name the place of what is wrong", function()
    for word, keys in pairs {
      ["keys[2]"] = { A, 5 }, ["keys[1]"] = { "" }, ["keys[2].api_key"] = { A, { label = "x" } },
      ["keys[1] has a space"] = { "a b c d e f" }, ["keys must be a list"] = {},
      ["extra parameters"] = { { api_key = A, region = 5 } },
      ["tier must be a text"] = { { api_key = A, tier = 5 } },
      ["placeholder"] = { "sk-..." },
      ["weight"] = { { api_key = A, weight = 0 } }, ["1000000"] = { { api_key = A, weight = 2e6 } },
      ["models must be a list"] = { { api_key = A, models = "gpt-4o" } },
    } do
      raises(Invalid, word, config.read_keys, keys)
    end
    raises(Invalid, "keys must be a list", config.read_keys, "sk")
  end)
end)

describe("a provider's configuration", function()
  it("raises for what it does not know or serve", function()
    for word, given in pairs {
      ["\"modle\""] = { modle = "x" }, ["key_tiers must be a table"] = { key_tiers = "pro" },
      ["tier_limits must be a table"] = { tier_limits = 5 },
      ["strategy"] = { strategy = "both" },
      ["unknown selection"] = { selection = "best" },
      ["cooldown_seconds"] = { cooldown_seconds = -1 },
      ["max_wait_queue"] = { max_wait_queue = 1.5 },
      ["default_model must be"] = { default_model = 5 },
    } do
      raises(Invalid, word, keycycle.ProviderEnvConfig, given)
    end
    raises(Invalid, "must be a table", keycycle.ProviderEnvConfig, "x")
  end)

  it("is returned as it was given", function()
    local given = { default_model = "m", selection = "balanced" }
    assert.equal(given, keycycle.ProviderEnvConfig(given))
    assert.equal("balanced", config.check_provider("p", given).selection)
    local function own() end
    assert.equal(own, config.check_provider("p", { selection = own }).choose)
    assert.equal("fill_first", config.check_provider("p", { selection = "fill_first" }).selection)
  end)

  it("sends no key in the open", function()
    local function url(text, insecure) return config.check_base_url("p", text, insecure) end
    assert.equal("https://a.example/v1", url "https://a.example/v1//")
    for _, ok in ipairs { "http://127.0.0.1:1/v1", "http://localhost:8080", "http://[::1]:5/x" } do
      assert.equal(ok, url(ok))
    end
    raises(Invalid, "plain http", url, "http://a.example/v1")
    assert.equal("http://a.example/v1", url("http://a.example/v1", true))
    for _, bad in ipairs { "a.example", "ftp://a/", "https://u:p@a/", "https://" } do
      raises(Invalid, "base_url", url, bad)
    end
  end)
end)
