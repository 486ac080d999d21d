--- A report as tables for people.
local usage_report = require "keycycle.report.usage"
local usage_tables = require "keycycle.report.usage_tables"
local usage = require "tests.support.usage"

local DAY = 86400
local NOW = 1764201600 + 3600 -- 2025-11-27 01:00 UTC
local plain = { terminal = false, colour = false }
local colour = { terminal = true, colour = true }

local function sink()
  local out = { text = "" }
  function out:write(...) self.text = self.text .. table.concat { ... } end
  return out
end

local function entry(key, model, n, more)
  local it = { provider = "acme", key = key, label = "", suffix = "end" .. key, model = model,
    counts = { n, 2 * n, 3 * n, 5 * n, 0, 0, 0, 0, 0, 0 },
    ago = { [0] = { n, 2 * n, 3 * n, 5 * n }, { 2 * n, 4 * n, 6 * n, 10 * n } } }
  for k, v in pairs(more or {}) do it[k] = v end
  return it
end

local function state(key, model, name, more)
  local it = { provider = "acme", key = key, label = "", suffix = "", model = model, state = name,
    reason = "", learned = "", disabled = false }
  for k, v in pairs(more or {}) do it[k] = v end
  return it
end

local function written(entries, states, to, days)
  to, days = to or {}, days or 7
  local all = usage_report.make(usage.found(entries, states, days, to.most),
    { now = NOW, days = days })
  local out = sink()
  usage_tables.write(all, { store = to.store or "sqlite:x.db", out = out,
    style = to.style or plain, width = to.width, most = to.most })
  return out.text, all
end

local function has(text, want)
  assert.truthy(text:find(want, 1, true), want .. "\nis not in\n" .. text)
end

describe("a count", function()
  it("is told in at most five characters", function()
    for n, want in pairs { [0] = "0", [999] = "999", [1000] = "1,000", [9999] = "9,999",
      [9999.6] = "10.0k", [10000] = "10.0k", [99949] = "99.9k", [99951] = "100k", [999499] = "999k",
      [999500] = "1.00M", [1234567] = "1.23M", [12345678] = "12.3M", [4.56e9] = "4.56G",
      [7.89e14] = "789T", [0.4] = "0", [2 ^ 40] = "1.10T" } do
      assert.equal(want, usage_tables.count(n))
    end
  end)
end)

