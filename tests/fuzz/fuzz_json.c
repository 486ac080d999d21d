/* What decodes encodes again, and that text decodes to the same text. */
#include "fuzz/fuzz.h"
#include "fuzz/fuzz_lua.h"

static const char chunk[] =
    "local json = require 'keycycle.core'.json\n"
    "return function(bytes)\n"
    "  local value, why = json.decode(bytes)\n"
    "  if value == nil then assert(type(why) == 'string'); return end\n"
    "  local text = assert(json.encode(value))\n"
    "  assert(utf8.len(text), 'not UTF-8')\n"
    "  assert(not text:find('%c'), 'a control character')\n"
    "  local again, bad = json.decode(text)\n"
    "  assert(again ~= nil, bad)\n"
    "  if type(value) ~= 'table' then assert(again == value, text) end\n"
    "  local second = assert(json.encode(again))\n"
    "  assert(#second == #text, text .. ' / ' .. second)\n"
    "end\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    fuzz_feed(chunk, data, n);
    return 0;
}
