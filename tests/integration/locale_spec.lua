--- A program that has set a locale of its own: numbers are read and sent with a point,
--- and the letters of names are ASCII's. In Turkish tolower("I") is no "i", and a number
--- has a comma.
local files = require "tests.support.files"
local servers = require "tests.support.servers"

describe("in a Turkish locale", function()
  local folder, remove, made

  setup(function()
    folder, remove = files.folder()
    made = os.execute("localedef -i tr_TR -f UTF-8 " .. folder .. "/tr_TR.UTF-8 2>/dev/null")
  end)
  teardown(function() remove() end)

  -- What a script of that locale prints.
  local function run(code, variables)
    if not made then pending "no localedef, or none of its sources" end
    code = "assert(os.setlocale 'tr_TR.UTF-8') assert(tostring(0.5) == '0,5')\n" .. code
    return files.with(code, function(path)
      -- glibc never frees what it makes of LOCPATH: a sanitized program would tell of it.
      local pipe <close> = assert(io.popen(("LOCPATH='%s' ASAN_OPTIONS=detect_leaks=0 %s "
        .. "%s/keycycle %s 2>&1"):format(folder, variables or "", servers.path(), path)))
      return pipe:read "a"
    end)
  end

  it("JSON has its numbers", function()
    assert.equal("[0.5,1e+25,3.140625]\n", run [[
      local json = require("keycycle").json
      local long = "3.140625" .. ("0"):rep(70)
      print(json.encode(json.decode("[0.5,1e25," .. long .. "]")))]])
    assert.equal("a number too large\n", run [[
      local ok, err = pcall(require("keycycle").json.decode, "[1.5e400]")
      print(err.message)]])
  end)

  it("variables and hosts of a provider are its own", function()
    assert.equal("sk-test-0001\tiad\n", run([[
      local keycycle = require "keycycle"
      local key = keycycle.load_api_keys("openai", { extra_params = { "region_id" } })
      print(key[1].api_key, key[1].params.region_id)]],
      "OPENAI_API_KEY_1=sk-test-0001 OPENAI_REGION_ID_1=iad"))
    assert.equal("true\n", run [[
      local keycycle = require "keycycle"
      local wrapper <close> = keycycle.MultiClientWrapper.new { scripts = false }
      wrapper:register_provider("other", { base_url = "HTTPS://API.OPENAI.COM/v1",
        keys = { "sk-test-0001" } })
      print(wrapper:get_manager "other" ~= nil)]])
  end)

  it("answers are understood, in capitals too", function()
    assert.equal("temporary 1.5\ntemporary 6\n", run [[
      local keycycle = require "keycycle"
      local function tell(headers, body)
        local is = keycycle.classify("openai", { status = 429, headers = headers, body = body })
        print(is.kind .. " " .. ("%.14g"):format(is.retry_after):gsub(",", "."))
      end
      tell({ ["RETRY-AFTER-MS"] = "1500" }, "")
      tell({}, '{"error":{"message":"LIMITED. PLEASE TRY AGAIN IN 6s"}}')]])
  end)

  it("a form and a query are sent with a point", function()
    assert.equal("temperature\t0.5\n0.5\n", run [[
      local form = require("keycycle").try and require("keycycle.protocol.openai_transcription")
        .encode({ model = "m", file = "f", temperature = 0.5 }).form
      print(form[2].name, form[2].value)
      print((require("keycycle.call.template").text("{t}", function() return 0.5 end)))]])
  end)

  it("a value is written with a point", function()
    assert.equal("0.5 -1.5e+30 3 inf 0,5 true 61.5\n", run [[
      require "keycycle"
      local ascii = require "keycycle.ascii"
      local text = ascii.text
      print(text(0.5) .. " " .. text(-1.5e30) .. " " .. text(3) .. " " .. text(math.huge) .. " "
        .. text "0,5" .. " " .. text(true) .. " " .. ascii.point(("%.14g"):format(61.5)))]])
  end)

  it("a store's options are read", function()
    assert.equal("store\n", run [[
      local keycycle = require "keycycle"
      local ok, err = pcall(keycycle.MultiClientWrapper.new, { scripts = false,
        db_url = "MARIADB://u:p@127.0.0.1:1/d?connect_timeout=0.5" })
      print(err.code)]])
  end)
end)
