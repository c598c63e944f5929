/* The scalars of a YAML or JSON file (which is YAML too), each with the key that it stands under.
 */
#ifndef IO_YAML_SCALARS_H
#define IO_YAML_SCALARS_H

#include "vqct/status.h"

/** Told each scalar: the nearest key above it ("" where there is none) and the text. */
typedef void yaml_scalar(void *context, const char *key, const char *value);

/** Goes through a file of at most 1 MiB. Aliases stand for nothing, so nothing unfolds. Errors:
 * READ, MODEL (naming the line), MEMORY. */
enum vqct_status yaml_scalars(const char *path, yaml_scalar *take, void *context,
                              struct vqct_error *error);

#endif
