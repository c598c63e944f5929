/* An archive is a chain of 512-byte blocks: a header, then its file's bytes padded to whole blocks;
 * a block of zeros, or the end of the file, ends it. A header of type L (GNU) or x (pax) carries
 * the name of the file after it. Sizes are octal text, or big-endian binary when the first bit is
 * set.
 */
#include "tar.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "mapped_file.h"

#define BLOCK ((size_t)512)

/* Where the fields of a header stand, and how long they are. */
enum {
  NAME_AT = 0,
  NAME_SIZE = 100,
  SIZE_AT = 124,
  SIZE_SIZE = 12,
  CHECKSUM_AT = 148,
  CHECKSUM_SIZE = 8,
  TYPE_AT = 156,
  MAGIC_AT = 257,
  PREFIX_AT = 345,
  PREFIX_SIZE = 155
};

struct tar {
  struct mapped_file mapped;
  struct tar_member *member;
  size_t count, capacity;
};

/* A walk through the archive. */
struct walk {
  struct tar *tar;
  const char *path;
  const uint8_t *data;
  size_t size, at;
  char name[TAR_NAME_MAX + 1]; /* that an L or x header gave the next file; "" for none */
  bool awaits_file;            /* the header before was one of these */
  struct vqct_error *error;
};

static enum vqct_status fault(const struct walk *walk, const char *what) {
  return error_set(walk->error, VQCT_DATA, "%s: %s in the header at byte %zu", walk->path, what,
                   walk->at);
}

/* A number of a header; false where it is not one or does not fit. */
static bool read_number(const uint8_t *field, size_t size, uint64_t *number) {
  size_t i = 0;
  *number = 0;
  if (field[0] & 0x80) {
    uint64_t first = field[0] & 0x7f;
    for (i = 1, *number = first; i < size; i++) {
      if (*number >> 55)
        return false;
      *number = *number << 8 | field[i];
    }
    return true;
  }
  while (i < size && field[i] == ' ')
    i++;
  for (; i < size && field[i] >= '0' && field[i] <= '7'; i++)
    *number = *number << 3 | (uint64_t)(field[i] - '0');
  return i == size || field[i] == 0 || field[i] == ' ';
}

static bool checksum_right(const uint8_t *header) {
  uint64_t stored, sum = 0;
  if (!read_number(header + CHECKSUM_AT, CHECKSUM_SIZE, &stored))
    return false;
  for (size_t i = 0; i < BLOCK; i++)
    sum += i >= CHECKSUM_AT && i < CHECKSUM_AT + CHECKSUM_SIZE ? ' ' : header[i];
  return sum == stored;
}

static bool all_zero(const uint8_t *block) {
  for (size_t i = 0; i < BLOCK; i++)
    if (block[i])
      return false;
  return true;
}

static bool set_name(struct walk *walk, const void *text, size_t size) {
  size_t length = strnlen(text, size);
  if (length > TAR_NAME_MAX)
    return false;
  memcpy(walk->name, text, length);
  walk->name[length] = 0;
  return true;
}

/* Reads pax records, "LENGTH KEY=VALUE\n" each, for a path; a size there would say that the
 * header's own is not to be believed, so it is refused. */
static enum vqct_status read_pax(struct walk *walk, const uint8_t *data, size_t size) {
  while (size) {
    size_t length = 0, digits = 0;
    while (digits < size && digits < 8 && data[digits] >= '0' && data[digits] <= '9')
      length = length * 10 + (size_t)(data[digits++] - '0');
    if (!digits || digits >= size || data[digits] != ' ' || length > size || length < digits + 3 ||
        data[length - 1] != '\n')
      return fault(walk, "a damaged pax record");
    const char *record = (const char *)data + digits + 1;
    size_t rest = length - digits - 2; /* without the newline */
    if (rest > 5 && memcmp(record, "path=", 5) == 0 && !set_name(walk, record + 5, rest - 5))
      return fault(walk, "a name too long");
    if (rest > 5 && (memcmp(record, "size=", 5) == 0 || memcmp(record, "GNU.s", 5) == 0))
      return fault(walk, "a file of 8 GiB or more, or a sparse one,");
    data += length;
    size -= length;
  }
  return VQCT_OK;
}

/* The name in the header itself, with its prefix. */
static void read_header_name(struct walk *walk, const uint8_t *header) {
  char *to = walk->name;
  size_t prefix = 0;
  if (memcmp(header + MAGIC_AT, "ustar", 6) == 0)
    prefix = strnlen((const char *)header + PREFIX_AT, PREFIX_SIZE);
  if (prefix) {
    memcpy(to, header + PREFIX_AT, prefix);
    to[prefix] = '/';
    to += prefix + 1;
  }
  size_t length = strnlen((const char *)header + NAME_AT, NAME_SIZE);
  memcpy(to, header + NAME_AT, length);
  to[length] = 0;
}

