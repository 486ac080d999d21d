/* mariadb.c -- see mariadb.h. */
#include "support/mariadb.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

struct mariadb {
    char folder[64], options[200], text[400];
    unsigned port;
    pid_t pid;
    FILE *log; /* its standard output; NULL: it does not run */
};

/* A port that was free a moment ago. */
static unsigned free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    unsigned port = 0;
    if (fd >= 0 && bind(fd, (struct sockaddr *)&a, len) == 0 &&
        getsockname(fd, (struct sockaddr *)&a, &len) == 0)
        port = ntohs(a.sin_port);
    if (fd >= 0)
        close(fd);
    return port;
}

int mariadb_again(struct mariadb *s)
{
    char line[512];
    snprintf(line, sizeof line, "exec tests/support/mariadb.sh %s %u %s",
             s->folder, s->port, s->options);
    s->log = popen(line, "re");
    s->pid = 0;
    while (s->log && fgets(line, sizeof line, s->log)) {
        if (strncmp(line, "pid ", 4) == 0)
            s->pid = (pid_t)strtol(line + 4, NULL, 10);
        if (strstr(line, "ready for connections") && s->pid)
            return 0;
        if (strstr(line, "ERROR"))
            fputs(line, stderr);
    }
    if (s->log)
        pclose(s->log);
    s->log = NULL;
    return -1;
}

struct mariadb *mariadb_open(const char *options)
{
    struct mariadb *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    snprintf(s->folder, sizeof s->folder, "/tmp/keycycle-mariadb-XXXXXX");
    snprintf(s->options, sizeof s->options, "%s", options);
    s->port = free_port();
    if (mkdtemp(s->folder) && mariadb_again(s) == 0)
        return s;
    mariadb_close(s);
    return NULL;
}

void mariadb_kill(struct mariadb *s)
{
    if (!s->log)
        return;
    kill(s->pid, SIGKILL);
    pclose(s->log); /* returns when it has ended */
    s->log = NULL;
}

void mariadb_close(struct mariadb *s)
{
    char line[128];
    mariadb_kill(s);
    snprintf(line, sizeof line, "rm -rf %s", s->folder);
    if (system(line) != 0)
        fprintf(stderr, "cannot remove %s\n", s->folder);
    free(s);
}

const char *mariadb_url(struct mariadb *s, const char *rest)
{
    snprintf(s->text, sizeof s->text, "mysql://kc:kcpw@127.0.0.1:%u/%s",
             s->port, rest);
    return s->text;
}

const char *mariadb_file(struct mariadb *s, const char *name)
{
    snprintf(s->text, sizeof s->text, "%s/%s", s->folder, name);
    return s->text;
}

unsigned mariadb_port(const struct mariadb *s)
{
    return s->port;
}

void mariadb_pause(struct mariadb *s)
{
    kill(s->pid, SIGSTOP);
    waitpid(s->pid, NULL, WUNTRACED); /* its threads may run a while */
}

void mariadb_resume(struct mariadb *s)
{
    kill(s->pid, SIGCONT);
}
