/* libarchive's filters over its "raw" format give the unpacked bytes as one member; they go to a
 * temporary file that has no name any more. Filters are named one by one, because those for all
 * formats start external programs. Standard input is waited for in short turns, so that a wish to
 * stop is heard while nothing comes.
 */
#include "unpack.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zlib.h>

#include "error.h"
#include "temporary_file.h"
#include "unfold.h"

/* Standard input as libarchive's client. */
struct input {
  const struct libarchive *library;
  const struct shard_stop *stop;
  bool began; /* something came */
  unsigned char block[65536];
};

struct unpacking {
  const struct unpack_source *source;
  const struct libarchive *library;
  const struct shard_stop *stop;
  struct archive *archive;
  int descriptor;
  uint64_t written;
  uLong checksum;
};

static bool asked_to_stop(const struct shard_stop *stop) {
  return stop && stop->asked && stop->asked(stop->context);
}

static la_ssize_t read_input(struct archive *archive, void *context, const void **block) {
  enum { TURN = 200 /* milliseconds */ };
  struct input *input = context;
  struct pollfd ready = {.fd = STDIN_FILENO, .events = POLLIN};
  *block = input->block;
  for (;;) {
    if (asked_to_stop(input->stop)) {
      input->library->set_error(archive, EINTR, "stopped");
      return ARCHIVE_FATAL;
    }
    if (poll(&ready, 1, TURN) <= 0)
      continue;
    ssize_t size = read(STDIN_FILENO, input->block, sizeof input->block);
    input->began = input->began || size > 0;
    if (size >= 0)
      return size;
    if (errno != EINTR && errno != EAGAIN) {
      input->library->set_error(archive, errno, "%s", strerror(errno));
      return ARCHIVE_FATAL;
    }
  }
}

static bool support_filters(const struct libarchive *library, struct archive *archive) {
  return library->read_support_filter_gzip(archive) == ARCHIVE_OK &&
         library->read_support_filter_bzip2(archive) == ARCHIVE_OK &&
         library->read_support_filter_xz(archive) == ARCHIVE_OK &&
         library->read_support_filter_zstd(archive) == ARCHIVE_OK &&
         library->read_support_filter_lz4(archive) == ARCHIVE_OK &&
         library->read_support_format_raw(archive) == ARCHIVE_OK;
}

static enum vqct_status fault(const struct unpacking *unpacking, struct vqct_error *error) {
  const char *text = unpacking->library->error_string(unpacking->archive);
  return error_set(error, VQCT_DATA, "%s: %s", unpacking->source->name,
                   text ? text : "it cannot be unpacked");
}

static enum vqct_status write_block(struct unpacking *unpacking, const unsigned char *block,
                                    size_t size, struct vqct_error *error) {
  unpacking->checksum = crc32_z(unpacking->checksum, block, size);
  unpacking->written += size;
  while (size) {
    ssize_t written = write(unpacking->descriptor, block, size);
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return error_set(error, VQCT_WRITE,
                       "%s: the temporary file it is unpacked to: %s (TMPDIR names another place)",
                       unpacking->source->name, strerror(errno));
    block += written;
    size -= (size_t)written;
  }
  return VQCT_OK;
}

static enum vqct_status check_bound(const struct unpacking *unpacking, size_t more,
                                    struct vqct_error *error) {
  int64_t packed = unpacking->library->filter_bytes(unpacking->archive, -1);
  if (unpacking->written + more <= unfold_most(packed > 0 ? (uint64_t)packed : 0))
    return VQCT_OK;
  return error_set(error, VQCT_LIMIT,
                   "%s: it unpacks to more than %d times its size, which is the limit",
                   unpacking->source->name, UNFOLD_RATIO);
}

/* Errors other than those of a damaged archive, which go to damage. */
static enum vqct_status copy_blocks(struct unpacking *unpacking, struct vqct_error *damage,
                                    struct vqct_error *error) {
  const struct libarchive *library = unpacking->library;
  for (;;) {
    const void *block;
    size_t size;
    la_int64_t offset;
    int result = library->read_data_block(unpacking->archive, &block, &size, &offset);
    if (asked_to_stop(unpacking->stop))
      return error_set(error, VQCT_INTERRUPTED, "stopped while %s was unpacked",
                       unpacking->source->name);
    if (result == ARCHIVE_EOF)
      return VQCT_OK;
    if (result != ARCHIVE_OK && result != ARCHIVE_WARN) {
      fault(unpacking, damage);
      return VQCT_OK;
    }
    enum vqct_status status;
    if ((status = check_bound(unpacking, size, error)) ||
        (status = write_block(unpacking, block, size, error)))
      return status;
  }
}

/* Whether the file is compressed by gzip and, where something was unpacked, in no other way. */
static bool is_gzip(const struct unpacking *unpacking) {
  const struct mapped_file *mapped = unpacking->source->mapped;
  if (!mapped || mapped->size < 2 || mapped->data[0] != 0x1f || mapped->data[1] != 0x8b)
    return false;
  return !unpacking->written ||
         unpacking->library->filter_code(unpacking->archive, 1) == ARCHIVE_FILTER_NONE;
}

/* Writes what of the next bytes is not written yet; `at` is where they begin. */
static enum vqct_status write_new(struct unpacking *unpacking, const unsigned char *block,
                                  size_t size, uint64_t at, struct vqct_error *error) {
  uint64_t old = unpacking->written > at ? unpacking->written - at : 0;
  if (old >= size)
    return VQCT_OK;
  enum vqct_status status = check_bound(unpacking, size - (size_t)old, error);
  return status == VQCT_OK ? write_block(unpacking, block + old, size - (size_t)old, error)
                           : status;
}

