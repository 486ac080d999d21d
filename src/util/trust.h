/* trust.h -- the certificates of those whom this machine trusts. */
#ifndef KC_UTIL_TRUST_H
#define KC_UTIL_TRUST_H

/* kc_trust_bundle returns the file that the environment names (SSL_CERT_FILE,
 * else CURL_CA_BUNDLE), else the system's; NULL when there is none. Borrowed
 * until the environment changes. */
const char *kc_trust_bundle(void);

#endif
