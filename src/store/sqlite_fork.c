/* sqlite_fork.c -- see sqlite_fork.h. */
#include "store/sqlite_fork.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#define WAIT_S 3

struct handle {
    sqlite3 *db;
    unsigned generation; /* of the process that opened it */
    struct handle *next;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all of it */
static pthread_cond_t left = PTHREAD_COND_INITIALIZER;
static struct handle *handles;
static unsigned generation;
static unsigned at_work; /* threads, each as often as it has entered */
static bool torn;        /* this child was made while some were */

/* Who is at work may enter again meanwhile. */
static void before_fork(void)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += WAIT_S;
    pthread_mutex_lock(&lock);
    while (at_work > 0 && pthread_cond_timedwait(&left, &lock, &end) == 0)
        ;
}

static void after_fork(void)
{
    pthread_mutex_unlock(&lock);
}

static void after_fork_in_child(void)
{
    generation++;
    torn |= at_work > 0 && handles;
    at_work = 0;
    left = (pthread_cond_t)PTHREAD_COND_INITIALIZER; /* nobody waits here */
    pthread_mutex_unlock(&lock);
}

static void start(void)
{
    if (pthread_atfork(before_fork, after_fork, after_fork_in_child) != 0)
        torn = true;
}

void kc_sqlite_enter(void)
{
    pthread_once(&once, start);
    pthread_mutex_lock(&lock);
    at_work++;
    pthread_mutex_unlock(&lock);
}

void kc_sqlite_leave(void)
{
    pthread_mutex_lock(&lock);
    if (--at_work == 0)
        pthread_cond_broadcast(&left);
    pthread_mutex_unlock(&lock);
}

/* Nothing but its memory and descriptors is let go: its transaction was over,
 * and what is to be moved out of the log the parent will move. */
static void close_inherited(struct handle *h)
{
    sqlite3_db_config(h->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_close(h->db);
    free(h);
}

int kc_sqlite_may_open(void)
{
    if (torn)
        return KC_EFORKED;
    pthread_mutex_lock(&lock);
    for (struct handle **at = &handles; *at;) {
        struct handle *h = *at;
        if (h->generation == generation) {
            at = &h->next;
            continue;
        }
        *at = h->next;
        close_inherited(h);
    }
    pthread_mutex_unlock(&lock);
    return KC_OK;
}

int kc_sqlite_note_handle(sqlite3 *db)
{
    struct handle *h = malloc(sizeof *h);
    if (!h)
        return KC_ENOMEM;
    pthread_mutex_lock(&lock);
    *h = (struct handle){db, generation, handles};
    handles = h;
    pthread_mutex_unlock(&lock);
    return KC_OK;
}

bool kc_sqlite_is_inherited(const sqlite3 *db)
{
    pthread_mutex_lock(&lock);
    const struct handle *h = handles;
    while (h && (h->db != db || h->generation != generation))
        h = h->next;
    pthread_mutex_unlock(&lock);
    return !h;
}

void kc_sqlite_close_handle(sqlite3 *db)
{
    if (!db)
        return;
    pthread_mutex_lock(&lock);
    struct handle **at = &handles;
    while (*at && (*at)->db != db)
        at = &(*at)->next;
    struct handle *h = *at;
    if (h)
        *at = h->next;
    pthread_mutex_unlock(&lock);
    if (h) /* else it was inherited, and is closed already */
        sqlite3_close(db);
    free(h);
}
