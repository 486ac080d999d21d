// keycycle.h's pools from C++: owned by smart pointers, used by std::thread.
#include <csetjmp>
#include <cstdarg>
#include <cstddef>
#include <cstdint>

extern "C" {
#include <cmocka.h>
}

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "keycycle.h"

namespace {

struct closer {
    void operator()(keycycle_pool *p) const { keycycle_pool_close(p); }
    void operator()(keycycle_listener *l) const { keycycle_listener_close(l); }
};

using pool_ptr = std::unique_ptr<keycycle_pool, closer>;
using listener_ptr = std::unique_ptr<keycycle_listener, closer>;

pool_ptr open_pool(uint64_t per_day)
{
    keycycle_pool_options options{};
    options.provider = "test";
    options.selection = KEYCYCLE_ROUND_ROBIN;
    options.db_url = "memory:";
    keycycle_pool *made = nullptr;
    assert_int_equal(keycycle_pool_open(&options, &made), KEYCYCLE_OK);
    pool_ptr pool(made);
    for (const std::string text : {"sk-test-one-0001", "sk-test-two-0002"}) {
        keycycle_key key{};
        key.api_key = text.c_str();
        unsigned index = 0;
        assert_int_equal(keycycle_pool_add_key(made, &key, &index),
                         KEYCYCLE_OK);
    }
    keycycle_limits limits;
    keycycle_limits_init(&limits);
    limits.requests_per_day = per_day;
    assert_int_equal(keycycle_pool_set_limits(made, 0, nullptr, &limits),
                     KEYCYCLE_OK);
    return pool;
}

void use(keycycle_pool *pool, int times)
{
    for (int i = 0; i < times; i++) {
        keycycle_request request{};
        request.model = "m";
        request.tokens = 10;
        keycycle_lease lease;
        if (keycycle_pool_wait(pool, &request, KEYCYCLE_NEVER, &lease,
                               nullptr) != KEYCYCLE_OK)
            abort();
        if (keycycle_lease_commit(&lease, 4, 3, 0) != KEYCYCLE_OK)
            abort();
    }
}

void a_pool_serves_threads(void **)
{
    pool_ptr pool = open_pool(200);
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++)
        threads.emplace_back(use, pool.get(), 100);
    for (std::thread &t : threads)
        t.join();
    keycycle_stats stats;
    assert_int_equal(keycycle_pool_stats(pool.get(), 0, "m", &stats),
                     KEYCYCLE_OK);
    assert_int_equal(stats.rpd, 400);
    assert_int_equal(stats.total_tokens, 2800);
    keycycle_request request{};
    keycycle_refusal why;
    request.model = "m";
    assert_int_equal(keycycle_pool_explain(pool.get(), &request, &why),
                     KEYCYCLE_ELIMITED);
    assert_string_equal(why.limit, "requests_per_day");
    assert_int_equal(keycycle_pool_save(pool.get(), KEYCYCLE_NEVER),
                     KEYCYCLE_OK);
}

void a_listener_may_outlive_its_pool(void **)
{
    listener_ptr listener;
    {
        pool_ptr pool = open_pool(KEYCYCLE_UNLIMITED);
        keycycle_listener *made = nullptr;
        assert_int_equal(keycycle_pool_listen(pool.get(), &made), KEYCYCLE_OK);
        listener.reset(made);
        use(pool.get(), 1);
    }
    keycycle_event event;
    assert_int_equal(keycycle_listener_next(listener.get(), 0, &event),
                     KEYCYCLE_OK);
    assert_string_equal(keycycle_event_name(event.type), "acquire");
    assert_int_equal(keycycle_listener_next(listener.get(), 0, &event),
                     KEYCYCLE_ECLOSED);
}

} // namespace

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pool_serves_threads),
        cmocka_unit_test(a_listener_may_outlive_its_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
