/* Where in a checkpoint the tokenizer is: what stands before its names. */
#ifndef IMPORT_IMPORT_PREFIX_H
#define IMPORT_IMPORT_PREFIX_H

#include "import_names.h"

/** The prefix of the one tokenizer of a checkpoint, "" where its names are bare. Errors: MODEL
 * (several, which are listed), INVALID (none under the prefix that the source gives). */
enum vqct_status import_prefix_find(const struct import_source *source,
                                    char prefix[IMPORT_PREFIX_MAX], struct vqct_error *error);

/** Whether what stands under the prefix are moving averages as LlamaGen saves them, beside the
 * weights. */
bool import_prefix_is_average(const char *prefix);

/** Whether the tokenizer is the first stage of a latent diffusion model. */
bool import_diffusion_is_beside(const struct import_source *source, const char *prefix);

/** The number of the tensor of a name; the table's count where there is none. */
size_t import_tensor_find(const struct tensor_table *tensors, const char *name);

#endif
