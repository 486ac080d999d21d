/* What a store is told of one (key, model): nothing twice, nothing never. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/tally.h"

#define START_MS UINT64_C(1767225600000) /* 2026-01-01, a whole day */
#define MINUTE_MS UINT64_C(60000)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)
#define MOST 1000

static struct kc_tally *new_tally(void)
{
    struct kc_tally *t;
    assert_int_equal(kc_tally_new("hash", "m", &t), KC_OK);
    return t;
}

static void settle(struct kc_tally *t, uint64_t now, uint64_t tokens)
{
    kc_tally_hold(t, now, tokens, 0);
    kc_tally_release(t, now, tokens, 0);
    struct kc_used *used = kc_tally_use(t, now);
    used->requests++;
    used->total += tokens;
}

static struct kc_use_news one_piece(struct kc_tally *t)
{
    struct kc_use_news news[2];
    assert_int_equal(kc_tally_collect(t, news, 2), 1);
    return news[0];
}

static void end(struct kc_tally *t, const struct kc_use_news *news,
                enum kc_news_end how)
{
    kc_tally_collected(t, news, how);
}

static void a_cell_grows_while_its_span_runs(void **state)
{
    (void)state;
    struct kc_tally *t = new_tally();
    settle(t, START_MS + 500, 10);
    settle(t, START_MS + 1999, 20);
    struct kc_use_news n = one_piece(t);
    assert_int_equal(n.start_ms, START_MS);
    assert_int_equal(n.span_ms, KC_SPAN_MS);
    assert_int_equal(n.last_ms, START_MS + 2000);
    assert_int_equal(n.used.requests, 2);
    assert_int_equal(n.used.total, 30);
    assert_int_equal(n.sum.total, 30);
    assert_string_equal(n.key, "hash");
    assert_string_equal(n.model, "m");
    end(t, &n, KC_NEWS_WRITTEN);
    settle(t, START_MS + 2000, 5);
    n = one_piece(t);
    assert_int_equal(n.start_ms, START_MS + 2000);
    assert_int_equal(n.used.total, 5);
    assert_int_equal(n.sum.total, 35);
    end(t, &n, KC_NEWS_WRITTEN);
    assert_false(kc_tally_has_news(t));
    assert_int_equal(kc_tally_unwritten(t), 0);
    kc_tally_free(t);
}

static void what_comes_while_a_cell_is_out_is_news_again(void **state)
{
    (void)state;
    struct kc_tally *t = new_tally();
    struct kc_use_news n, more[4];
    settle(t, START_MS, 10);
    n = one_piece(t);
    assert_false(kc_tally_has_news(t));
    settle(t, START_MS + 1, 20);
    assert_int_equal(kc_tally_collect(t, more, 4), 0); /* it is out */
    settle(t, START_MS + 2000, 40);
    end(t, &n, KC_NEWS_WRITTEN);
    assert_int_equal(kc_tally_unwritten(t), 2);
    assert_int_equal(kc_tally_collect(t, more, 4), 2);
    assert_int_equal(more[0].start_ms, START_MS);
    assert_int_equal(more[0].used.total, 30); /* it overwrites */
    assert_int_equal(more[1].used.total, 40);
    assert_int_equal(more[1].sum.total, 70);
    kc_tally_free(t);
}

static void what_is_held_is_told_without_a_span(void **state)
{
    (void)state;
    struct kc_tally *t = new_tally();
    kc_tally_hold(t, START_MS, 100, 60);
    struct kc_use_news n = one_piece(t);
    assert_int_equal(n.span_ms, 0);
    assert_int_equal(n.held.requests, 1);
    assert_int_equal(n.held.tokens, 100);
    assert_int_equal(n.held.input, 60);
    assert_int_equal(n.sum.requests, 0);
    assert_int_equal(n.sum_last_ms, START_MS);
    end(t, &n, KC_NEWS_FAILED);
    assert_int_equal(kc_tally_unwritten(t), 1);
    n = one_piece(t);
    end(t, &n, KC_NEWS_WRITTEN);
    assert_int_equal(kc_tally_unwritten(t), 0);
    kc_tally_release(t, START_MS + 5, 100, 60);
    n = one_piece(t);
    assert_int_equal(n.span_ms, 0);
    assert_int_equal(n.held.requests + n.held.tokens + n.held.input, 0);
    kc_tally_free(t);
}

