/* Only hashes are kept. A key is hashed and compared with all of them, each in the same time, so
 * that how long it takes tells neither which one nor how much of it fits. */
#include "keys.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "error.h"

#define FILE_BYTES_MAX ((size_t)1 << 20)
#define LINE_MAX_BYTES 256

struct keys {
  size_t count, capacity;
  struct key *keys;
};

static int digit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  c = (char)tolower((unsigned char)c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_line(const char *line, struct key *key) {
  for (size_t i = 0; i < KEY_HASH_BYTES; i++) {
    int high = digit(line[2 * i]);
    int low = high < 0 ? -1 : digit(line[2 * i + 1]);
    if (low < 0)
      return false;
    key->hash[i] = (unsigned char)(high << 4 | low);
  }
  line += 2 * KEY_HASH_BYTES;
  if (*line && *line != ' ' && *line != '\t')
    return false;
  line += strspn(line, " \t");
  size_t length = strlen(line);
  if (length >= KEY_NAME_MAX)
    return false;
  memcpy(key->name, line, length + 1);
  return true;
}

static enum vqct_status keys_add(struct keys *keys, const struct key *key,
                                 struct vqct_error *error) {
  if (keys->count == keys->capacity) {
    size_t capacity = keys->capacity ? 2 * keys->capacity : 16;
    struct key *grown = realloc(keys->keys, capacity * sizeof *grown);
    if (!grown)
      return error_set(error, VQCT_MEMORY, "no memory for the keys");
    keys->keys = grown;
    keys->capacity = capacity;
  }
  keys->keys[keys->count++] = *key;
  return VQCT_OK;
}

static enum vqct_status read_lines(FILE *file, const char *path, struct keys *keys,
                                   struct vqct_error *error) {
  char line[LINE_MAX_BYTES];
  size_t bytes = 0;
  for (unsigned number = 1; fgets(line, sizeof line, file); number++) {
    size_t length = strlen(line);
    bytes += length;
    if (bytes > FILE_BYTES_MAX)
      return error_set(error, VQCT_DATA, "%s: larger than 1 MiB", path);
    if (length + 1 == sizeof line)
      return error_set(error, VQCT_DATA, "%s:%u: longer than %zu bytes", path, number, length);
    while (length && isspace((unsigned char)line[length - 1]))
      line[--length] = '\0';
    if (!length || *line == '#')
      continue;
    struct key key = {0};
    if (!parse_line(line, &key))
      return error_set(error, VQCT_DATA, "%s:%u: not a SHA-256 in hexadecimal and a short name",
                       path, number);
    enum vqct_status status = keys_add(keys, &key, error);
    if (status != VQCT_OK)
      return status;
  }
  if (ferror(file))
    return error_set(error, VQCT_READ, "%s: %s", path, strerror(errno));
  if (!keys->count)
    return error_set(error, VQCT_DATA, "%s: holds no key", path);
  return VQCT_OK;
}

enum vqct_status keys_read(const char *path, struct keys **keys, struct vqct_error *error) {
  *keys = NULL;
  FILE *file = fopen(path, "r");
  if (!file)
    return error_set(error, VQCT_READ, "%s: %s", path, strerror(errno));
  struct keys *read = calloc(1, sizeof *read);
  enum vqct_status status = read ? read_lines(file, path, read, error)
                                 : error_set(error, VQCT_MEMORY, "no memory for the keys");
  fclose(file);
  if (status != VQCT_OK)
    keys_free(read);
  else
    *keys = read;
  return status;
}

void keys_free(struct keys *keys) {
  if (keys)
    free(keys->keys);
  free(keys);
}

struct key *keys_of_hash(struct keys *keys, const unsigned char hash[KEY_HASH_BYTES]) {
  struct key *found = NULL;
  for (size_t i = 0; i < keys->count; i++)
    if (!gnutls_memcmp(keys->keys[i].hash, hash, KEY_HASH_BYTES))
      found = &keys->keys[i];
  return found;
}

struct key *keys_find(struct keys *keys, const char *text) {
  unsigned char hash[KEY_HASH_BYTES];
  if (gnutls_hash_fast(GNUTLS_DIG_SHA256, text, strlen(text), hash))
    return NULL;
  return keys_of_hash(keys, hash);
}