/* libarchive drops the whole block of 64 KiB that a damaged file ends in; zlib gives all up to
 * there. */
static enum vqct_status copy_rest_of_gzip(struct unpacking *unpacking, struct vqct_error *error) {
  enum { GZIP = 15 + 16 };
  const struct mapped_file *mapped = unpacking->source->mapped;
  unsigned char block[16384];
  z_stream stream = {.next_in = (unsigned char *)(uintptr_t)mapped->data};
  size_t left = mapped->size;
  if (inflateInit2(&stream, GZIP) != Z_OK)
    return error_set(error, VQCT_MEMORY, "%s: no memory to unpack it", unpacking->source->name);
  enum vqct_status status = VQCT_OK;
  int result = Z_OK;
  uint64_t at = 0;
  while (status == VQCT_OK && result == Z_OK && !asked_to_stop(unpacking->stop)) {
    uInt part = left < UINT_MAX ? (uInt)left : UINT_MAX;
    stream.avail_in = part;
    stream.next_out = block;
    stream.avail_out = sizeof block;
    result = inflate(&stream, Z_NO_FLUSH);
    left -= part - stream.avail_in;
    status = write_new(unpacking, block, sizeof block - stream.avail_out, at, error);
    at += sizeof block - stream.avail_out;
    if (result == Z_STREAM_END && left) /* several may stand one behind the other */
      result = inflateReset(&stream);
  }
  inflateEnd(&stream);
  return status;
}

/* Opens the archive and its one member. */
static enum vqct_status begin(struct unpacking *unpacking, struct input *input,
                              struct vqct_error *error) {
  const struct libarchive *library = unpacking->library;
  const struct mapped_file *mapped = unpacking->source->mapped;
  struct archive_entry *entry;
  unpacking->archive = library->read_new();
  if (!unpacking->archive)
    return error_set(error, VQCT_MEMORY, "%s: no memory to unpack it", unpacking->source->name);
  if (!support_filters(library, unpacking->archive))
    return fault(unpacking, error);
  int result = mapped ? library->read_open_memory(unpacking->archive, mapped->data, mapped->size)
                      : library->read_open(unpacking->archive, input, NULL, read_input, NULL);
  if (result == ARCHIVE_OK)
    result = library->read_next_header(unpacking->archive, &entry);
  if (result == ARCHIVE_EOF)
    return error_set(error, VQCT_DATA, "%s: it is empty", unpacking->source->name);
  if (result == ARCHIVE_OK || result == ARCHIVE_WARN)
    return VQCT_OK;
  if (asked_to_stop(unpacking->stop))
    return error_set(error, VQCT_INTERRUPTED, "stopped while %s was read", unpacking->source->name);
  if (!mapped && !input->began)
    return error_set(error, VQCT_DATA, "%s: nothing came: neither an archive nor a path",
                     unpacking->source->name);
  return fault(unpacking, error);
}

/* What can be unpacked; *damage tells why it is not all. */
static enum vqct_status copy_all(struct unpacking *unpacking, struct input *input,
                                 struct vqct_error *damage, struct vqct_error *error) {
  enum vqct_status status = begin(unpacking, input, error);
  if (status == VQCT_DATA)
    *damage = *error;
  else if (status || (status = copy_blocks(unpacking, damage, error)))
    return status;
  bool more = damage->status == VQCT_DATA && is_gzip(unpacking);
  if (more && (status = copy_rest_of_gzip(unpacking, error)))
    return status;
  if (unpacking->written || damage->status == VQCT_OK)
    return VQCT_OK;
  return error_set(error, VQCT_DATA, "%s", damage->message);
}

enum vqct_status unpack_needed(const struct unpack_source *source, const struct libarchive *library,
                               bool *needed, struct vqct_error *error) {
  struct unpacking unpacking = {.source = source, .library = library};
  enum vqct_status status = begin(&unpacking, NULL, error);
  /* A plain file does not fail here; how much of a damaged one can be unpacked, unpack tells. */
  *needed =
      status == VQCT_DATA ||
      (status == VQCT_OK && library->filter_code(unpacking.archive, 0) != ARCHIVE_FILTER_NONE);
  library->read_free(unpacking.archive);
  return *needed ? VQCT_OK : status;
}

enum vqct_status unpack(const struct unpack_source *source, const struct libarchive *library,
                        const struct shard_stop *stop, struct unpacked *result,
                        struct vqct_error *error) {
  *result = (struct unpacked){.damage.status = VQCT_OK};
  struct unpacking unpacking = {.source = source,
                                .library = library,
                                .stop = stop,
                                .descriptor = -1,
                                .checksum = crc32(0, NULL, 0)};
  struct input *input = malloc(sizeof *input);
  if (!input)
    return error_set(error, VQCT_MEMORY, "%s: no memory to unpack it", source->name);
  input->library = library;
  input->stop = stop;
  input->began = false;
  enum vqct_status status;
  if ((status =
           temporary_file_open("an archive cannot be unpacked", &unpacking.descriptor, error)) ||
      (status = copy_all(&unpacking, input, &result->damage, error)) ||
      (status = mapped_file_of(unpacking.descriptor, source->name, &result->file, error)))
    goto done;
  result->checksum = (uint32_t)unpacking.checksum;
done:
  if (unpacking.archive)
    library->read_free(unpacking.archive);
  if (unpacking.descriptor >= 0)
    close(unpacking.descriptor);
  free(input);
  return status;
}
