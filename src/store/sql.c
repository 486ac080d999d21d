/* sql.c -- pieces of statements that several files need; see store_impl.h. */
#include "store/store_impl.h"

#include <string.h>

const char *const kc_used_columns[KC_USED_LEN] = {
    "requests", "input",          "output",       "total",
    "counted",  "counted_tokens", "counted_input"};

int kc_sql_overwrite(struct kc_buf *sql, const struct kc_dialect *d,
                     const char *const *columns, size_t n)
{
    int err = kc_buf_addstr(sql, d->on_conflict);
    for (size_t i = 0; err == KC_OK && i < n; i++)
        err = kc_buf_addf(sql, "%s%s = %s%s%s", i ? ", " : "", columns[i],
                          d->proposed_head, columns[i], d->proposed_tail);
    return err;
}

int kc_sql_add_up(struct kc_buf *sql, const struct kc_dialect *d,
                  const char *table)
{
    const char *head = d->proposed_head, *tail = d->proposed_tail;
    int err = kc_buf_addf(sql,
                          "%slast_ms = CASE WHEN %s.last_ms > %slast_ms%s"
                          " THEN %s.last_ms ELSE %slast_ms%s END",
                          d->on_conflict, table, head, tail, table, head, tail);
    for (size_t i = 0; err == KC_OK && i < KC_USED_LEN; i++) {
        const char *c = kc_used_columns[i];
        err = kc_buf_addf(sql, ", %s = %s.%s + %s%s%s", c, table, c, head, c,
                          tail);
    }
    return err;
}

int kc_sql_used(struct kc_buf *sql, const struct kc_used *u)
{
    const uint64_t counts[KC_USED_LEN] = {
        u->requests, u->input,          u->output,       u->total,
        u->counted,  u->counted_tokens, u->counted_input};
    int err = KC_OK;
    for (size_t i = 0; err == KC_OK && i < KC_USED_LEN; i++)
        err = kc_buf_addf(sql, ",%lld", (long long)kc_sql_count(counts[i]));
    return err;
}

void kc_used_from(const struct kc_value *v, struct kc_used *out)
{
    *out = (struct kc_used){.requests = kc_from_sql(&v[0]),
                            .input = kc_from_sql(&v[1]),
                            .output = kc_from_sql(&v[2]),
                            .total = kc_from_sql(&v[3]),
                            .counted = kc_from_sql(&v[4]),
                            .counted_tokens = kc_from_sql(&v[5]),
                            .counted_input = kc_from_sql(&v[6])};
}
