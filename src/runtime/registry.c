/* registry.c -- libcurl's global start, the count of forks, pools by name. */
#include "runtime/registry.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <curl/curl.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_int ready = KC_ESYSTEM;
static atomic_uint generation;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct kc_map hubs;
static pthread_mutex_t exit_lock = PTHREAD_MUTEX_INITIALIZER;
static struct kc_farewell *farewells;
static bool exits; /* the handler is installed */

/* No fork happens while somebody changes the map or the list: so the child's
 * locks are free, and what it forgets is whole. */
static void before_fork(void)
{
    pthread_mutex_lock(&exit_lock);
    pthread_mutex_lock(&lock);
}

static void after_fork(void)
{
    pthread_mutex_unlock(&lock);
    pthread_mutex_unlock(&exit_lock);
}

static void after_fork_in_child(void)
{
    atomic_fetch_add(&generation, 1);
    kc_map_deinit(&hubs); /* not what is in it */
    farewells = NULL;
    pthread_mutex_unlock(&lock);
    pthread_mutex_unlock(&exit_lock);
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

static void say_farewell(void)
{
    pthread_mutex_lock(&exit_lock);
    for (struct kc_farewell *f = farewells; f; f = f->next)
        f->fn(f->ctx);
    pthread_mutex_unlock(&exit_lock);
}

/* Handlers run in the opposite order: this one is installed when first needed,
 * so that it runs before those of the libraries that its work needs. */
void kc_registry_at_exit(struct kc_farewell *f)
{
    pthread_mutex_lock(&exit_lock);
    if (!exits)
        exits = atexit(say_farewell) == 0;
    f->listed = true;
    f->prev = NULL;
    f->next = farewells;
    if (f->next)
        f->next->prev = f;
    farewells = f;
    pthread_mutex_unlock(&exit_lock);
}

void kc_registry_not_at_exit(struct kc_farewell *f)
{
    pthread_mutex_lock(&exit_lock);
    if (f->listed) {
        *(f->prev ? &f->prev->next : &farewells) = f->next;
        if (f->next)
            f->next->prev = f->prev;
    }
    f->listed = false;
    pthread_mutex_unlock(&exit_lock);
}
