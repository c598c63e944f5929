/* Tar archives as lists of files, in every dialect that libarchive reads (v7, ustar, GNU, pax, with
 * hard links and sparse files), plain or compressed with gzip, bzip2, xz, zstd or lz4.
 *
 * Members may be read in any order by any number of threads: a plain archive is mapped, and its
 * members are views of the mapping, so it must not be shortened in place meanwhile. A compressed
 * one, or what comes from standard input, is first unpacked to a temporary file without a name in
 * TMPDIR (/var/tmp where that is not set), to at most 64 MiB and a hundred times what was read. An
 * archive that is cut off or damaged keeps the whole members before the fault.
 */
#ifndef IO_SHARD_H
#define IO_SHARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libarchive.h"
#include "mapped_file.h"

#define SHARD_NAME_MAX 4096 /* bytes of a member's name, as for a path */

struct shard;

enum shard_kind {
  SHARD_FILE,    /* also a hard link to one */
  SHARD_SYMBOLIC /* a symbolic link, which cannot be read */
};

/** Asked now and then while an archive is unpacked, which may take minutes: whether to give up. */
struct shard_stop {
  bool (*asked)(void *context); /* NULL: never */
  void *context;
};

/** Bytes of one member. */
struct shard_bytes {
  const uint8_t *data;
  size_t size;
  void *owned; /* NULL: they are a view */
};

/** Opens an archive and lists its members in their order. Errors: READ, DATA (there is no whole
 * member before the first fault), LIMIT (it unpacks to too much), WRITE (the temporary file),
 * INTERRUPTED, MEMORY; *shard is then NULL. */
enum vqct_status shard_open(const char *path, const struct libarchive *library,
                            const struct shard_stop *stop, struct shard **shard,
                            struct vqct_error *error);

/** The same for standard input, which may be a text instead: what has no zero byte in the 512 bytes
 * that an archive begins with. *shard is then NULL and the text the caller's to close. Errors:
 * those of shard_open; both are then empty. */
enum vqct_status shard_open_input(const struct libarchive *library, const struct shard_stop *stop,
                                  struct shard **shard, struct mapped_file *text,
                                  struct vqct_error *error);

/** The same for a plain archive in memory, which stays the caller's; name stands in messages. */
enum vqct_status shard_parse(const char *name, const void *data, size_t size,
                             const struct libarchive *library, struct shard **shard,
                             struct vqct_error *error);

/** NULL is allowed. */
void shard_close(struct shard *shard);

/** What is wrong with the archive behind its last whole member, in a sentence that names it; NULL
 * where nothing is. */
const char *shard_damage(const struct shard *shard);

/** Tells the archive's content from another's: its size, time of change or checksum, in one number.
 */
uint64_t shard_stamp(const struct shard *shard);

/** How many members there are. */
size_t shard_count(const struct shard *shard);

/** The name of member `index`, 0 to count - 1, as stored; its kind; and its size in bytes. */
const char *shard_name(const struct shard *shard, size_t index);
enum shard_kind shard_kind(const struct shard *shard, size_t index);
uint64_t shard_size(const struct shard *shard, size_t index);

/** The bytes of a member of at most `limit` bytes, which is checked before anything is read. The
 * caller frees bytes->owned. Errors: LIMIT, DATA (a link to what is not there), MEMORY. */
enum vqct_status shard_read(const struct shard *shard, size_t index, uint64_t limit,
                            struct shard_bytes *bytes, struct vqct_error *error);

#endif
