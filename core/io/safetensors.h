/* safetensors files: 8 bytes of header length, a JSON header, packed little-endian tensors.
 *
 * Everything a header says is checked before it is used: lengths, types, shapes against sizes, and
 * that the tensors fill the data without a gap or an overlap, so that a tensor's view is always
 * within the file. Errors name the file, the tensor and the fault.
 */
#ifndef IO_SAFETENSORS_H
#define IO_SAFETENSORS_H

#include "tensor.h"
#include "vqct/status.h"

struct safetensors;

/** Reads a file into memory, which may be overwritten in place meanwhile, and checks its header.
 * Errors: READ, MODEL, MEMORY; *file is then NULL. */
enum vqct_status safetensors_copy(const char *path, struct safetensors **file,
                                  struct vqct_error *error);

/** Maps a file and checks its header. Errors: READ, MODEL, MEMORY; *file is then NULL. */
enum vqct_status safetensors_open(const char *path, struct safetensors **file,
                                  struct vqct_error *error);

/** The same for bytes in memory, which stay the caller's and must outlive the result; name stands
 * in messages. Errors: MODEL, MEMORY. */
enum vqct_status safetensors_parse(const char *name, const void *data, size_t size,
                                   struct safetensors **file, struct vqct_error *error);

/** Unmaps and frees; NULL is allowed. Tensors and texts of the file end with it. */
void safetensors_close(struct safetensors *file);

/** How many tensors there are. */
size_t safetensors_count(const struct safetensors *file);

/** Tensor number `index`, 0 to count - 1, ordered by name. */
const struct tensor *safetensors_tensor(const struct safetensors *file, size_t index);

/** The tensor of a name, NULL if there is none. */
const struct tensor *safetensors_find(const struct safetensors *file, const char *name);

/** A text of the header's __metadata__, NULL if there is none of that key. */
const char *safetensors_metadata(const struct safetensors *file, const char *key);

/** All bytes of the file. */
const void *safetensors_bytes(const struct safetensors *file, size_t *size);

/** Gives the memory of some bytes back, which must not be read again, where the file was opened or
 * copied. */
void safetensors_discard(const struct safetensors *file, const void *data, size_t size);

struct safetensors_text {
  const char *key, *value; /* UTF-8 */
};

/** Writes a file that appears whole or not at all. Tensors are laid out by falling size of their
 * numbers, otherwise in the given order, from an offset that is a multiple of 64, so that each is
 * aligned. Their counts need not be set. Errors: WRITE, MEMORY, INVALID (a name twice, or one that
 * is not UTF-8). */
enum vqct_status safetensors_save(const char *path, const struct tensor *tensors, size_t count,
                                  const struct safetensors_text *metadata, size_t texts,
                                  struct vqct_error *error);

#endif
