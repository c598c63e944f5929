/* libmicrohttpd reads a certificate once, when it starts. Each connection is given the current one
 * before its handshake instead, so that a new one counts for whoever connects from then on. */
#include "certificate.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

#define PEM_BYTES_MAX ((size_t)1 << 20)

struct certificate {
  unsigned references;
  char *chain, *key; /* PEM */
  gnutls_certificate_credentials_t credentials;
};

/* A whole small text file, from malloc. */
static enum vqct_status read_text_file(const char *path, char **text, struct vqct_error *error) {
  FILE *file = fopen(path, "rb");
  if (!file)
    return error_set(error, VQCT_READ, "%s: %s", path, strerror(errno));
  *text = malloc(PEM_BYTES_MAX + 1);
  size_t size = *text ? fread(*text, 1, PEM_BYTES_MAX + 1, file) : 0;
  bool failed = ferror(file) != 0;
  fclose(file);
  if (!*text)
    return error_set(error, VQCT_MEMORY, "%s: no memory", path);
  if (failed || size > PEM_BYTES_MAX)
    return error_set(error, VQCT_READ, "%s: %s", path,
                     failed ? "cannot be read" : "larger than 1 MiB");
  (*text)[size] = '\0';
  return VQCT_OK;
}

static gnutls_datum_t datum(char *text) {
  return (gnutls_datum_t){(unsigned char *)text, (unsigned)strlen(text)};
}

enum vqct_status certificate_read(const char *chain_path, const char *key_path,
                                  struct certificate **certificate, struct vqct_error *error) {
  struct certificate *made = calloc(1, sizeof *made);
  if (!made)
    return error_set(error, VQCT_MEMORY, "no memory for a certificate");
  made->references = 1;
  enum vqct_status status;
  if ((status = read_text_file(chain_path, &made->chain, error)) ||
      (status = read_text_file(key_path, &made->key, error)))
    goto fail;
  if (gnutls_certificate_allocate_credentials(&made->credentials) < 0) {
    status = error_set(error, VQCT_MEMORY, "no memory for a certificate");
    goto fail;
  }
  gnutls_datum_t chain = datum(made->chain), key = datum(made->key);
  int code =
      gnutls_certificate_set_x509_key_mem(made->credentials, &chain, &key, GNUTLS_X509_FMT_PEM);
  if (code >= 0) {
    *certificate = made;
    return VQCT_OK;
  }
  status = error_set(error, VQCT_READ,
                     "the TLS certificate %.200s with the key %.200s is not usable: %s", chain_path,
                     key_path, gnutls_strerror(code));
fail:
  certificate_release(made);
  return status;
}

struct certificate *certificate_retain(struct certificate *certificate) {
  certificate->references++;
  return certificate;
}

void certificate_release(struct certificate *certificate) {
  if (!certificate || --certificate->references)
    return;
  if (certificate->credentials)
    gnutls_certificate_free_credentials(certificate->credentials);
  if (certificate->key)
    gnutls_memset(certificate->key, 0, strlen(certificate->key));
  free(certificate->key);
  free(certificate->chain);
  free(certificate);
}

void certificate_show(const struct certificate *certificate, gnutls_session_t session) {
  gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, certificate->credentials);
}

const char *certificate_chain(const struct certificate *certificate) {
  return certificate->chain;
}

const char *certificate_key(const struct certificate *certificate) {
  return certificate->key;
}
