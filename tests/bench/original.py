"""What the Python package of the same name does, beside `make bench`.

Not part of it: run it with a Python that has the package (pip install keycycle).
Prints `name value unit` lines; takes a little over a minute. No network is used:
the package's key manager is asked directly, without a database. (The package
leaves a file app.log where it is run.)
"""

import gc
import logging
import statistics
import threading
import time
import tracemalloc

from keycycle.config.dataclasses import RateLimits
from keycycle.config.enums import RateLimitStrategy
from keycycle.key_rotation.rotation_manager import RotatingKeyManager

MUCH = 1 << 40
RUNS = 5
RECORDS = 11000
CALLERS = 200
HOLD_S = 0.5
MODEL = "m"


def limits(per_minute):
    """`per_minute` requests, and five more windows that are never full."""
    return RateLimits(per_minute, MUCH, MUCH, MUCH, MUCH, MUCH)


def manager(keys):
    return RotatingKeyManager(
        [f"sk-bench-{i:08d}" for i in range(keys)],
        "bench",
        RateLimitStrategy.PER_MODEL,
        track_usage=False,
    )


def pair(m, lim):
    key = m.get_key(MODEL, lim, 10)
    m.record_usage(key, MODEL, 8, 10)
    return key


def per_call_us(fn, n):
    """The least of several runs: what disturbs only ever adds."""
    best = float("inf")
    for _ in range(RUNS):
        start = time.process_time()
        for _ in range(n):
            fn()
        best = min(best, (time.process_time() - start) / n * 1e6)
    return best


def granted_in_a_minute(limit, seconds=60):
    """Callers that always want one more, each holding its key for a while."""
    m, lim = manager(1), limits(limit)
    granted = []
    end = time.monotonic() + seconds

    def caller():
        while True:
            left = end - time.monotonic()
            key = m.acquire_key(MODEL, lim, 10, max_wait_seconds=left)
            if key is None or time.monotonic() >= end:
                return
            granted.append(time.monotonic())
            time.sleep(HOLD_S)
            m.record_usage(key, MODEL, 8, 10)

    threads = [threading.Thread(target=caller) for _ in range(CALLERS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return len(granted)


def calls_before_the_next_key(limit):
    m, lim = manager(3), limits(limit)
    first, n = pair(m, lim), 1
    while pair(m, lim) is first:
        n += 1
    return n


def pairs_per_s(records):
    m, lim = manager(1), limits(MUCH)
    for _ in range(records):
        m.keys[0].record_usage(MODEL, 8)
    return 1e6 / per_call_us(lambda: pair(m, lim), 20)


def bytes_a_record():
    m = manager(1)
    m.keys[0].record_usage(MODEL, 8)
    gc.collect()
    tracemalloc.start()
    for _ in range(RECORDS):
        m.keys[0].record_usage(MODEL, 8)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size / RECORDS


def choice_us(full):
    """get_key over a thousand keys of which the first `full` are at their limit."""
    m, lim = manager(1000), limits(10)
    for key in m.keys[:full]:
        for _ in range(10):
            key.record_usage(MODEL, 8)

    def choose():
        m.current_index = 0
        m.get_key(MODEL, lim, 0)

    return per_call_us(choose, 20)


def main():
    logging.disable(logging.CRITICAL)
    print(f"pairs_fresh {statistics.median(pairs_per_s(0) for _ in range(RUNS)):.0f} /s")
    print(f"pairs_after_{RECORDS} {pairs_per_s(RECORDS):.0f} /s")
    print(f"bytes_a_record {bytes_a_record():.0f} B")
    print(f"choice_first_of_1000 {choice_us(0):.1f} us")
    print(f"choice_last_of_1000 {choice_us(999):.1f} us")
    print(f"refusal_1000_keys {choice_us(1000):.1f} us")
    print(f"calls_before_the_next_key {calls_before_the_next_key(10)} of 10")
    print(f"granted_in_a_minute {granted_in_a_minute(60)} of 60")


if __name__ == "__main__":
    main()
