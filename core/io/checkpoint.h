/* A checkpoint's tensors, in whatever files they are: one safetensors file or file of PyTorch, an
 * index of Hugging Face's with its shards (model.safetensors.index.json), or the folder that such
 * files lie in. They are told apart by their bytes, not by their names.
 *
 *   struct checkpoint *checkpoint;
 *   if (checkpoint_open("last.ckpt", &checkpoint, &error) == VQCT_OK) {
 *     struct tensor_table table = checkpoint_tensors(checkpoint);
 *     checkpoint_read(checkpoint, 0, values, &error);
 *     checkpoint_close(checkpoint);
 *   }
 */
#ifndef IO_CHECKPOINT_H
#define IO_CHECKPOINT_H

#include "tensor.h"
#include "vqct/status.h"

struct checkpoint;

/** Opens it and lists its tensors. Errors: READ, MODEL, MEMORY, naming the file; *checkpoint is
 * then NULL. */
enum vqct_status checkpoint_open(const char *path, struct checkpoint **checkpoint,
                                 struct vqct_error *error);

/** Frees; NULL is allowed. */
void checkpoint_close(struct checkpoint *checkpoint);

/** All tensors, by name. Their data may be NULL: checkpoint_read gets the numbers. */
struct tensor_table checkpoint_tensors(const struct checkpoint *checkpoint);

/** Reads tensor number `index` of a float type as count floats. Not for two threads at once.
 * Errors: MODEL (a damaged storage), MEMORY. */
enum vqct_status checkpoint_read(const struct checkpoint *checkpoint, size_t index, float *values,
                                 struct vqct_error *error);

/** A text of the metadata of a checkpoint that is one safetensors file; else NULL. */
const char *checkpoint_metadata(const struct checkpoint *checkpoint, const char *key);

/** The path of the config.json in the checkpoint's folder; NULL where it is no folder or has none.
 */
const char *checkpoint_config(const struct checkpoint *checkpoint);

#endif
