/* A file that grows over several runs as PATH.part, and gets its name when it is whole.
 *
 *   struct part_file part;
 *   if (part_file_open(&part, strdup(path), error) == VQCT_OK &&
 *       part_file_cut(&part, kept, error) == VQCT_OK &&
 *       part_file_append(&part, data, size, error) == VQCT_OK)
 *     part_file_finish(&part, error);
 *   part_file_close(&part, PART_KEPT);
 *
 * The same calls write to standard output, where nothing is gone on with: as it comes, or whole at
 * the end from a file without a name, whose beginning is then known.
 *
 * A lock keeps a second process from the same file. It ends with the descriptor that is here, or
 * with any other of the file that this process closes: what is in it is read through this one.
 */
#ifndef COMMAND_PART_FILE_H
#define COMMAND_PART_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vqct/status.h"

/** What a record stands for. */
enum part_kind {
  PART_NAMED,  /* PATH.part, which becomes PATH */
  PART_STREAM, /* standard output: each write must follow the one before */
  PART_SPOOLED /* a file without a name, which goes to standard output when it is whole */
};

struct part_file {
  enum part_kind kind;
  char *path, *temporary; /* owned; the second only of PART_NAMED */
  int descriptor;         /* -1: closed */
  bool fresh;             /* this process holds the lock and found nothing written */
  uint64_t size;          /* bytes that count: where the next go */
};

/** A record without a file, which part_file_close takes. */
#define PART_FILE_CLOSED                                                                           \
  { .descriptor = -1 }

/** What becomes of a file that did not get its name. */
enum part_end {
  PART_REMOVED,
  PART_KEPT,    /* for a later run */
  PART_AS_FOUND /* removed where this run made it */
};

/** Opens what an earlier run left, or makes the file. Takes path, from malloc, which may be NULL
 * where there was no memory for it. Errors: WRITE (also where another process writes it), MEMORY;
 * the record is to be closed all the same. */
enum vqct_status part_file_open(struct part_file *part, char *path, struct vqct_error *error);

/** Begins what goes to standard output; kind is PART_STREAM or PART_SPOOLED. Errors: WRITE, MEMORY;
 * the record is to be closed all the same. */
enum vqct_status part_file_open_output(struct part_file *part, enum part_kind kind,
                                       struct vqct_error *error);

/** Bytes that are in the file, which an earlier run may have written. Errors: WRITE. */
enum vqct_status part_file_found(const struct part_file *part, uint64_t *bytes,
                                 struct vqct_error *error);

/** Makes the file this long; what is added reads as zeros. Of a stream it is the size so far.
 * Errors: WRITE. */
enum vqct_status part_file_cut(struct part_file *part, uint64_t size, struct vqct_error *error);

/** Errors: WRITE. */
enum vqct_status part_file_append(struct part_file *part, const void *data, size_t size,
                                  struct vqct_error *error);

/** Writes over what is there, which no stream takes. Errors: WRITE. */
enum vqct_status part_file_write_at(struct part_file *part, const void *data, size_t size,
                                    uint64_t offset, struct vqct_error *error);

/** Flushes the file to the disk and gives it its name, or sends it to standard output. Errors:
 * WRITE. */
enum vqct_status part_file_finish(struct part_file *part, struct vqct_error *error);

/** Closes and frees; may be called again. */
void part_file_close(struct part_file *part, enum part_end end);

#endif
