--- What the reader of a store would find, from what pairs of keys and models have used.
local usage = {}

local rank = { all = 1, provider = 2, key = 3, model = 4, pair = 5 }

local function before(a, b)
  if a.kind ~= b.kind then return rank[a.kind] < rank[b.kind] end
  if a.provider ~= b.provider then return a.provider < b.provider end
  if a.counts[4] ~= b.counts[4] then return a.counts[4] > b.counts[4] end
  if a.counts[1] ~= b.counts[1] then return a.counts[1] > b.counts[1] end
  return a.key .. "\n" .. a.model < b.key .. "\n" .. b.model
end

-- The four counts of each day, the oldest first.
local function days_of(pair, days)
  local flat = {}
  for ago = days - 1, 0, -1 do
    for _, n in ipairs(pair.ago[ago] or { 0, 0, 0, 0 }) do flat[#flat + 1] = n end
  end
  return flat
end

local function add(to, from)
  for i, n in ipairs(from) do to[i] = (to[i] or 0) + n end
end

--- `{ totals, pair_counts, states }` as of core.store_reader.
---@param pairs table[] each provider, key, label, suffix, model, counts (10), ago (the four
--- counts of a day, by how many days ago that was)
---@param states? table[]
---@param days integer
---@param most? integer pairs of a provider
function usage.found(pairs, states, days, most)
  local totals, known, counts = {}, {}, {}
  local function total(kind, pair, provider, key, model)
    local name = table.concat({ kind, provider, key, model }, "\n")
    if not known[name] then
      local of_key = key ~= "" and pair or { label = "", suffix = "" }
      known[name] = { kind = kind, provider = provider, key = key, model = model, counts = {},
        days = {}, label = of_key.label, suffix = of_key.suffix }
      totals[#totals + 1] = known[name]
    end
    add(known[name].counts, pair.counts)
    add(known[name].days, days_of(pair, days))
  end
  total("all", { counts = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }, ago = {} }, "", "", "")
  for _, p in ipairs(pairs) do
    total("all", p, "", "", "")
    total("provider", p, p.provider, "", "")
    total("key", p, p.provider, p.key, "")
    total("model", p, p.provider, "", p.model)
    total("pair", p, p.provider, p.key, p.model)
  end
  table.sort(totals, before)
  local kept = {}
  for _, it in ipairs(totals) do
    local n = it.kind == "pair" and (counts[it.provider] or 0) + 1
    if n then counts[it.provider] = n end
    if not n or not most or n <= most then kept[#kept + 1] = it end
  end
  return { totals = kept, pair_counts = counts, states = states or {} }
end

return usage
