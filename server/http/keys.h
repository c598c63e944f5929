/* API keys: a file of SHA-256 hashes, so that the file alone opens nothing.
 *
 * A line is 64 hexadecimal digits, the SHA-256 of one key, and may be followed by blanks and a name
 * for the log; empty lines and lines that start with # do not count. */
#ifndef HTTP_KEYS_H
#define HTTP_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "bucket.h"
#include "vqct/status.h"

#define KEY_NAME_MAX   64
#define KEY_HASH_BYTES 32

struct keys;

struct key {
  unsigned char hash[KEY_HASH_BYTES];
  char name[KEY_NAME_MAX];        /* "" if it has none */
  struct bucket requests, pixels; /* that it used lately; loop thread */
};

/** Reads a key file of at most 1 MiB. Errors: READ, DATA (naming the line), MEMORY. */
enum vqct_status keys_read(const char *path, struct keys **keys, struct vqct_error *error);

/** NULL is allowed. */
void keys_free(struct keys *keys);

/** The key of which this is the text, NULL where it is not known. The time does not depend on which
 * hash matches or how far. */
struct key *keys_find(struct keys *keys, const char *text);

/** The key of a hash, which may have been in an older file; NULL where it is in this one no more.
 */
struct key *keys_of_hash(struct keys *keys, const unsigned char hash[KEY_HASH_BYTES]);

#endif
