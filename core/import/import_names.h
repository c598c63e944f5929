/* The tensors of a checkpoint under the names that a model file has for them. */
#ifndef IMPORT_IMPORT_NAMES_H
#define IMPORT_IMPORT_NAMES_H

#include "safetensors.h"

/* X(NAME, what it is called in reports) */
#define IMPORT_FAMILY_MAP(X)                                                                       \
  X(TAMING, "taming VQGAN")                                                                        \
  X(VQCT, "VQCT")                                                                                  \
  X(DIFFUSERS, "diffusers VQModel")                                                                \
  X(LLAMAGEN, "LlamaGen VQ")

enum import_family {
#define IMPORT_FAMILY_ENUM(name, text) IMPORT_##name,
  IMPORT_FAMILY_MAP(IMPORT_FAMILY_ENUM)
#undef IMPORT_FAMILY_ENUM
};

#define IMPORT_NAME_MAX 96

/** One tensor of the checkpoint. */
struct import_entry {
  char name[IMPORT_NAME_MAX]; /* as in a model file; that of the checkpoint where it has none */
  const struct tensor *tensor;
  bool used; /* set by whoever reads it */
};

struct import_entries {
  enum import_family family;
  struct import_entry *entry; /* by name */
  size_t count;
  size_t dropped; /* of the training loss, or counters: not needed */
};

/** "taming VQGAN" and so on. */
const char *import_family_name(enum import_family family);

/** Tells the family by its names and gives every tensor its new name. A prefix that stands before
 * all of the network's names, such as "module.", is taken off. Errors: MODEL (no known family),
 * MEMORY; entries is then empty. */
enum vqct_status import_entries_init(const char *path, const struct safetensors *file,
                                     struct import_entries *entries, struct vqct_error *error);

/** Frees; may be called again. */
void import_entries_free(struct import_entries *entries);

/** The entry of a name, NULL if there is none. */
struct import_entry *import_entry_find(const struct import_entries *entries, const char *name);

#endif
