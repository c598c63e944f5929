/* Files of torch.save: a zip of one pickle, which names the tensors, and of their raw storages.
 *
 * Tensors are found in nested dictionaries; those of {"state_dict": {"a": tensor}} is called
 * "state_dict.a". Nothing is executed. What is not a tensor in a dictionary is passed over; what
 * holds tensors in a form that is not read is listed with what it is. Views are checked against
 * their storages before anything is read, and only storages that are asked for are read. A view may
 * repeat its storage's numbers, so a tensor may be larger than the file (core/io/unfold.h).
 */
#ifndef IO_TORCH_FILE_H
#define IO_TORCH_FILE_H

#include <stdbool.h>

#include "pickle.h"
#include "tensor.h"

struct torch_file;

/** Whether bytes begin like a file of torch.save, of today or of before PyTorch 1.6. */
bool torch_file_begins(const void *bytes, size_t size);

/** Opens a file and lists its tensors. Errors: READ, MODEL (naming what is wrong; a file of before
 * PyTorch 1.6 is refused with how to convert it), MEMORY; *file is then NULL. */
enum vqct_status torch_file_open(const char *path, struct torch_file **file,
                                 struct vqct_error *error);

/** The same for bytes in memory, which stay the caller's and must outlive the result. */
enum vqct_status torch_file_parse(const char *name, const void *data, size_t size,
                                  struct torch_file **file, struct vqct_error *error);

/** Frees; NULL is allowed. */
void torch_file_close(struct torch_file *file);

/** The tensors, by name. Their data are NULL: torch_file_read gets them. */
const struct tensor *torch_file_tensors(const struct torch_file *file, size_t *count);

/** Reads tensor number `index` of a float type, not one with `unread`, as count floats, whatever
 * its strides. Not for two threads at once. Errors: MODEL (a damaged or compressed storage),
 * MEMORY. */
enum vqct_status torch_file_read(struct torch_file *file, size_t index, float *values,
                                 struct vqct_error *error);

/** A tensor as a plain pickle holds it, its storage's bytes inside the stream, as floats. *values
 * comes from malloc, count of one dimension or of one row. Errors: MODEL, MEMORY. */
enum vqct_status torch_pickled_vector(const struct pickle_value *value, float **values,
                                      size_t *count, struct vqct_error *error);

#endif
