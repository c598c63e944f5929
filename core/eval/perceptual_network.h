/* The networks of LPIPS as data: a chain of convolutions, fire modules and poolings, with the
 * depths that are compared. Inner to perceptual*.c and feature_network.c. */
#ifndef EVAL_PERCEPTUAL_NETWORK_H
#define EVAL_PERCEPTUAL_NETWORK_H

#include <stdbool.h>

#include "conv.h"
#include "vqct/status.h"

#define PERCEPTUAL_STAGES_MAX 18 /* of VGG16 up to its last tap */

enum stage_kind { STAGE_CONVOLUTION, STAGE_FIRE, STAGE_POOL };

/* The convolutions of a fire module; a plain convolution is the first. */
enum { FIRE_SQUEEZE, FIRE_EXPAND1, FIRE_EXPAND3, FIRE_CONVOLUTIONS };

/** A convolution with its weights as PyTorch has them and packed. */
struct perceptual_convolution {
  struct conv_shape shape;
  float *weight, *bias; /* O,I,K,K and O */
  struct conv *conv;
};

/** One stage; every convolution is followed by relu. */
struct stage {
  enum stage_kind kind;
  int feature;  /* N of torchvision's features.N */
  int channels; /* of what it writes */
  float *head;  /* channels: the linear head of a stage that is compared, else NULL */
  int convolutions;
  struct perceptual_convolution convolution[FIRE_CONVOLUTIONS];
};

struct perceptual {
  const char *name;
  int pool_kernel;   /* 2 or 3 */
  bool pool_ceiling; /* torchvision's ceil_mode */
  int stages;
  struct stage stage[PERCEPTUAL_STAGES_MAX];
};

/** perceptual_open, or the network without its linear heads, for perceptual_pool alone. */
enum vqct_status perceptual_read(const char *path, bool compared, struct perceptual **perceptual,
                                 struct vqct_error *error);

/** Channels of the last stage. */
size_t perceptual_pool_size(const struct perceptual *perceptual);

/** The last stage's output, averaged over positions, of two pictures x and y (H,W,3 in [-1,1]):
 * pooled holds perceptual_pool_size numbers of x, then as many of y. Errors: INVALID (too small a
 * picture), MEMORY. */
enum vqct_status perceptual_pool(const struct perceptual *perceptual, const float *x,
                                 const float *y, int height, int width, float *pooled,
                                 const struct exec *exec, struct vqct_error *error);

#endif
