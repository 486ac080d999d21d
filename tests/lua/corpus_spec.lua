local keycycle = require "keycycle"

-- What the default policy does about a kind.
local actions = { temporary = "retry", overloaded = "retry", server = "retry", quota = "rotate",
  auth = "disable", payment = "disable" }
local providers = { azure = "azure_openai", github = "openai_compatible",
  moonshot = "openai_compatible" }
local scopes = { account = "group", upstream = "provider" }

local function records()
  local list = {}
  for line in io.lines "tests/fixtures/errors.jsonl" do
    local record = keycycle.json.decode(line)
    for k, v in pairs(record) do
      if v == keycycle.json.null then record[k] = nil end
    end
    list[#list + 1] = record
  end
  return list
end

local function verdict_on(record)
  return keycycle.classify(providers[record.provider] or record.provider,
    { status = record.status, headers = record.headers, body = record.body })
end

local function near(a, b)
  if a == nil or b == nil then return a == b end
  return math.abs(a - b) < 1
end

-- How often each field is right, in all and by class.
local function measure()
  local sum = { n = 0, action = 0, kind = 0, scope = 0, window = 0, retry_after = 0 }
  local classes, wrong = {}, {}
  for _, r in ipairs(records()) do
    if not r.note:find("arguable", 1, true) then
      local v = verdict_on(r)
      local window = r.window ~= "billing" and r.window or nil
      local right = {
        n = true, kind = v.kind == r.class, scope = v.scope == (scopes[r.scope] or r.scope),
        action = (actions[v.kind] or "fail") == (actions[r.class] or "fail"),
        window = v.window == window or v.kind ~= "quota" and v.kind ~= "temporary",
        retry_after = near(v.retry_after, r.retry_after_s),
      }
      local class = classes[r.class] or { n = 0, kind = 0 }
      classes[r.class] = class
      for what, is in pairs(right) do
        sum[what] = sum[what] + (is and 1 or 0)
        if class[what] then class[what] = class[what] + (is and 1 or 0) end
      end
      if not right.kind then wrong[#wrong + 1] = r.id .. ": " .. v.kind end
    end
  end
  return sum, classes, wrong
end

local function table_of(sum, classes, wrong)
  local out = { "" }
  local names = {}
  for name in pairs(classes) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    out[#out + 1] = ("%-18s %3d of %3d"):format(name, classes[name].kind, classes[name].n)
  end
  for _, what in ipairs { "action", "kind", "scope", "window", "retry_after" } do
    out[#out + 1] = ("%-18s %.1f %%"):format(what, 100 * sum[what] / sum.n)
  end
  return table.concat(out, "\n  ") .. "\n  wrong: " .. table.concat(wrong, ", ") .. "\n"
end

describe("real answers #pure", function()
  local sum, classes, wrong = measure()
  io.write(table_of(sum, classes, wrong))

  it("are there", function()
    assert.equal(119, sum.n)
  end)

  it("are acted upon rightly, 98 in a hundred", function()
    assert.is_true(sum.action / sum.n >= 0.98, table_of(sum, classes, wrong))
  end)

  it("are of the right kind, 93 in a hundred", function()
    assert.is_true(sum.kind / sum.n >= 0.93, table_of(sum, classes, wrong))
  end)

  it("say for whom and until when, 9 in ten", function()
    for _, what in ipairs { "scope", "window", "retry_after" } do
      assert.is_true(sum[what] / sum.n >= 0.9, what)
    end
  end)
end)
