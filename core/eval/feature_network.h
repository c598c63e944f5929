/* Features that a network sees in pictures, as what a Frechet distance is measured on.
 *
 *   struct features *features;
 *   if (features_open("inception.safetensors", &features, error) == VQCT_OK)
 *     features_of_pair(features, x, y, 256, 256, values, exec, error);
 *
 * Which network a file holds is told by its tensors: Inception v3, whose distance is the published
 * FID; SqueezeNet 1.1 or VGG16 (the files of LPIPS, whose linear heads are not needed), whose
 * distance is another measure and is called by another name. An opened network is read only, so any
 * number of threads may use it, each with its own exec.
 */
#ifndef EVAL_FEATURE_NETWORK_H
#define EVAL_FEATURE_NETWORK_H

#include <stddef.h>

#include "exec.h"
#include "vqct/status.h"

struct features;

/** Reads a network. Errors: READ, MODEL (naming the tensor), NOT_FINITE, MEMORY; *features is then
 * NULL. */
enum vqct_status features_open(const char *path, struct features **features,
                               struct vqct_error *error);

/** NULL is allowed. */
void features_free(struct features *features);

/** What a Frechet distance on these features is called: "FID", or a name that says which network
 * it is of. */
const char *features_measure(const struct features *features);

/** Numbers of one picture's features. */
size_t features_dimension(const struct features *features);

/** The features of two pictures x and y (H,W,3 in [-1,1]): values holds those of x, then those of
 * y. Errors: INVALID (too small a picture for the network), MEMORY. */
enum vqct_status features_of_pair(const struct features *features, const float *x, const float *y,
                                  int height, int width, float *values, const struct exec *exec,
                                  struct vqct_error *error);

#endif