static void what_is_refused_is_never_news_again(void **state)
{
    (void)state;
    struct kc_tally *t = new_tally();
    struct kc_use_news news[4];
    settle(t, START_MS, 1);
    settle(t, START_MS + 2000, 2);
    assert_int_equal(kc_tally_collect(t, news, 4), 2);
    settle(t, START_MS + 4000, 3);
    end(t, &news[0], KC_NEWS_REFUSED);
    end(t, &news[1], KC_NEWS_REFUSED);
    settle(t, START_MS + 6000, 4);
    assert_false(kc_tally_has_news(t));
    assert_int_equal(kc_tally_unwritten(t), 0);
    assert_int_equal(kc_tally_collect(t, news, 4), 0);
    assert_int_equal(kc_tally_settled_ms(t, START_MS + 6000),
                     START_MS + 6000);
    kc_tally_free(t);
}

/* Collects everything and looks at it: in order, nothing overlapping, nothing
 * lost, no instant before what counted then. */
static size_t check_all(struct kc_tally *t, struct kc_use_news *news,
                        size_t max, uint64_t total)
{
    size_t n = 0, got;
    uint64_t sum = 0, end_ms = 0;
    while ((got = kc_tally_collect(t, news + n, max - n)) > 0) {
        for (size_t i = n; i < n + got; i++)
            end(t, &news[i], KC_NEWS_WRITTEN);
        n += got;
    }
    for (size_t i = 0; i < n; i++) {
        assert_true(news[i].start_ms >= end_ms);
        assert_true(news[i].last_ms > news[i].start_ms);
        assert_true(news[i].last_ms <= news[i].start_ms + news[i].span_ms);
        end_ms = news[i].start_ms + news[i].span_ms;
        sum += news[i].used.total;
    }
    assert_int_equal(sum, total);
    if (n > 0)
        assert_int_equal(news[n - 1].sum.total, total);
    return n;
}

static void an_outage_of_days_costs_few_cells(void **state)
{
    (void)state;
    static struct kc_use_news news[MOST];
    struct kc_tally *t = new_tally();
    uint64_t now = START_MS + 12345, total = 0;
    for (; now < START_MS + 12 * DAY_MS; now += 1700) {
        settle(t, now, 1);
        total++;
        assert_true(t->waiting < 300);
    }
    /* Nothing of what waits is out of the store's reach. */
    assert_int_equal(kc_tally_settled_ms(t, now), START_MS + 12000);
    size_t n = check_all(t, news, MOST, total);
    assert_in_range(n, 200, 260); /* 60 spans, 120 minutes, 48 hours, days */
    assert_int_equal(news[1].start_ms % DAY_MS, 0);
    assert_int_equal(news[1].span_ms, DAY_MS);
    assert_int_equal(news[n - 1].span_ms, KC_SPAN_MS);
    kc_tally_free(t);
}

static void a_cell_that_may_be_written_stays_as_it_is(void **state)
{
    (void)state;
    static struct kc_use_news news[MOST];
    struct kc_use_news first[4];
    struct kc_tally *t = new_tally();
    uint64_t total = 0;
    for (uint64_t i = 0; i < 3; i++, total++)
        settle(t, START_MS + i * 2000, 1);
    assert_int_equal(kc_tally_collect(t, first, 3), 3);
    end(t, &first[0], KC_NEWS_FAILED);
    end(t, &first[1], KC_NEWS_DOUBTFUL);
    end(t, &first[2], KC_NEWS_FAILED);
    for (uint64_t i = 3; i < 2000; i++, total++)
        settle(t, START_MS + i * 2000, 1);
    size_t n = check_all(t, news, MOST, total);
    assert_true(n < 200);
    assert_int_equal(news[0].start_ms, START_MS);
    assert_int_equal(news[0].span_ms, KC_SPAN_MS);
    assert_int_equal(news[1].start_ms, START_MS + 2000);
    assert_int_equal(news[1].span_ms, KC_SPAN_MS);
    assert_int_equal(news[1].used.total, 1);
    assert_int_equal(news[2].start_ms, START_MS + 4000);
    assert_int_equal(news[2].span_ms, MINUTE_MS - 4000);
    kc_tally_free(t);
}

