/* A checkpoint's tensors, in whatever files they are: one safetensors file or file of PyTorch, an
 * index of Hugging Face's with its shards (model.safetensors.index.json), or the folder that such
 * files lie in. They are told apart by their bytes, not by their names.
 *
 *   struct tensor_files *files;
 *   if (tensor_files_open("last.ckpt", &files, &error) == VQCT_OK) {
 *     struct tensor_table table = tensor_files_tensors(files);
 *     tensor_files_read(files, 0, values, &error);
 *     tensor_files_close(files);
 *   }
 */
#ifndef IO_TENSOR_FILES_H
#define IO_TENSOR_FILES_H

#include <stdint.h>

#include "tensor.h"
#include "vqct/status.h"

struct tensor_files;

/** Opens it and lists its tensors. Errors: READ, MODEL, MEMORY, naming the file; *files is
 * then NULL. */
enum vqct_status tensor_files_open(const char *path, struct tensor_files **files,
                                   struct vqct_error *error);

/** Frees; NULL is allowed. */
void tensor_files_close(struct tensor_files *files);

/** All tensors, by name. Their data may be NULL: tensor_files_read gets the numbers. */
struct tensor_table tensor_files_tensors(const struct tensor_files *files);

/** Bytes of all the files. */
uint64_t tensor_files_bytes(const struct tensor_files *files);

/** Reads tensor number `index` of a float type, not one with `unread`, as count floats. Not for two
 * threads at once. Errors: MODEL (a damaged storage), MEMORY. */
enum vqct_status tensor_files_read(const struct tensor_files *files, size_t index, float *values,
                                   struct vqct_error *error);

/** A text of the metadata of a checkpoint that is one safetensors file; else NULL. */
const char *tensor_files_metadata(const struct tensor_files *files, const char *key);

/** The path of the config.json in the checkpoint's folder; NULL where it is no folder or has none.
 */
const char *tensor_files_config(const struct tensor_files *files);

#endif
