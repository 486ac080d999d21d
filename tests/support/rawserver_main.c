/* rawserver_main.c -- the raw server as a program: prints "port N pid P" and
 * serves until SIGTERM or SIGINT.
 */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "support/rawserver.h"

int main(void)
{
    sigset_t set;
    int sig;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL); /* before the threads, which inherit */
    struct rawserver *s = rawserver_open();
    if (!s) {
        perror("rawserver");
        return 1;
    }
    printf("port %u pid %d\n", rawserver_port(s), (int)getpid());
    fflush(stdout);
    sigwait(&set, &sig);
    rawserver_close(s);
    return 0;
}
