--- The leases of keys that a program was given as texts: kept until it records what it
--- used of a key, or until their pool ends them by their age.
---
--- Named by the key's index: no text of a key is kept here.
local handed = {}

local MOST = 10000 -- what one key can have out within a lease's ten minutes, or so

local methods = {}
local handed_mt = { __name = "keycycle.handed", __index = methods }
local weak = { __mode = "v" }

---@param most? integer leases of one key, at most; the oldest is let go
function handed.new(most)
  return setmetatable({ lists = {}, most = most or MOST }, handed_mt)
end

local function is_open(box)
  return box.lease ~= nil and not box.lease.settled
end

--- Keeps a lease; where there are too many the oldest is closed: what it reserved stays
--- counted.
---@param lease userdata
---@param lent boolean the program has it, too: it is not kept from the collector
function methods:keep(lease, lent)
  local box = { lent = lent, lease = lease }
  if lent then setmetatable(box, weak) end
  local index = lease.index
  local list = self.lists[index] or {}
  self.lists[index] = list
  while list[1] and (#list >= self.most or not is_open(list[1])) do
    local oldest = table.remove(list, 1)
    if oldest.lease and not oldest.lent then oldest.lease:close() end
  end
  list[#list + 1] = box
end

--- The index of a key some lease of which is out, though the pool has it no more.
---@param api_key any
---@return integer?
function methods:index_of(api_key)
  for index, list in pairs(self.lists) do
    for _, box in ipairs(list) do
      if box.lease then
        if box.lease.api_key == api_key then return index end
        break -- they are all of this key
      end
    end
  end
  return nil
end

local function find(list, model, lent)
  for i, box in ipairs(list) do
    if box.lent == lent and is_open(box) and (not model or box.lease.model == model) then
      return i, box.lease
    end
  end
  return nil
end

-- One that is over its age had ended, and the next is tried.
local function settle(list, model, used, lent)
  local i, lease = find(list, model, lent)
  while i do
    local ok, err = pcall(lease.commit, lease, used)
    if not ok and not lease.settled then error(err, 0) end -- memory was short
    table.remove(list, i)
    if ok then return true end
    i, lease = find(list, model, lent)
  end
  return false
end

--- Settles the oldest lease of a key, of those first that the program has not.
---@param index integer of the key
---@param model? string nil: of whatever model
---@param used? integer tokens; nil: what was reserved
---@return boolean settled false: none is out
function methods:settle(index, model, used)
  local list = self.lists[index] or {}
  return settle(list, model, used, false) or settle(list, model, used, true)
end

--- Lets go of all; what they reserved stays counted.
function methods:close()
  for _, list in pairs(self.lists) do
    for _, box in ipairs(list) do
      if box.lease and not box.lent then box.lease:close() end
    end
  end
  self.lists = {}
end

return handed
