/* What a family's own configuration, a .yaml or config.json, tells that the shapes do not. */
#ifndef IMPORT_IMPORT_HINTS_H
#define IMPORT_IMPORT_HINTS_H

#include "import_names.h"

/** Reads a configuration into the entries: how codes are chosen, by the class that it names
 * (taming's and latent diffusion's VQModel, IBQ), and the number of groups. Errors: READ, MODEL,
 * MEMORY. */
enum vqct_status import_hints_read(const char *path, struct import_entries *entries,
                                   struct vqct_error *error);

#endif
