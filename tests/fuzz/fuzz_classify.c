/* No answer of a provider makes the classifier raise or wait for more than a
 * day, or the message of one too long. The bytes: a status, a provider and a
 * form, header lines up to an empty one, a body. */
#include "fuzz/fuzz.h"
#include "fuzz/fuzz_lua.h"

static const char chunk[] =
    "local keycycle = require 'keycycle'\n"
    "local error_body = require 'keycycle.refusal.body'\n"
    "local provider = require 'keycycle.provider'\n"
    "local rules = require 'keycycle.refusal.rules'\n"
    "local names = provider.names()\n"
    "names[#names + 1] = 'nobody'\n"
    "local statuses = { 400, 401, 402, 403, 404, 413, 429, 500, 502, 503, 529,\n"
    "  200, 302, 0 }\n"
    "local encode = keycycle.json.encode\n"
    "local forms = {\n"
    "  function(body) return body end,\n"
    "  function(body) return 'event: error\\ndata: ' .. body .. '\\n\\n' end,\n"
    "  function(body) return '<html><title>' .. body end,\n"
    "  function(body) return 'Error code: 429 - ' .. body end,\n"
    "  function(body) return { error = { message = body } } end,\n"
    "  function(body)\n"
    "    if not utf8.len(body) or body:find '\\0' then return body end\n"
    "    return encode { error = { message = 'm', metadata = { raw = body } } }\n"
    "  end,\n"
    "}\n"
    "local function read_headers(text)\n"
    "  local headers = {}\n"
    "  for name, value in text:gmatch '([^\\n:]+): ?([^\\n]*)' do\n"
    "    headers[name] = value\n"
    "  end\n"
    "  return headers\n"
    "end\n"
    "return function(bytes)\n"
    "  local a, b, c = bytes:byte(1, 3)\n"
    "  if not c then return end\n"
    "  local status = statuses[a % #statuses + 1]\n"
    "  local rest = bytes:sub(4)\n"
    "  local head, body = rest:match '^(.-)\\n\\n(.*)$'\n"
    "  body = forms[c % #forms + 1](body or rest)\n"
    "  local verdict = keycycle.classify(names[b % #names + 1], {\n"
    "    status = status > 0 and status or nil,\n"
    "    headers = read_headers(head or ''), body = body })\n"
    "  assert(rules.kinds[verdict.kind], tostring(verdict.kind))\n"
    "  assert(rules.scopes[verdict.scope], tostring(verdict.scope))\n"
    "  local window = verdict.window\n"
    "  assert(not window or rules.windows[window], tostring(window))\n"
    "  local after = verdict.retry_after\n"
    "  assert(not after or after >= 0 and after <= 86400, tostring(after))\n"
    "  local reset = verdict.reset_after\n"
    "  assert(not reset or reset > 0 and reset <= 32 * 86400, tostring(reset))\n"
    "  local message = error_body.message(body)\n"
    "  assert(not message or #message <= 520, message)\n"
    "end\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    fuzz_feed(chunk, data, n);
    return 0;
}
