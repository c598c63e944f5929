/* Reading tar archives (ustar, GNU and pax): the regular files in one, as views of a mapping.
 *
 * Every header's checksum, size and place is checked before it is believed; names that are longer
 * than TAR_NAME_MAX, sparse files and multi-volume archives are refused.
 */
#ifndef IO_TAR_H
#define IO_TAR_H

#include <stddef.h>
#include <stdint.h>

#include "vqct/status.h"

#define TAR_NAME_MAX 4096 /* bytes of a name, as for a path */

struct tar;

/** One regular file. Pointers belong to the archive. */
struct tar_member {
  const char *name; /* as stored, ended by a zero byte */
  const uint8_t *data;
  size_t size;
};

/** Maps an archive and lists its files in their order. Errors: READ, DATA (naming the place of the
 * fault), MEMORY; *tar is then NULL. */
enum vqct_status tar_open(const char *path, struct tar **tar, struct vqct_error *error);

/** The same for bytes in memory, which stay the caller's; name stands in messages. */
enum vqct_status tar_parse(const char *name, const void *data, size_t size, struct tar **tar,
                           struct vqct_error *error);

/** NULL is allowed. */
void tar_close(struct tar *tar);

/** How many regular files there are. */
size_t tar_count(const struct tar *tar);

/** File number `index`, 0 to count - 1. */
const struct tar_member *tar_member(const struct tar *tar, size_t index);

#endif
