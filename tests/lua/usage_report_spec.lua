--- What a store found, in the shape in which it is told; and as a document for programs.
local json = require "keycycle.json"
local usage_document = require "keycycle.report.usage_document"
local usage_report = require "keycycle.report.usage"
local usage = require "tests.support.usage"

local DAY = 86400
local NOW = 1764201600 + 3600 -- 2025-11-27 01:00 UTC
local TODAY = NOW - 3600

-- Of `n` requests in all, and what came some days ago.
local function entry(provider, key, model, n, ago)
  return { provider = provider, key = key, label = "", suffix = "end" .. key, model = model,
    counts = { n, 2 * n, 3 * n, 5 * n, 1, 2, 3, 10, 20, 30 }, ago = ago or {} }
end

local function state(key, model, name, more)
  local found = { provider = "p", key = key, label = "", suffix = "", model = model, state = name,
    reason = "", learned = "", disabled = false }
  for k, v in pairs(more or {}) do found[k] = v end
  return found
end

local function make(entries, states, more)
  local opts = { now = NOW, days = 3 }
  for k, v in pairs(more or {}) do opts[k] = v end
  return usage_report.make(usage.found(entries, states, 3, opts.most), opts)
end

local function names(list, field)
  local out = {}
  for i, it in ipairs(list) do out[i] = it[field] end
  return table.concat(out, " ")
end

local function pair_of(provider, key, model)
  for _, pair in ipairs(provider.pairs) do
    if pair.key == key and pair.model == model then return pair end
  end
end

local function requests(thing) return usage_report.in_all(thing).requests end

describe("days", function()
  it("are those of UTC, today among them", function()
    assert.equal(TODAY, usage_report.first_day(NOW, 1))
    assert.equal(TODAY - 6 * DAY, usage_report.first_day(NOW, 7))
    assert.equal(TODAY, usage_report.first_day(TODAY, 1))
    assert.equal(TODAY, usage_report.first_day(TODAY + DAY - 0.001, 1))
    assert.equal("integer", math.type(usage_report.first_day(NOW + 0.5, 1)))
  end)
end)

