/* What published networks have in common: reading their weights from a safetensors file, and the
 * mean over positions that they end with. */
#ifndef EVAL_NETWORK_FILE_H
#define EVAL_NETWORK_FILE_H

#include "safetensors.h"
#include "vqct/status.h"

/** A file that is being read, and where its faults go. */
struct network_file {
  const char *path;
  struct safetensors *file;
  struct vqct_error *error;
};

/** Copies a tensor of exactly this shape into *values, memory from malloc that the caller frees.
 * Errors: MODEL (it is missing, or of another shape or type), NOT_FINITE, MEMORY; all name it. */
enum vqct_status network_file_read(const struct network_file *from, const char *name, int dims,
                                   const size_t *shape, float **values);

/** mean[channels] of x (positions,channels) over the positions, summed in double in their order. */
void positions_mean(const float *x, size_t positions, size_t channels, float *mean);

#endif
