/* NumPy's .npy files: one array with a text header (format versions 1.0, 2.0 and 3.0).
 *
 * A header written here is padded to NPY_HEADER_SIZE bytes whatever the shape, so that a writer can
 * put the final shape there at the end.
 */
#ifndef IO_NPY_H
#define IO_NPY_H

#include "mapped_file.h"
#include "tensor.h"
#include "vqct/status.h"

#define NPY_HEADER_SIZE 256 /* bytes */

/** An opened array; its tensor's name is "" and its data lies in the mapping. */
struct npy {
  struct mapped_file mapped;
  struct tensor tensor;
};

/** Maps a file and checks its header: C order, little-endian numbers or bytes, and exactly as many
 * bytes as the shape says. Errors: READ, DATA (naming file and fault); npy is then empty. */
enum vqct_status npy_open(const char *path, struct npy *npy, struct vqct_error *error);

/** Unmaps and clears; may be called again. */
void npy_close(struct npy *npy);

/** The same for bytes in memory, which stay the caller's; name stands in messages. Errors: DATA. */
enum vqct_status npy_parse(const char *name, const void *data, size_t size, struct tensor *tensor,
                           struct vqct_error *error);

/** The header of an array of a type that numpy has (not BF16, F8) and of up to TENSOR_DIMS_MAX
 * dimensions. */
void npy_header(enum tensor_type type, int dims, const size_t *shape, char header[NPY_HEADER_SIZE]);

#endif
