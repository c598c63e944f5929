/* LPIPS: how different two pictures look to a network that was trained to recognise things.
 *
 *   struct perceptual *lpips;
 *   if (perceptual_open("lpips_squeeze.safetensors", &lpips, error) == VQCT_OK)
 *     perceptual_distance(lpips, x, y, 1, 256, 256, &distance, exec, error);
 *
 * Source: Zhang et al. 2018, version 0.1, with SqueezeNet 1.1 or VGG16 features; which of the two
 * is told by the file's tensors. Activations at several depths are scaled to length 1 over the
 * channels; their squared difference, weighted by a linear head, is averaged over positions and
 * summed over depths.
 *
 * Pictures are N,H,W,3 in [-1,1]. An opened network is read only, so any number of threads may use
 * it, each with its own exec.
 */
#ifndef EVAL_PERCEPTUAL_H
#define EVAL_PERCEPTUAL_H

#include "exec.h"
#include "vqct/status.h"

struct perceptual;

/** Reads the weights: `features.N...` as torchvision names them and `lin{K}.model.1.weight`.
 * Errors: READ, MODEL (naming the tensor), MEMORY; *perceptual is then NULL. */
enum vqct_status perceptual_open(const char *path, struct perceptual **perceptual,
                                 struct vqct_error *error);

/** NULL is allowed. */
void perceptual_free(struct perceptual *perceptual);

/** "squeeze" or "vgg". */
const char *perceptual_name(const struct perceptual *perceptual);

/** The distance of each of `images` pairs, in distance[images]. Errors: INVALID (pictures too small
 * for the network), MEMORY. */
enum vqct_status perceptual_distance(const struct perceptual *perceptual, const float *x,
                                     const float *y, int images, int height, int width,
                                     double *distance, const struct exec *exec,
                                     struct vqct_error *error);

/** The mean distance, in *loss; scale times its gradient for y is added to dy. Errors: as above. */
enum vqct_status perceptual_loss(const struct perceptual *perceptual, const float *x,
                                 const float *y, int images, int height, int width, float scale,
                                 double *loss, float *dy, const struct exec *exec,
                                 struct vqct_error *error);

#endif
