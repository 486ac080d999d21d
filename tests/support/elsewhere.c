/* elsewhere.c -- to be preloaded: every name is this machine's, and what goes to
 * the port of https goes to the one that KEYCYCLE_HTTPS_PORT names. So programs
 * that call real providers, word for word, reach a server of the tests' own. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

typedef int look_up(const char *, const char *, const struct addrinfo *,
                    struct addrinfo **);
typedef int link_up(int, const struct sockaddr *, socklen_t);

int getaddrinfo(const char *node, const char *service,
                const struct addrinfo *hints, struct addrinfo **res)
{
    struct addrinfo ours = {.ai_family = AF_INET};
    look_up *real = NULL;
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (hints) {
        ours = *hints;
        ours.ai_family = AF_INET;
    }
    return real(node ? "127.0.0.1" : NULL, service, &ours, res);
}

/* glibc declares it with a union of all addresses in place of the pointer. */
#pragma GCC diagnostic ignored "-Wpedantic"
int connect(int fd, const struct sockaddr *to, socklen_t len)
{
    const char *port = getenv("KEYCYCLE_HTTPS_PORT");
    struct sockaddr_in ours;
    link_up *real = NULL;
    *(void **)&real = dlsym(RTLD_NEXT, "connect");
    if (to->sa_family != AF_INET || len < sizeof ours || !port)
        return real(fd, to, len);
    memcpy(&ours, to, sizeof ours);
    if (ours.sin_port == htons(443))
        ours.sin_port = htons((unsigned short)atoi(port));
    return real(fd, (const struct sockaddr *)&ours, sizeof ours);
}
