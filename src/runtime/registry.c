/* registry.c -- libcurl's global start and the count of forks. */
#include "runtime/registry.h"

#include <pthread.h>
#include <stdatomic.h>

#include <curl/curl.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_int ready = KC_ESYSTEM;
static atomic_uint generation;

static void count_fork(void)
{
    atomic_fetch_add(&generation, 1);
}

static void start(void)
{
    if (pthread_atfork(NULL, NULL, count_fork) == 0 &&
        curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
        atomic_store(&ready, KC_OK);
}

int kc_registry_init(void)
{
    pthread_once(&once, start);
    return atomic_load(&ready);
}

unsigned kc_registry_generation(void)
{
    return atomic_load(&generation);
}
