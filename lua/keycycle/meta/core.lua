---@meta keycycle.core
--- The C module under the Lua library. Not for programs: names may change.
---
--- Misuse (a wrong type, a closed object) raises; what the world can cause comes back as `nil,
--- err`: a plain table `{ code, message, retry_after, limit, max, window }`. Nothing here yields
--- or knows of tasks: what takes time is a *waitable*, an object with `id()` (an integer, never
--- used again), `ready()` and `close()`. When it may have become ready its id appears once in
--- `next_ready()`; `ready()` is the truth. Seconds are floats; times `_at` since the epoch.
local core = {}

core.VERSION = "0.1.0"
core.json = {} ---@type table { encode, decode, null, array }; see json.lua

--- An embedded file ("keycycle/providers/groq.lua") as a function whose globals are
--- those of `env`; nil where there is none.
---@return function?
function core.builtin(file, env) end
--- Names of the embedded files in a folder ("keycycle/providers/"), sorted.
---@return string[]
function core.builtin_names(folder) end
--- This module as it is loaded now: another one, or nil, once the library was closed.
function core.current() end

--- Sizes of a folder's plain *.lua files by name; or nil, why, and whether there is no
--- such folder.
---@return table?, string?, boolean?
function core.lua_files(folder) end

--- Cuts an open file off behind its first `size` bytes: true, or nil and why. Of what
--- was written to it nothing may be waiting.
function core.cut_file(file, size) end
--- Makes an open file ours until it is closed or the process ends: true, or nil and why,
--- where another program has it. Those who do not ask are not kept out.
function core.lock_file(file) end
--- Where a path leads, through all links, and what is there: "file", "folder" or "other"; or
--- nil and why.
---@param path string
---@return string? real, string kind
function core.real_path(path) end

--- Epoch seconds by the machine's wall clock; with a clock, by that one.
---@param clock? keycycle.core.clock
---@return number
function core.now(clock) end

--- Seconds by a clock that never steps, for time-outs.
function core.mono() end

---@class keycycle.core.clock
local clock = {}
---@param start? number epoch seconds, default: now
---@return keycycle.core.clock
function core.manual_clock(start) end
--- Moves on; what was waiting for it becomes ready. Raises for a negative.
function clock:advance(seconds) end
function clock:now() end

--- Runs the loop once: waits for I/O at most `timeout` seconds (nil: until something happens;
--- 0: not at all), handles it, starts no further event once `budget` seconds are spent. Returns
--- true and whether there was an event or a timer, or nil, err (code "forked"; "interrupted" when
--- a signal came).
---@param timeout? number
---@param budget? number
---@return true?
---@return boolean|table
function core.step(timeout, budget) end

--- The id of a waitable that may have become ready, once each; nil: no more.
---@return integer?
function core.next_ready() end

--- One descriptor, readable whenever step(0) has something to do, timers and wake() included.
---@return integer
function core.pollfd() end

--- Seconds until step has a timer to serve, 0 when something is due, nil: none.
function core.timeout() end

--- Makes pollfd readable and the next step return at once.
function core.wake() end
--- Makes the loop, if there is none yet: then waking it needs no memory.
function core.start() end

--- How much is under way: calls, key waits and timers not closed yet.
---@return integer
function core.pending() end

--- How many calls are under way, and how often we listen for events of shared
--- pools: those alone can go on without us and without a timer.
---@return integer
function core.io_pending() end

---@class keycycle.core.timer: keycycle.core.waitable
--- Ready once `seconds` have passed, by `clock` where one is given.
---@return keycycle.core.timer
function core.timer(seconds, clock) end
local timer = {}
--- Makes it ready before its time.
function timer:finish() end

---@class keycycle.core.journal
local journal = {}
--- Opens the store behind `url`. opts: keep_days (what is older is deleted by and by, but
--- for the totals; default 400), import (what `export` gave: the store is filled with it;
--- a table of another form raises), alone (no other may keep a shared pool in its place).
---@return keycycle.core.journal?, table? err codes no_such_store bad_url store corrupt
function core.journal(url, opts) end
--- Reads back into `pool` what the store knows of its provider and keys, and
--- writes its use from now on. Before the first acquire. true, or nil, err (differs: it is
--- shared, and kept in another store).
function journal:attach(pool) end
--- Waits until all is written: true, or nil, err.
function journal:flush(timeout) end
--- Flushes, ends what it has. true, or nil, err when something was not written.
function journal:close(timeout) end
--- How often writing has begun to fail, or works again, or something was set aside. The
--- loop is woken each time.
---@return integer
function journal:changes() end
--- { waiting (counts not written yet), set_aside (rows that the store refuses for good),
--- failing (seconds), error, aside (words; "": none) }
---@return table
function journal:status() end
--- All that is written, as plain data: see store/data.lua; what is in flight counts as
--- used. And a number that tells it from other data; with that as `mark`: false for the
--- data where it is the same. nil, err.
---@param mark? integer
---@return table|false|nil, integer|table
function journal:export(mark) end

