/* Inception v3 up to its pooled features of 2,048 numbers, which the Frechet inception distance
 * compares. Pictures are resized to 299 x 299, as that distance has it, by bilinear interpolation
 * without a filter (PyTorch's, align_corners=False). An opened network is read only. */
#ifndef EVAL_INCEPTION_H
#define EVAL_INCEPTION_H

#include <stddef.h>

#include "exec.h"
#include "network_file.h"

struct inception;

/** Reads weights with torchvision's names. Errors: MODEL (naming the tensor), NOT_FINITE, MEMORY;
 * *inception is then NULL. */
enum vqct_status inception_read(const struct network_file *from, struct inception **inception);

/** NULL is allowed. */
void inception_free(struct inception *inception);

/** How many numbers inception_pool writes for a picture. */
size_t inception_pool_size(void);

/** The features of two pictures x and y (H,W,3 in [-1,1]): those of x in pooled, then those of y.
 * Errors: MEMORY. */
enum vqct_status inception_pool(const struct inception *inception, const float *x, const float *y,
                                int height, int width, float *pooled, const struct exec *exec,
                                struct vqct_error *error);

#endif