static enum vqct_status add_member(struct walk *walk, const uint8_t *data, size_t size) {
  struct tar *tar = walk->tar;
  if (tar->count == tar->capacity) {
    size_t capacity = tar->capacity ? 2 * tar->capacity : 256;
    struct tar_member *grown = realloc(tar->member, capacity * sizeof *grown);
    if (!grown)
      return error_set(walk->error, VQCT_MEMORY, "no memory to list %s", walk->path);
    tar->member = grown;
    tar->capacity = capacity;
  }
  char *name = strdup(walk->name);
  if (!name)
    return error_set(walk->error, VQCT_MEMORY, "no memory to list %s", walk->path);
  struct tar_member *member = &tar->member[tar->count++];
  member->name = name;
  member->data = data;
  member->size = size;
  return VQCT_OK;
}

/* One header and its file; leaves `at` behind them. */
static enum vqct_status read_entry(struct walk *walk) {
  const uint8_t *header = walk->data + walk->at, *data = header + BLOCK;
  uint64_t size;
  enum vqct_status status = VQCT_OK;
  if (!checksum_right(header))
    return fault(walk, "a wrong checksum");
  if (!read_number(header + SIZE_AT, SIZE_SIZE, &size))
    return fault(walk, "a wrong size");
  if (size > walk->size - walk->at - BLOCK)
    return fault(walk, "a size beyond the end of the archive");
  char type = (char)header[TYPE_AT];
  walk->awaits_file = type == 'L' || type == 'x';
  if (type == 'L') {
    if (!set_name(walk, data, (size_t)size))
      return fault(walk, "a name too long");
  } else if (type == 'x') {
    status = read_pax(walk, data, (size_t)size);
  } else if (type == 'S' || type == 'M') {
    return fault(walk, "a sparse or divided file");
  } else {
    if (!walk->name[0])
      read_header_name(walk, header);
    if (type == '0' || type == 0 || type == '7')
      status = add_member(walk, data, (size_t)size);
    walk->name[0] = 0;
  }
  size_t whole = ((size_t)size + BLOCK - 1) / BLOCK * BLOCK;
  size_t left = walk->size - walk->at - BLOCK;
  walk->at += BLOCK + (whole < left ? whole : left);
  return status;
}

enum vqct_status tar_parse(const char *name, const void *data, size_t size, struct tar **result,
                           struct vqct_error *error) {
  *result = NULL;
  struct tar *tar = calloc(1, sizeof *tar);
  struct walk *walk = calloc(1, sizeof *walk);
  enum vqct_status status = VQCT_OK;
  if (!tar || !walk)
    status = error_set(error, VQCT_MEMORY, "no memory to list %s", name);
  if (status == VQCT_OK) {
    *walk = (struct walk){.tar = tar, .path = name, .data = data, .size = size, .error = error};
    if (size < BLOCK)
      status =
          error_set(error, VQCT_DATA, "%s: %zu bytes are too few for a tar archive", name, size);
  }
  while (status == VQCT_OK && walk->size - walk->at >= BLOCK && !all_zero(walk->data + walk->at))
    status = read_entry(walk);
  if (status == VQCT_OK && walk->at < walk->size && walk->size - walk->at < BLOCK)
    status = error_set(error, VQCT_DATA, "%s: the archive ends within a header", name);
  if (status == VQCT_OK && walk->awaits_file)
    status = error_set(error, VQCT_DATA, "%s: the archive ends before a file that it names", name);
  free(walk);
  if (status == VQCT_OK)
    *result = tar;
  else
    tar_close(tar);
  return status;
}

enum vqct_status tar_open(const char *path, struct tar **tar, struct vqct_error *error) {
  struct mapped_file mapped;
  *tar = NULL;
  enum vqct_status status = mapped_file_open(path, &mapped, error);
  if (status != VQCT_OK)
    return status;
  status = tar_parse(path, mapped.data, mapped.size, tar, error);
  if (status == VQCT_OK)
    (*tar)->mapped = mapped;
  else
    mapped_file_close(&mapped);
  return status;
}

void tar_close(struct tar *tar) {
  if (!tar)
    return;
  for (size_t i = 0; i < tar->count; i++)
    free((char *)tar->member[i].name);
  free(tar->member);
  mapped_file_close(&tar->mapped);
  free(tar);
}

size_t tar_count(const struct tar *tar) {
  return tar->count;
}

const struct tar_member *tar_member(const struct tar *tar, size_t index) {
  return &tar->member[index];
}
