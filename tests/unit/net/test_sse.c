/* Server-sent events: every shape of line, every boundary of a chunk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "net/sse.h"

/* Events as text: "type|data" and a newline each. */
static int note(void *ctx, const struct kc_sse_event *event)
{
    struct kc_buf *out = ctx;
    int err = kc_buf_addf(out, "%s|", event->type);
    if (err == KC_OK)
        err = kc_buf_add(out, event->data, event->len);
    return err == KC_OK ? kc_buf_addch(out, '\n') : err;
}

static void read_in_pieces(const char *text, size_t len, size_t piece,
                           struct kc_buf *out)
{
    struct kc_sse s;
    kc_sse_init(&s, 1024);
    for (size_t at = 0; at < len; at += piece) {
        size_t n = len - at < piece ? len - at : piece;
        assert_int_equal(kc_sse_feed(&s, text + at, n, note, out), KC_OK);
    }
    assert_int_equal(kc_sse_finish(&s, note, out), KC_OK);
    kc_sse_deinit(&s);
}

static void expect_bytes(const char *text, size_t len, const char *events)
{
    for (size_t piece = 1; piece <= len; piece++) {
        struct kc_buf out;
        kc_buf_init(&out, 4096);
        read_in_pieces(text, len, piece, &out);
        assert_string_equal(kc_buf_str(&out), events);
        kc_buf_deinit(&out);
    }
}

static void expect(const char *text, const char *events)
{
    expect_bytes(text, strlen(text), events);
}

static void lines_end_in_lf_crlf_or_cr(void **state)
{
    (void)state;
    expect("data: a\n\ndata: b\n\n", "message|a\nmessage|b\n");
    expect("data: a\r\n\r\ndata: b\r\n\r\n", "message|a\nmessage|b\n");
    expect("data: a\r\rdata: b\r\r", "message|a\nmessage|b\n");
    expect("data: a\r\n\ndata: b\n\r\n", "message|a\nmessage|b\n");
}

static void several_data_lines_are_one_event(void **state)
{
    (void)state;
    expect("data: {\ndata:  \"a\"\ndata:}\n\n", "message|{\n \"a\"\n}\n");
    expect("data\n\n", "message|\n");
    expect("data:\ndata:\n\n", "message|\n\n");
}

static void comments_and_other_fields_are_skipped(void **state)
{
    (void)state;
    expect(": keep-alive\n\n:\n\nid: 5\nretry: 10\nunknown: x\ndata: a\n\n",
           "message|a\n");
    expect("event: ping\n\ndata: a\n\n", "message|a\n");
}

static void events_have_types(void **state)
{
    (void)state;
    expect("event: delta\ndata: 1\n\ndata: 2\n\n", "delta|1\nmessage|2\n");
}

static void a_bom_at_the_start_is_no_data(void **state)
{
    (void)state;
    expect("\xef\xbb\xbf"
           "data: a\n\n",
           "message|a\n");
    /* Two of its bytes are text like any other. */
    expect("\xef\xbb: x\ndata: a\n\n", "message|a\n");
    expect("data: \xef\xbb\xbf\n\n", "message|\xef\xbb\xbf\n");
}

static void a_last_event_without_its_empty_line_is_kept(void **state)
{
    (void)state;
    expect("data: a\n\ndata: [DONE]", "message|a\nmessage|[DONE]\n");
    expect("data: a\n", "message|a\n");
    expect("", "");
}

static void data_may_hold_a_nul(void **state)
{
    (void)state;
    struct kc_buf out;
    kc_buf_init(&out, 64);
    read_in_pieces("data: a\0b\n\n", 11, 4, &out);
    assert_int_equal(out.len, 12);
    assert_memory_equal(out.data, "message|a\0b\n", 12);
    kc_buf_deinit(&out);
}

static void a_line_or_event_without_end_is_too_large(void **state)
{
    (void)state;
    struct kc_sse s;
    struct kc_buf out;
    int err = KC_OK;
    kc_buf_init(&out, 1 << 20);
    kc_sse_init(&s, 100);
    assert_int_equal(kc_sse_feed(&s, "data: ", 6, note, &out), KC_OK);
    for (int i = 0; i < 100 && err == KC_OK; i++)
        err = kc_sse_feed(&s, "xxxx", 4, note, &out);
    assert_int_equal(err, KC_ETOOLARGE);
    kc_sse_deinit(&s);
    kc_sse_init(&s, 100);
    err = KC_OK;
    for (int i = 0; i < 100 && err == KC_OK; i++)
        err = kc_sse_feed(&s, "data: xxxx\n", 11, note, &out);
    assert_int_equal(err, KC_ETOOLARGE);
    assert_int_equal(out.len, 0);
    kc_sse_deinit(&s);
    kc_buf_deinit(&out);
}

static int refuse(void *ctx, const struct kc_sse_event *event)
{
    (void)ctx;
    (void)event;
    return KC_ECANCELLED;
}

static void the_readers_refusal_stops_the_feed(void **state)
{
    (void)state;
    struct kc_sse s;
    kc_sse_init(&s, 100);
    assert_int_equal(kc_sse_feed(&s, "data: a\n\n", 9, refuse, NULL),
                     KC_ECANCELLED);
    kc_sse_deinit(&s);
}

static void lines_of_json_are_events_each(void **state)
{
    (void)state;
    static const char text[] = "{\"a\":1}\r\n\n  \ndata: 2\n{\"b\":3}";
    for (size_t piece = 1; piece <= sizeof text; piece++) {
        struct kc_buf out;
        struct kc_sse s;
        kc_buf_init(&out, 1000);
        kc_sse_init(&s, 100);
        s.lines = true;
        for (size_t i = 0; i < sizeof text - 1; i += piece) {
            size_t left = sizeof text - 1 - i;
            assert_int_equal(kc_sse_feed(&s, text + i,
                                         left < piece ? left : piece, note,
                                         &out),
                             KC_OK);
        }
        assert_int_equal(kc_sse_finish(&s, note, &out), KC_OK);
        assert_string_equal(kc_buf_str(&out),
                            "message|{\"a\":1}\nmessage|data: 2\n"
                            "message|{\"b\":3}\n");
        kc_sse_deinit(&s);
        kc_buf_deinit(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_end_in_lf_crlf_or_cr),
        cmocka_unit_test(several_data_lines_are_one_event),
        cmocka_unit_test(comments_and_other_fields_are_skipped),
        cmocka_unit_test(events_have_types),
        cmocka_unit_test(a_bom_at_the_start_is_no_data),
        cmocka_unit_test(a_last_event_without_its_empty_line_is_kept),
        cmocka_unit_test(data_may_hold_a_nul),
        cmocka_unit_test(a_line_or_event_without_end_is_too_large),
        cmocka_unit_test(the_readers_refusal_stops_the_feed),
        cmocka_unit_test(lines_of_json_are_events_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