--- Whether a time zone of that name can be had.
function core.zone_known(name) end
--- The first local midnight after `at` in a time zone, both in seconds since the epoch;
--- nil: no such zone.
function core.zone_midnight(name, at) end

---@class keycycle.core.pool
local pool = {}
--- opts: provider (name), strategy "per_model"|"global", selection "balanced"|
--- "round_robin"|"random_two"|"fill_first"|"weighted"|"most_remaining"|"best_fit",
--- random_start, max_wait_queue, max_lease_seconds, guard_seconds (after which what
--- was sent has been counted, default 3), clock
---@return keycycle.core.pool
function core.pool(opts) end
--- entry: api_key, label, group, priority, weight, models (list: the only ones it
--- serves), params = { name = value }
---@return integer? index, table? err
function pool:add_key(entry) end
function pool:remove_key(index) end
--- Serves who waits: after keys or limits were changed, when all of it is done.
function pool:pump() end
--- How many keys were ever added to it, by whomever.
---@return integer
function pool:keys_noted() end
--- By the whole key or its last characters: index, or nil, err (not_found,
--- ambiguous).
function pool:find(id) end
--- The highest index ever given.
function pool:key_count() end
--- { index, suffix, label, group, priority, state, reason, scope, model, until_at },
--- nil for a removed one; scope ("model", "key", "group") of a state but ready. With
--- a model, the key's state for that model.
function pool:key(index, model) end
--- A fresh table of a key's extra parameters, and its text, for a program's own client;
--- an index that is gone: an empty one and nil.
---@return table params, string? api_key
function pool:params(index) end
--- key 0: all; model nil: all without a line of their own. limits: a table of
--- requests_per_minute … tokens_per_day, concurrent_requests, day_resets_at (a zone
--- that is known: raises else), windows (list of { seconds, requests, tokens,
--- input_tokens, output_tokens }); nil: unlimited.
function pool:set_limits(key, model, limits) end
function pool:clear_limits() end
--- Where limits are all models' together: only those whose names fit the pattern
--- ("*:free", "gpt-*"; nil: all) have them so; each other model has those alone that name
--- it. true, or nil, err.
function pool:set_only(pattern) end
--- What holds for (key, model): a table as above.
function pool:limits(key, model) end
function pool:set_selection(name) end
--- Makes this pool, which nothing was acquired of yet, the one that all Lua states
--- of the process have under (name, provider); or becomes one with that where there
--- is one with the same keys and limits. kept: a journal is to be attached next. true, or
--- nil, err (code "differs").
function pool:share(name, kept) end
--- The models for which some key of the pool under that name has limits of its own.
---@return string[]
function pool:lined_models(name) end
--- Whether another pool has the same keys in use, limits and strategies.
function pool:same(other) end
--- Whether nobody else is attached to it: its keys and limits may be changed then,
--- until `release`, and nobody comes meanwhile.
function pool:claim() end
function pool:release() end
--- Charges one request and `tokens` on a key with room. lease, or nil, err:
--- code limited | impossible | no_key | not_found | closed; retry_after
--- (seconds, nil when an event decides), limit (name), max, window (its seconds,
--- where the name does not say).
---@param key? integer tried first; with pin the only one
---@param not_key? integer used only when no other will do
---@param affinity? string the same key for the same text, while it has room
---@param input? integer how many of the tokens are input; the rest is output
---@param made? boolean it was made with `key` already: charged to that key, whatever
--- limits, state and queue say
---@return keycycle.core.lease?, table? err
function pool:acquire(model, tokens, key, pin, not_key, affinity, input, made) end
--- Queues for a key. opts: key, pin, not_key, affinity, input, priority (0-7), timeout
--- (seconds of the pool's clock). A waiter, ready at once where a key was free; or nil,
--- err: limited (with retry_after: no key in time), queue_full, impossible,
--- no_key, not_found, closed.
---@return keycycle.core.waiter?, table? err
function pool:wait(model, tokens, opts) end
--- Whether (model, tokens) could be served now (by that key alone): true, or nil,
--- err as of acquire, without those who wait.
function pool:explain(model, tokens, key) end
--- Seconds until (model, tokens) could be served: 0 now, math.huge when only an
--- event can tell; or nil, err (impossible, no_key).
function pool:next_available(model, tokens, key) end
--- Begins (or, with false, ends) to keep events; the serial to read on from.
---@return integer? serial, table? err
function pool:listen(on) end
--- The event at `serial`: the next serial, and { event, at, key_index, from, model,
--- reason, until_at, amount, lost }; nothing when there is none yet.
function pool:event(serial) end
--- After a 429: puts the key (model nil) or the key for that model away.
--- delay nil: unknown, escalates by itself. Returns until_at.
function pool:cool(key, model, delay, reason) end
--- Auth was refused: suspended for `seconds`, then probed; again: invalid.
function pool:suspend(key, seconds, reason) end
function pool:unpaid(key, reason) end
function pool:disable(key) end
function pool:enable(key) end
function pool:force_rotate() end
--- { rpm, rph, rpd, tpm, tph, tpd, total_requests, total_tokens, in_flight } of
--- key (0: all) and model (nil: all); nil for an index never given.
function pool:snapshot(key, model) end
--- Names of the models ever used.
function pool:models() end
--- How many wait in the queue, and for how many seconds the first one does.
function pool:waiting() end
--- Blacks the key `index` (nil: every key of the pool) out of text.
function pool:redact(text, index) end
function pool:now() end
--- What tells its leases: their `pool_id`.
---@return lightuserdata
function pool:id() end
function pool:clock_is_manual() end
--- Ends it: waiters are refused ("closed"), so is every later acquire. Leases that
--- are out may still be settled. Idempotent. Whether it was there still: a finalizer
--- may close what is collected.
function pool:close() end

---@class keycycle.core.waiter: keycycle.core.waitable
local waiter = {}
--- Once ready: the lease, or nil, err. Once only.
function waiter:take() end
--- Leaves the queue; a lease not taken is given back.
function waiter:close() end

--- Fields: api_key, index, suffix, params (a fresh table of the key's extra
--- parameters), provider, model, settled (boolean), tokens (reserved), pool_id (as
--- pool:id). It is closable and collectable: then settled as unknown. `core.lease_methods` is
--- its method table; the library adds `headers` and `fail`.
---@class keycycle.core.lease
local lease = {}
core.lease_methods = lease
--- The truth: total tokens, or { input_tokens, output_tokens, total_tokens }, or
--- nothing (the reservation was right). With counted_tokens (and among these
--- counted_input_tokens) in that table, the limits count them and not the total.
--- Raises when settled already.
function lease:commit(usage) end
--- The provider has counted the request: from now it ages.
function lease:stamp() end
--- Takes in a rate-limit header: window "minute"|"hour"|"day", unit "requests"|
--- "tokens", of a minute "input"|"output" too, limit and remaining (nil: not told).
--- true, or nil, err (stale).
function lease:observe(window, unit, limit, remaining) end
--- Its key shares one quota from now with all that were joined under `name`, unless
--- it has a group of its own. Returns whether that is new; or nil, err.
function lease:join(name) end
--- Never sent: all is given back; { sent = true }: stays counted. Raises when
--- settled already.
function lease:cancel(opts) end
--- The provider said no: the request counts, its tokens do not; `free`: it counts
--- in total_requests alone. Raises as above.
function lease:refuse(free) end
--- Settles as unknown what is not settled yet. Idempotent.
function lease:close() end
--- Puts the lease's key away for `seconds` (nil: nobody said how long), for its
--- model, or, with `whole_key` or where limits are all models', for every one; of a
--- key with a group, all its group.
function lease:cooldown(seconds, whole_key, reason) end
--- As pool:suspend and pool:unpaid, for the lease's key.
function lease:suspend(seconds, reason) end
function lease:unpaid(reason) end

--- ONE attempt over the transport. spec: method, url, headers = list of
--- { name, value }, auth = { header=, value= } | { query=, value= } (`{api_key}`
--- is filled in here and only here), body (string), stream (boolean: SSE or NDJSON is
--- read as events), lines (boolean: a stream is NDJSON whatever its type), lease
--- (optional; its key fills the templates `{param}` in url and header values),
--- allow_insecure, and seconds: connect_timeout, request_timeout (whole answer;
--- of a stream: until the first event), idle_timeout, deadline_timeout (the
--- whole, streams too); max_body, max_event (bytes); raw (boolean: the answer as the
--- server sends it: no redirect is followed, nothing decoded; `piece` takes its body, and
--- idle_timeout holds between two pieces), transport (nil: the host's in C, or libcurl).
--- nil, err before anything is sent: bad_url, insecure (http:// to a host that
--- is not loopback, with auth, without allow_insecure), invalid.
---@return keycycle.core.call?, table? err
function core.call(spec) end

---@class keycycle.core.call: keycycle.core.waitable
--- ready(): the answer or its failure is complete; of an event stream: an event
--- can be taken, or it ended; of a raw one: a piece can, or it ended.
local call = {}
function call:done() end
--- The status, or nil while there is none.
function call:status() end
--- Lower-case names to values (several fields joined by ", ").
function call:headers() end
function call:header(name) end
--- What is not events, as it came; of a status of 400 or more, and of any
--- failure, with the key blacked out.
function call:body() end
--- What came of a raw answer's body since the last time, as it came: a key that it may
--- hold is not blacked out. nil: nothing.
---@return string?
function call:piece() end
--- The first line of a raw answer, "HTTP/1.1 404 Not Found".
---@return string?
function call:status_line() end
--- nil, or { code, message } once it failed: resolve connect tls cut garbage
--- too_large timeout (message says which), no_memory.
function call:error() end
function call:is_events() end
--- type, data; or nil, "again" | "end". The key is blacked out of data only by
--- pool:redact.
function call:event() end
--- Whether the request has left, at least in part.
function call:sent() end
--- How often it has: more than once where a kept connection turned out to be dead.
function call:sends() end
--- Stops it without blocking. Its lease is not settled: the caller does that
--- (a lease that is forgotten is settled as unknown by its own collection).
function call:close() end

---@class keycycle.core.box
local box = {}
--- A Lua state apart, for users' scripts. opts: memory (bytes, default 16 MiB), and for each
--- entry (one run or call): budget (VM instructions, default 2,000,000; costly library calls
--- count as many) and seconds (of the thread's CPU time, default 0.05). A script that spends
--- more, is refused memory, allocates 64 MiB in one entry or keeps more than a quarter of the memory
--- ends the box: it answers "closed" from then on. nil, err (no_memory) when there is none.
---@return keycycle.core.box?, table? err
function core.box(opts) end
--- Whether a Lua pattern matches anywhere in a text, and how many of the steps that it may take
--- are left. Raises for a malformed pattern and when it takes more.
---@param text string
---@param pattern string
---@param steps integer
---@return boolean matches, integer left
function core.match(text, pattern, steps) end
--- Runs a text (no bytecode, 256 KiB at most) as a chunk with globals of its own, and `env`'s
--- plain values among them. true, value, kind; or false, err. The value is copied; each Lua
--- function in it becomes a hook. kind: "provider" | "policy" | "limits" where the chunk
--- returned what keycycle.provider, keycycle.policy or keycycle.RateLimits gave it, else nil.
--- err: { code, message, file, line }, code script (it raised, or is no Lua), value (what it
--- returned cannot be copied), budget, memory, closed.
---@param chunkname? string "@file", as `load` takes it
---@param env? table
function box:run(text, chunkname, env) end
--- Whether it takes calls still.
---@return boolean
function box:is_open() end
--- Of the last entry: { instructions, bytes (allocated in all), memory (held now) }.
function box:spent() end
--- Ends it and its hooks. Idempotent.
function box:close() end

---@class keycycle.core.hook
local hook = {}
--- Calls the script's function: true, values…; or false, err as of box:run. What crosses, both
--- ways, is copied without metamethods: nil, booleans, numbers, strings, tables of them as trees
--- 64 deep, 100,000 keys and values, 4 MiB; json.null is left out. Else, and for functions: code
--- "value".
function hook:call(...) end
--- The same, but what the function made of its last argument (a copy crosses) comes before
--- its values: true, argument, values…; or false, err.
function hook:call_keep(...) end

return core
