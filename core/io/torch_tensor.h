/* What a pickle says of a PyTorch tensor: a view of a storage that lies elsewhere. */
#ifndef IO_TORCH_TENSOR_H
#define IO_TORCH_TENSOR_H

#include <stdbool.h>

#include "pickle.h"
#include "tensor.h"

/** Where a storage is: named by the file's reader, or as bytes inside the pickle. */
struct torch_storage {
  enum tensor_type type;
  const char *key;                  /* NULL: in the pickle */
  const struct pickle_value *bytes; /* what torch.save made of it, inside the pickle; else NULL */
  uint64_t count;                   /* numbers; 0 where only the bytes tell */
};

/** A view: number i0, i1, ... is number offset + i0 stride[0] + i1 stride[1] + ... of the storage.
 */
struct torch_view {
  struct torch_storage storage;
  uint64_t offset, stride[TENSOR_DIMS_MAX];
};

/** Whether the value is a tensor, in one of the forms that are read. */
bool torch_is_tensor(const struct pickle_value *value);

/** What a value is that holds tensors in a form that is not read, such as sparse ones, arrays of
 * numpy or a whole module, and what to do: "made by ...". NULL for all others. The text lies in
 * `memory`. Errors: MEMORY. */
enum vqct_status torch_unread(const struct pickle_value *value, struct arena *memory,
                              const char **what);

/** Reads type, shape and view; tensor->name is left alone and its data are NULL. `name` stands in
 * messages. Errors: MODEL. */
enum vqct_status torch_tensor_read(const char *name, const struct pickle_value *value,
                                   struct tensor *tensor, struct torch_view *view,
                                   struct vqct_error *error);

/** What a storage's persistent name says. Errors: MODEL. */
enum vqct_status torch_storage_read(const char *name, const struct pickle_value *outside,
                                    struct torch_storage *storage, struct vqct_error *error);

/** Whether every number of the view lies in a storage of `count`. There may be more of them than
 * that: strides of 0 repeat numbers. */
bool torch_view_fits(const struct tensor *tensor, const struct torch_view *view, uint64_t count);

/** Copies the numbers of a view that fits from its storage to row-major order. */
void torch_view_gather(const struct tensor *tensor, const struct torch_view *view,
                       const void *storage, void *to);

#endif
