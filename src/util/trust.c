/* trust.c -- see trust.h. */
#include "util/trust.h"

#include <stdlib.h>
#include <unistd.h>

const char *kc_trust_bundle(void)
{
    static const char *const places[] = {
        "/etc/ssl/certs/ca-certificates.crt", /* Debian, Arch, Alpine */
        "/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora */
        "/etc/ssl/ca-bundle.pem",             /* openSUSE */
        "/etc/ssl/cert.pem",                  /* Alpine, BSD */
    };
    const char *named = getenv("SSL_CERT_FILE");
    if (!named || !*named)
        named = getenv("CURL_CA_BUNDLE");
    if (named && *named)
        return named;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (access(places[i], R_OK) == 0)
            return places[i];
    return NULL;
}
