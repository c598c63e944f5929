/* The TLS certificate of a port. It may be replaced while the port serves: a connection keeps the
 * one with which it began. References are counted without locks, on the loop thread. */
#ifndef HTTP_CERTIFICATE_H
#define HTTP_CERTIFICATE_H

#include "vqct/status.h"

#include <gnutls/gnutls.h>

struct certificate;

/** Reads a PEM chain and its key, of at most 1 MiB each; any thread. *certificate has one
 * reference, the caller's. Errors: READ (files, or no certificate with its key in them), MEMORY. */
enum vqct_status certificate_read(const char *chain_path, const char *key_path,
                                  struct certificate **certificate, struct vqct_error *error);

/** One more reference. */
struct certificate *certificate_retain(struct certificate *certificate);

/** One reference less; the last frees it. NULL is allowed. */
void certificate_release(struct certificate *certificate);

/** Lets a session that has not begun its handshake show this certificate, which must outlive it. */
void certificate_show(const struct certificate *certificate, gnutls_session_t session);

/** The PEM texts, which libmicrohttpd wants for its start. */
const char *certificate_chain(const struct certificate *certificate);
const char *certificate_key(const struct certificate *certificate);

#endif
