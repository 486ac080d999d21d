/* No answer of a provider makes the classifier raise or wait for more than a
 * day. The bytes: a status, a Retry-After up to the line's end, a body. */
#include "fuzz/fuzz.h"
#include "fuzz/fuzz_lua.h"

static const char chunk[] =
    "local keycycle = require 'keycycle'\n"
    "local kinds = {}\n"
    "for kind in ([[temporary overloaded server quota auth payment\n"
    "  invalid_request context_length request_too_large content_policy\n"
    "  not_found permission_region]]):gmatch '%S+' do kinds[kind] = true end\n"
    "local names = { 'openai', 'groq', 'nobody' }\n"
    "return function(bytes)\n"
    "  local status = bytes:byte(1) and bytes:byte(1) * 4 or 0\n"
    "  local delay, body = bytes:match '^.?([^\\n]*)\\n?(.*)$'\n"
    "  for _, name in ipairs(names) do\n"
    "    local verdict = keycycle.classify(name, { status = status,\n"
    "      headers = { ['Retry-After'] = delay }, body = body })\n"
    "    assert(kinds[verdict.kind], tostring(verdict.kind))\n"
    "    local after = verdict.retry_after\n"
    "    assert(not after or after >= 0 and after <= 86400, tostring(after))\n"
    "  end\n"
    "end\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    fuzz_feed(chunk, data, n);
    return 0;
}
