/* slow_resolver.c -- to be preloaded: a name look-up that hangs, as it does
 * where a name server is down. For specs that close a state meanwhile.
 */
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

typedef int look_up(const char *, const char *, const struct addrinfo *,
                    struct addrinfo **);

int getaddrinfo(const char *node, const char *service,
                const struct addrinfo *hints, struct addrinfo **res)
{
    if (node && strcmp(node, "slow-name.test") == 0) {
        for (int i = 0; i < 60; i++)
            sleep(1);
        return EAI_AGAIN;
    }
    look_up *real = NULL;
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    return real ? real(node, service, hints, res) : EAI_FAIL;
}
