/* A model file as the source that a network packs its weights from.
 *
 * fp32 weights are served where they lie in the file's copy; fp16 and bf16 ones are converted into
 * memory that is held only until the network releases them. A released weight's pages are
 * discarded, so that packing holds little more than the packed weights in memory: a file's weights
 * can be had once.
 */
#ifndef MODEL_WEIGHTS_H
#define MODEL_WEIGHTS_H

#include "model_file.h"
#include "network.h"

struct weights {
  const struct model_file *file;
  float **converted; /* for each parameter: its conversion while it is held, else NULL */
};

/** Errors: MEMORY. The file must outlive the result. */
enum vqct_status weights_init(struct weights *weights, const struct model_file *file,
                              struct vqct_error *error);

/** Frees what is still held; may be called again. */
void weights_free(struct weights *weights);

/** The source for network_new and network_load, valid as long as the weights are. Its errors:
 * MEMORY. */
struct parameter_source weights_source(struct weights *weights);

/** The values of the flat block of the file's parameter list, in fp32. */
void weights_to_block(const struct model_file *file, float *block);

#endif
