/* registry.c -- libcurl's global start, the count of forks, pools by name. */
#include "runtime/registry.h"

#include <pthread.h>
#include <stdatomic.h>

#include <curl/curl.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_int ready = KC_ESYSTEM;
static atomic_uint generation;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct kc_map hubs;

/* No fork happens while somebody changes the map: so the child's lock is free,
 * and what it forgets is whole. */
static void before_fork(void)
{
    pthread_mutex_lock(&lock);
}

static void after_fork(void)
{
    pthread_mutex_unlock(&lock);
}

static void after_fork_in_child(void)
{
    atomic_fetch_add(&generation, 1);
    kc_map_deinit(&hubs); /* not what is in it */
    pthread_mutex_unlock(&lock);
}

static void start(void)
{
    if (pthread_atfork(before_fork, after_fork, after_fork_in_child) == 0 &&
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

struct kc_map *kc_registry_enter(void)
{
    pthread_mutex_lock(&lock);
    return &hubs;
}

void kc_registry_leave(void)
{
    pthread_mutex_unlock(&lock);
}