static void a_store_that_dies_at_each_commit_costs_few_cells(void **state)
{
    (void)state;
    static struct kc_use_news news[MOST];
    struct kc_tally *t = new_tally();
    uint64_t now = START_MS, total = 0;
    for (; now < START_MS + 3 * DAY_MS; now += 2000, total++) {
        settle(t, now, 1);
        if (now % 30000 != 0)
            continue;
        size_t n = kc_tally_collect(t, news, MOST);
        assert_true(n <= KC_TALLY_CELLS);
        for (size_t i = 0; i < n; i++)
            end(t, &news[i], KC_NEWS_DOUBTFUL);
        assert_true(t->waiting < 64 + 300);
    }
    check_all(t, news, MOST, total);
    assert_int_equal(kc_tally_unwritten(t), 0);
    assert_int_equal(t->waiting, 0);
    kc_tally_free(t);
}

static void another_writer_begins_with_what_was_not_written(void **state)
{
    (void)state;
    struct kc_use_news news[4], n;
    struct kc_tally *t = new_tally();
    settle(t, START_MS, 10);
    n = one_piece(t);
    end(t, &n, KC_NEWS_WRITTEN);
    settle(t, START_MS + 1, 5); /* in the same span */
    settle(t, START_MS + 2000, 7);
    kc_tally_hold(t, START_MS + 2001, 3, 0);
    kc_tally_renew(t);
    assert_int_equal(kc_tally_collect(t, news, 4), 2);
    assert_int_equal(news[0].start_ms, START_MS);
    assert_int_equal(news[0].used.total, 5);
    assert_int_equal(news[0].used.requests, 1);
    assert_int_equal(news[1].used.total, 7);
    assert_int_equal(news[1].sum.total, 12);
    assert_int_equal(news[1].sum.requests, 2);
    end(t, &news[0], KC_NEWS_WRITTEN);
    end(t, &news[1], KC_NEWS_WRITTEN);
    kc_tally_renew(t); /* all is written but what is held */
    n = one_piece(t);
    assert_int_equal(n.span_ms, 0);
    assert_int_equal(n.sum.total, 0);
    assert_int_equal(n.held.tokens, 3);
    end(t, &n, KC_NEWS_WRITTEN);
    settle(t, START_MS + 9000, 1);
    n = one_piece(t);
    assert_int_equal(n.sum.total, 1);
    kc_tally_free(t);
}

static void the_store_may_sum_up_what_began_before_all_news(void **state)
{
    (void)state;
    struct kc_use_news n;
    struct kc_tally *t = new_tally();
    assert_int_equal(kc_tally_settled_ms(t, START_MS), START_MS);
    settle(t, START_MS + 100, 10);
    assert_int_equal(kc_tally_settled_ms(t, START_MS + 4000), START_MS);
    n = one_piece(t);
    assert_int_equal(kc_tally_settled_ms(t, START_MS + 4000), START_MS);
    end(t, &n, KC_NEWS_WRITTEN);
    assert_int_equal(kc_tally_settled_ms(t, START_MS + 4000),
                     START_MS + 4000);
    kc_tally_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cell_grows_while_its_span_runs),
        cmocka_unit_test(what_comes_while_a_cell_is_out_is_news_again),
        cmocka_unit_test(what_is_held_is_told_without_a_span),
        cmocka_unit_test(what_is_refused_is_never_news_again),
        cmocka_unit_test(an_outage_of_days_costs_few_cells),
        cmocka_unit_test(a_cell_that_may_be_written_stays_as_it_is),
        cmocka_unit_test(a_store_that_dies_at_each_commit_costs_few_cells),
        cmocka_unit_test(another_writer_begins_with_what_was_not_written),
        cmocka_unit_test(the_store_may_sum_up_what_began_before_all_news),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