describe("a report", function()
  local report
  before_each(function()
    report = make {
      entry("p", "a", "m1", 10, { [0] = { 4, 40, 400, 440 }, { 1, 2, 3, 5 } }),
      entry("p", "a", "m2", 100, { [2] = { 7, 1, 1, 2 } }),
      entry("p", "b", "m1", 1000, { [0] = { 5, 50, 500, 550 } }),
      entry("q", "a", "m1", 5),
    }
  end)

  it("has the sums of all, of providers, keys and models", function()
    assert.equal("p q", names(report.providers, "provider"))
    local p = report.providers[1]
    assert.same({ 1115, 1110, 5 }, { requests(report), requests(p),
      requests(report.providers[2]) })
    assert.same({ requests = 1110, input_tokens = 2220, output_tokens = 3330,
      total_tokens = 5550 }, usage_report.in_all(p))
    assert.same({ rpm = 3, rph = 6, rpd = 9, tpm = 30, tph = 60, tpd = 90 },
      usage_report.windows(p))
    assert.same({ 110, 1000 }, { requests(p.by_key.a), requests(p.by_key.b) })
    assert.equal("m1 m2", names(p.models, "model"))
    assert.same({ 1010, 100 }, { requests(p.models[1]), requests(p.models[2]) })
    assert.equal(3, #p.pairs)
    assert.equal(p.by_key.b, pair_of(p, "b", "m1").of_key)
  end)

  it("has them by day", function()
    local p = report.providers[1]
    local function by_day(thing)
      local days = {}
      for i = 1, 3 do days[i] = usage_report.day(thing, i).requests end
      days[4] = usage_report.all_days(thing).requests
      return days
    end
    assert.same({ TODAY - 2 * DAY, TODAY - DAY, TODAY }, report.starts)
    assert.same({ 7, 1, 9, 17 }, by_day(report))
    assert.same({ 7, 1, 9, 17 }, by_day(p))
    assert.same({ 7, 1, 4, 12 }, by_day(p.by_key.a))
    assert.same({ 0, 1, 9, 10 }, by_day(p.models[1]))
    assert.same({ 0, 1, 4, 5 }, by_day(pair_of(p, "a", "m1")))
    assert.same({ 0, 0, 0, 0 }, by_day(report.providers[2]))
    assert.same({ requests = 9, input_tokens = 90, output_tokens = 900, total_tokens = 990 },
      usage_report.day(p))
  end)

  it("may have fewer pairs than there are", function()
    local p = make({ entry("p", "a", "m", 9), entry("p", "b", "m", 8), entry("p", "c", "m", 7) },
      { state("c", "m", "cooling") }, { most = 2 }).providers[1]
    assert.same({ 3, 2, 3, 24 }, { p.pair_count, #p.pairs, #p.keys, requests(p) })
    assert.equal("cooling", p.by_key.c.state)
  end)

  it("is of the providers that were named", function()
    local entries = { entry("p", "a", "m", 1), entry("q", "a", "m", 2) }
    assert.equal(2, requests(make(entries, {}, { only = { "q", "r" } })))
    assert.equal(0, #make(entries, { state("a", "", "ready") }, { only = { "r" } }).providers)
    assert.equal(2, #make(entries, {}, { only = {} }).providers)
  end)

  it("is empty of an empty store", function()
    report = make {}
    assert.equal(0, #report.providers)
    assert.equal(0, requests(report))
    assert.equal("[]", json.encode(usage_document.of(report, "s").providers))
  end)
end)

describe("a state", function()
  local function key_with(states, entries)
    local report = make(entries or { entry("p", "a", "m", 1), entry("p", "a", "n", 1) }, states)
    return report.providers[1].by_key.a, report.providers[1]
  end

  it("is told with its end and its reason", function()
    local key = key_with { state("a", "", "exhausted", { until_at = NOW + 5, reason = "spent" }) }
    assert.same({ "exhausted", NOW + 5, "spent" }, { key.state, key.until_at, key.reason })
    key = key_with { state("a", "", "invalid", { reason = "auth" }) }
    assert.same({ "invalid", nil, "auth" }, { key.state, key.until_at, key.reason })
  end)

  it("of a key is that of each of its models, but for those that have their own", function()
    local _, p = key_with { state("a", "", "suspended", { until_at = NOW + 5, reason = "401" }),
      state("a", "n", "cooling", { until_at = NOW + 3 }) }
    local m, n = pair_of(p, "a", "m"), pair_of(p, "a", "n")
    assert.same({ "suspended", NOW + 5, "401" }, { m.state, m.until_at, m.reason })
    assert.same({ "cooling", NOW + 3, nil }, { n.state, n.until_at, n.reason })
    _, p = key_with { state("a", "n", "cooling", { until_at = NOW + 3 }) }
    assert.equal("ready", pair_of(p, "a", "m").state)
  end)

  it("whose time is over has to prove itself", function()
    for _, name in ipairs { "cooling", "exhausted", "suspended" } do
      local key = key_with { state("a", "", name, { until_at = NOW, reason = "x" }) }
      assert.same({ "probing", nil, nil }, { key.state, key.until_at, key.reason })
    end
  end)

  it("of a disabled key is that, whatever else it is", function()
    local key = key_with { state("a", "", "cooling", { until_at = NOW - 1, disabled = true }) }
    assert.equal("disabled", key.state)
    key = key_with { state("a", "", "ready", { disabled = true }) }
    assert.equal("disabled", key.state)
  end)

  it("of one model shows on a key that is ready, the worst of them", function()
    local of_models = { state("a", "m", "cooling", { until_at = NOW + 9 }),
      state("a", "n", "exhausted", { until_at = NOW + 5 }) }
    local key, p = key_with(of_models)
    assert.same({ "exhausted", "n", NOW + 5 }, { key.state, key.of_model, key.until_at })
    assert.equal("cooling", pair_of(p, "a", "m").state)
    of_models[3] = state("a", "", "suspended", { until_at = NOW + 60 })
    key = key_with(of_models)
    assert.same({ "suspended", nil }, { key.state, key.of_model })
  end)

  it("makes a key known that has served nothing, with its label and end", function()
    local key, p = key_with({ state("a", "", "invalid", { label = "spare", suffix = "xyz" }),
      state("b", "m", "cooling") }, {})
    assert.same({ "spare", "xyz", 0 }, { key.label, key.suffix, requests(key) })
    assert.same({ 2, 0, "cooling" }, { #p.keys, #p.pairs, p.by_key.b.state })
  end)

  it("of a group is its own", function()
    local key, p = key_with { state("group:team: a", "", "exhausted", { until_at = NOW + 5 }),
      state("group:idle", "", "ready"), state("group:slow", "m", "cooling") }
    assert.equal("ready", key.state)
    assert.same({ "team: a slow", 1 }, { names(p.groups, "group"), #p.keys })
    assert.same({ nil, "m" }, { p.groups[1].model, p.groups[2].model })
  end)

  it("carries the limits that answers told", function()
    local key, p = key_with { state("a", "m", "ready", { learned =
      "requests_per_minute=60 tokens_per_day=3000" }), state("a", "", "ready") }
    assert.same({ requests_per_minute = 60, tokens_per_day = 3000 }, pair_of(p, "a", "m").learned)
    assert.is_nil(key.learned)
  end)
end)

describe("rates", function()
  it("are what came between two reports, a second", function()
    local last = make { entry("p", "a", "m", 10), entry("gone", "a", "m", 10) }
    local report = make({ entry("p", "a", "m", 14), entry("q", "a", "m", 2) }, {},
      { now = NOW + 2 })
    usage_report.set_rates(report, last)
    local p, q = report.providers[1].rates, report.providers[2].rates
    assert.same({ 2, 1, 10 }, { p.requests, q.requests, p.total_tokens })
    assert.equal(0, report.rates.requests) -- what is gone was more than what came
  end)

  it("need time to have passed", function()
    local report = make {}
    usage_report.set_rates(report, make {})
    assert.is_nil(report.rates)
  end)
end)

describe("a store's name", function()
  it("never has a password", function()
    for url, want in pairs {
      ["sqlite:usage.db"] = "sqlite:usage.db", ["sqlite:///a@b?c.db"] = "sqlite:///a@b?c.db",
      ["mysql://host/db"] = "mysql://host/db",
      ["mysql://me:secret@host:3306/db"] = "mysql://host:3306/db",
      ["mysql+pymysql://me:se/c@re?t@host/db?password=secret#x"] = "mysql+pymysql://host/db",
      ["MySQL://secret@/db?socket=/x"] = "MySQL:///db",
    } do
      assert.equal(want, usage_report.store_name(url))
    end
  end)
end)

describe("a report as a document", function()
  it("can be encoded, and says all of it", function()
    local pair = entry("p", "a", "m\255\27", 10, { [0] = { 4, 40, 400, 440 } })
    pair.label = "first"
    local report = make({ pair }, { state("a", "", "cooling", { until_at = NOW + 1.5 }),
      state("group:g", "", "exhausted") })
    local text = json.encode(usage_document.of(report, "sqlite:x.db"))
    local all = json.decode(text)
    assert.same({ "sqlite:x.db", NOW, 10 }, { all.store, all.at, all.total.requests })
    assert.same({ start = TODAY, requests = 4, input_tokens = 40, output_tokens = 400,
      total_tokens = 440 }, all.total.days[3])
    local p = all.providers[1]
    assert.same({ "p", 3, "m\u{FFFD}\27" }, { p.provider, p.windows.rpd, p.models[1].model })
    assert.same({ "first", "enda", "cooling", NOW + 1.5 }, { p.keys[1].label, p.keys[1].suffix,
      p.keys[1].state, p.keys[1].until_at })
    assert.same({ "a", 4, "first" }, { p.pairs[1].key, p.pairs[1].days[3].requests,
      p.pairs[1].label })
    assert.same({ "g", "exhausted" }, { p.groups[1].group, p.groups[1].state })
  end)
end)