describe("tables of use", function()
  it("begin with the store, the time, the days", function()
    local text = written({ entry("a", "m", 10) })
    has(text, "sqlite:x.db, 2025-11-27 01:00:00 UTC; days are UTC days\n")
    has(text, "\nday         requests            tokens            input  output\n")
    has(text, "\n2025-11-26        20  ########     100  ########     40      60\n")
    has(text, "\ntoday             10  ####....      50  ####....     20      30\n")
    has(text, "\n7 days            30               150               60      90\n")
    has(text, "\nin all            10                50               20      30\n")
    assert.is_nil(text:find("2025-11-25", 1, true)) -- nothing was used before
  end)

  it("have each key, model, and key and model", function()
    local text = written { entry("a", "m1", 30, { label = "first" }), entry("b", "m1", 60),
      entry("b", "m2", 10, { suffix = "" }) }
    has(text, "\nacme: 2 keys, 2 models; 100 requests and 500 tokens today, 100 and 500 in all\n")
    has(text, "\nkey    ends     today  7 days  in all   today  7 days  in "
      .. "all  share          state\n")
    has(text, "\nkey    endb        70     210      70     350   1,050     "
      .. "350  ######..  70%  ready\n")
    has(text, "\nfirst  enda        30      90      30     150     450     "
      .. "150  ##......  30%  ready\n")
    has(text, "\nm1           90     270      90     450   1,350     450  #######.  90%\n")
    has(text, "\nm2           10      30      10      50     150      50  #.......  10%\n")
    has(text, "\nendb  m1           60     180      60     300     900     "
      .. "300  #####...  60%  ready\n")
    assert.is_nil(text:find("\27", 1, true))
    assert.is_nil(text:find("last min", 1, true))
  end)

  it("have what counts now beside the limits that are known", function()
    local now = { counts = { 50, 0, 0, 500, 30, 40, 50, 100, 200, 300 } }
    local learned = { learned = "requests_per_minute=60 tokens_per_day=3000" }
    local text = written({ entry("a", "m", 50, now), entry("a", "n", 1) },
      { state("a", "m", "ready", learned) })
    has(text, "\nends  model  last min  hour  day  last min  hour           day  fullest\n")
    has(text, "\nenda  m      30 of 60    40   50       100   200  300 of 3"
      .. ",000  ####....  50% req/min\n")
    text = written({ entry("a", "m", 50, now) }, { state("a", "", "ready",
      { learned = "requests_per_day=0" }) })
    has(text, "50 of 0")
    has(text, "######## 100% req/day")
    text = written { entry("a", "m", 50, now) }
    assert.is_nil(text:find("fullest", 1, true))
  end)

  it("have states with their end, reason and model", function()
    local text = written({ entry("a", "m", 1), entry("b", "m", 1) }, {
      state("a", "m", "cooling", { until_at = NOW + 61.2, reason = "rate_limited" }),
      state("b", "", "exhausted", { until_at = NOW + 2 * DAY, reason = "spent" }),
      state("group:team", "", "exhausted", { until_at = NOW + 60 }) })
    has(text, "cooling until 01:01:02, m, rate_limited\n")
    has(text, "exhausted until 11-29 01:00, spent\n")
    has(text, "\ngroup team: exhausted until 01:01:00\n")
  end)

  it("tell parts by requests where no tokens were told", function()
    local function none(n) return { counts = { n, 0, 0, 0, 0, 0, 0, 0, 0, 0 } } end
    local text = written { entry("a", "m", 3, none(3)), entry("b", "m", 1, none(1)) }
    has(text, "######..  75%")
  end)

  it("show the busiest, and how many more there are", function()
    local entries = {}
    for i = 1, 30 do entries[i] = entry(("%02d"):format(i), "m" .. i, i) end
    local text = written(entries, {}, { most = 20 })
    assert.equal(3, select(2, text:gsub("\n… and 10 more %(%-%-all shows them%)", "")))
    has(text, "end30")
    assert.is_nil(text:find("end10", 1, true))
    has(written(entries), "end01")
  end)

  it("have no column of days for one day", function()
    local text = written({ entry("a", "m", 1) }, {}, {}, 1)
    assert.is_nil(text:find("1 days", 1, true))
    has(text, "\nkey  ends     today  in all   today  in all  share          state\n")
  end)

  it("tell rates", function()
    local _, last = written { entry("a", "m", 1) }
    local _, all = written { entry("a", "m", 4) }
    all.at = all.at + 2
    usage_report.set_rates(all, last)
    local out = sink()
    usage_tables.write(all, { store = "s", out = out, style = plain })
    local line = "\nsince the last look 1.5 requests/s, 8 tokens/s\n"
    assert.equal(2, select(2, out.text:gsub(line, "")))
  end)
end)

describe("tables of use on a terminal", function()
  local long = entry("a", "meta-llama/llama-4-maverick-17b-128e-instruct", 123456,
    { label = "the key of a friend who has a long name",
    counts = { 123456, 1, 1, 2, 1, 1, 2, 1, 1, 123456 } })
  local states = { state("a", long.model, "cooling", { until_at = NOW + 61.2,
    reason = "rate_limited for a reason that takes some words", learned = "requests_per_day=60" }) }

  it("are never wider than it", function()
    for width = 32, 100 do
      local text = written({ long, entry("b", "m", 7) }, states, { style = colour, width = width })
      text = text:gsub("\27%[[%d;]*m", "")
      for line in text:gmatch "[^\n]+" do
        assert.is_true(utf8.len(line) <= width, width .. ": " .. line)
      end
    end
  end)

  it("keep counts and cut names", function()
    local text = written({ long }, states, { style = colour, width = 60 }):gsub("\27%[[%d;]*m", "")
    assert.truthy(text:find "meta%-llama/%S*…")
    has(text, "123k")
    assert.is_nil(text:find("share", 1, true))
  end)

  it("are coloured by state", function()
    local text = written({ long }, states, { style = colour, width = 100 })
    assert.truthy(text:find "\27%[33m[^\n]*cooling")
    text = written({ long }, states, { style = { terminal = true, colour = false }, width = 100 })
    assert.is_nil(text:find("\27", 1, true))
  end)

  it("take no orders from names", function()
    local bad = "\27]0;owned\7\27[2J\r\nx\194\155\255"
    local text = written({ entry("a", bad, 1, { label = bad, provider = bad, suffix = bad }) },
      { state("a", "", "cooling", { provider = bad, reason = bad }), state("group:" .. bad, bad,
      "exhausted", { provider = bad }) }, { style = plain, store = bad })
    assert.is_nil(text:find "[%z\1-\9\11-\31\127]")
    assert.is_nil(text:find("\194\155", 1, true))
  end)
end)
