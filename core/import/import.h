/* Checkpoints of other programs as the content of a model file.
 *
 *   struct import_request request = {.path = "vqgan.safetensors", .name = "vqgan"};
 *   if (import_read(&request, &exec, &import, &error) == VQCT_OK)
 *     model_file_save("model.safetensors", &import.content, TENSOR_F32, &error);
 *   else
 *     for (size_t i = 0; i < import.issues; i++)
 *       fprintf(stderr, "%s\n", import.issue[i].message);
 *   import_free(&import);
 *
 * Families are told apart by their names (docs/import.md). The architecture comes from the shapes
 * where it is not given; what shapes do not show is assumed as the family has it: 32 groups, and L2
 * normalisation for LlamaGen and Janus. How codes are chosen is never guessed.
 */
#ifndef IMPORT_H
#define IMPORT_H

#include "exec.h"
#include "import_names.h"
#include "model_file.h"
#include "prior.h"

/** How the code of a vector is chosen, where the checkpoint does not tell. */
enum import_distance { IMPORT_UNTOLD, IMPORT_EUCLIDEAN, IMPORT_DOT };

struct import_request {
  const char *path;                  /* of the checkpoint: a file, an index or a folder */
  const char *name;                  /* of the model; printable ASCII of 1 to 63 characters */
  const struct model_config *config; /* NULL: inferred */
  const struct prior *prior;         /* words and graph of a VQCT checkpoint, else NULL */
  int adjective_k;                   /* 1 or 2; used where a VQCT configuration is inferred */
  const char *source_config;         /* path of the family's own configuration; NULL: that of the
                                      * checkpoint's folder, if there is one */
  const char *prefix;                /* before the tokenizer's names; NULL: to be found */
  bool averages;                     /* take moving averages in place of the weights */
  enum import_distance distance;
  const char *const *ignore; /* patterns (of the shell) of unexpected tensors to pass over */
  size_t ignored_patterns;
};

struct import {
  enum import_family family;
  struct model_config config;
  struct model_content content;   /* points into this record and the prior */
  char prefix[IMPORT_PREFIX_MAX]; /* where it was found */
  size_t dropped;                 /* tensors that are not needed, such as the training loss */
  size_t others;                  /* tensors under other prefixes */
  size_t ignored;                 /* tensors that the patterns passed over */
  struct vqct_error *issue;       /* after an error of MODEL: one for every tensor to blame */
  size_t issues;
  float *weights, *codebook;
};

/** Reads a checkpoint. Issues are kept after a failure, so import_free must follow in any case; the
 * content's words belong to the prior. Errors: READ, MODEL (a damaged file, an unknown family, a
 * configuration that cannot be, or tensors that are missing, unexpected or of a wrong shape or
 * type), INVALID (a prior is needed or does not fit, or it is a model file already), MEMORY. */
enum vqct_status import_read(const struct import_request *request, const struct exec *exec,
                             struct import *import, struct vqct_error *error);

/** Frees; may be called again. */
void import_free(struct import *import);

/** The architecture that the shapes of a checkpoint's network show. What is not there counts as
 * absent; whether all fits is for import_read to say. Errors: MODEL. */
enum vqct_status import_infer(const struct import_request *request,
                              const struct import_entries *entries, struct model_config *config,
                              struct vqct_error *error);

/** Sets how codes are chosen, from the family, its own configuration, the request, and `dot` in a
 * given configuration, whose default counts as not told. Errors: MODEL (nothing tells), INVALID
 * (they contradict one another). */
enum vqct_status import_infer_distance(const struct import_request *request,
                                       const struct import_entries *entries,
                                       struct model_config *config, struct vqct_error *error);

#endif
