/* Blocks of the LZ4 format, and bytes that are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "util/embed.h"
#include "util/lz4.h"

/* As `lz4 -9` of lz4 1.9.4 packs it: matches near and far, one that overlaps
 * itself, lengths that go on behind their token. */
static const char text[] =
    "keycycle rotates keys; keycycle counts tokens; keycycle rotates keys "
    "again, aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, and that is all.\n";
static const unsigned char block[] = {
    0xf5, 0x08, 0x6b, 0x65, 0x79, 0x63, 0x79, 0x63, 0x6c, 0x65, 0x20, 0x72,
    0x6f, 0x74, 0x61, 0x74, 0x65, 0x73, 0x20, 0x6b, 0x65, 0x79, 0x73, 0x3b,
    0x20, 0x17, 0x00, 0xc8, 0x63, 0x6f, 0x75, 0x6e, 0x74, 0x73, 0x20, 0x74,
    0x6f, 0x6b, 0x65, 0x6e, 0x18, 0x00, 0x08, 0x2f, 0x00, 0x9f, 0x20, 0x61,
    0x67, 0x61, 0x69, 0x6e, 0x2c, 0x20, 0x61, 0x01, 0x00, 0x0e, 0xf0, 0x04,
    0x2c, 0x20, 0x61, 0x6e, 0x64, 0x20, 0x74, 0x68, 0x61, 0x74, 0x20, 0x69,
    0x73, 0x20, 0x61, 0x6c, 0x6c, 0x2e, 0x0a,
};
#define LEN (sizeof text - 1)

/* Both are on the heap and no larger than told: the sanitizer sees a byte
 * beyond either. */
static int decode(const void *in, size_t size, size_t len, const char *expected)
{
    unsigned char *from = malloc(size + 1);
    char *to = malloc(len + 1);
    assert_true(from && to);
    from = realloc(from, size ? size : 1);
    to = realloc(to, len ? len : 1);
    assert_true(from && to);
    memcpy(from, in, size);
    int err = kc_lz4_decode(from, size, to, len);
    if (!err && expected)
        assert_memory_equal(to, expected, len);
    free(from);
    free(to);
    return err;
}

static void a_block_of_another_packer_is_read(void **state)
{
    (void)state;
    assert_int_equal(decode(block, sizeof block, LEN, text), KC_OK);
}

static void the_smallest_blocks_are_read(void **state)
{
    (void)state;
    assert_int_equal(decode("\0", 1, 0, ""), KC_OK);
    assert_int_equal(decode("\x10"
                            "a",
                            2, 1, "a"),
                     KC_OK);
    /* "a", then ten from one byte back, then nothing */
    assert_int_equal(decode("\x16"
                            "a\1\0\0",
                            5, 11, "aaaaaaaaaaa"),
                     KC_OK);
    /* 15 and none more */
    assert_int_equal(decode("\xf0\0"
                            "123456789012345",
                            17, 15, "123456789012345"),
                     KC_OK);
}

static void another_length_is_refused(void **state)
{
    (void)state;
    for (size_t len = 0; len < LEN + 300; len++) {
        int err = len == LEN ? KC_OK : KC_ECORRUPT;
        assert_int_equal(decode(block, sizeof block, len, text), err);
    }
}

static void what_is_cut_is_refused(void **state)
{
    (void)state;
    for (size_t size = 0; size < sizeof block; size++)
        assert_int_equal(decode(block, size, LEN, NULL), KC_ECORRUPT);
}

static void a_changed_byte_harms_nobody(void **state)
{
    (void)state;
    unsigned char changed[sizeof block];
    int refused = 0;
    for (size_t at = 0; at < sizeof block; at++) {
        for (int byte = 0; byte < 256; byte++) {
            memcpy(changed, block, sizeof block);
            changed[at] = (unsigned char)byte;
            refused += decode(changed, sizeof block, LEN, NULL) != KC_OK;
        }
    }
    assert_true(refused > 0);
}

static void what_no_packer_writes_is_refused(void **state)
{
    static const struct {
        const char *in;
        size_t size;
    } odd[] = {
        {"", 0}, /* nothing at all */
        {"\x16"
         "a\0\0\0",
         5}, /* from no byte back */
        {"\x16"
         "a\2\0\0",
         5}, /* from before the text */
        {"\x16"
         "a\1",
         3}, /* half an offset */
        {"\x16"
         "a\1\0",
         4}, /* a match is the last */
        {"\x1f"
         "a\1\0\xff\xff",
         6},                         /* a length without end */
        {"\xf0\xff\xff\xff\xff", 5}, /* the same of plain bytes */
        {"\x05", 1},                 /* a match of nothing */
    };
    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        assert_int_equal(decode(odd[i].in, odd[i].size, 11, NULL), KC_ECORRUPT);
}

static void a_text_is_unpacked_with_a_nul_behind_it(void **state)
{
    (void)state;
    struct kc_text t = {.name = "t.lua",
                        .packed = block,
                        .packed_len = sizeof block,
                        .len = LEN};
    char *unpacked;
    assert_int_equal(kc_text_unpack(&t, &unpacked), KC_OK);
    assert_string_equal(unpacked, text);
    free(unpacked);
    t.packed_len--;
    assert_int_equal(kc_text_unpack(&t, &unpacked), KC_ECORRUPT);
    assert_null(unpacked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_of_another_packer_is_read),
        cmocka_unit_test(the_smallest_blocks_are_read),
        cmocka_unit_test(another_length_is_refused),
        cmocka_unit_test(what_is_cut_is_refused),
        cmocka_unit_test(a_changed_byte_harms_nobody),
        cmocka_unit_test(what_no_packer_writes_is_refused),
        cmocka_unit_test(a_text_is_unpacked_with_a_nul_behind_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
