/* The tensors of a checkpoint under the names that a model file has for them. */
#ifndef IMPORT_IMPORT_NAMES_H
#define IMPORT_IMPORT_NAMES_H

#include "tensor.h"
#include "vqct/status.h"

/* X(NAME, what it is called in reports) */
#define IMPORT_FAMILY_MAP(X)                                                                       \
  X(TAMING, "taming VQGAN")                                                                        \
  X(IBQ, "IBQ") /* taming's names: told by how codes are chosen, never found */                    \
  X(VQCT, "VQCT")                                                                                  \
  X(GUMBEL, "Gumbel VQGAN")                                                                        \
  X(MOVQ, "MoVQ")                                                                                  \
  X(SHOWO, "Show-o's MAGVIT-v2")                                                                   \
  X(JANUS, "Hugging Face's JanusVQVAE")                                                            \
  X(CHAMELEON, "Hugging Face's ChameleonVQVAE")                                                    \
  X(DIFFUSERS, "diffusers VQModel")                                                                \
  X(LLAMAGEN, "LlamaGen VQ")

enum import_family {
#define IMPORT_FAMILY_ENUM(name, text) IMPORT_##name,
  IMPORT_FAMILY_MAP(IMPORT_FAMILY_ENUM)
#undef IMPORT_FAMILY_ENUM
};

#define IMPORT_NAME_MAX   96
#define IMPORT_PREFIX_MAX 256

/** One tensor of the checkpoint. */
struct import_entry {
  char name[IMPORT_NAME_MAX]; /* as in a model file; that of the checkpoint where it has none */
  const struct tensor *tensor;
  size_t index;    /* of the tensor in the table that its numbers are read from: itself or its
                    * average */
  bool no_average; /* averages were asked for, and it has none */
  bool used;       /* set by whoever reads it */
};

/** Where to look. */
struct import_source {
  const char *path; /* for messages */
  struct tensor_table tensors;
  const char *prefix; /* what stands before the tokenizer's names; NULL: to be found */
  bool averages;      /* take the moving averages in place of the weights */
};

struct import_entries {
  enum import_family family;
  char prefix[IMPORT_PREFIX_MAX]; /* before all of its names in the checkpoint */
  struct import_entry *entry;     /* by name */
  size_t count;
  size_t dropped;    /* of the training loss, or counters: not needed */
  size_t others;     /* under other prefixes */
  bool decoder;      /* there is one */
  bool spatial_norm; /* some of its norms are spatial */
  bool euclidean;    /* what stands beside tells that codes are chosen by distance */
  bool dot;          /* the same, by the dot product */
  int groups;        /* of every norm; 0: not told */
};

/** "taming VQGAN" and so on. */
const char *import_family_name(enum import_family family);

/** The table of codes of a family that has one. */
const char *import_codebook_name(enum import_family family);

/** Finds the one tokenizer in a checkpoint, tells its family by its names and gives every tensor
 * its new name. What stands before the names, such as "first_stage_model.", is taken off, and
 * tensors under other prefixes are left. Errors: MODEL (no known family; several tokenizers, which
 * are listed; no averages), INVALID (no tokenizer under the given prefix), MEMORY; entries is then
 * empty. */
enum vqct_status import_entries_init(const struct import_source *source,
                                     struct import_entries *entries, struct vqct_error *error);

/** Frees; may be called again. */
void import_entries_free(struct import_entries *entries);

/** The entry of a name, NULL if there is none. */
struct import_entry *import_entry_find(const struct import_entries *entries, const char *name);

#endif
