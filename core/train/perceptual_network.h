/* The networks of LPIPS as data: a chain of convolutions, fire modules and poolings, with the
 * depths that are compared. Inner to perceptual*.c. */
#ifndef TRAIN_PERCEPTUAL_NETWORK_H
#define TRAIN_PERCEPTUAL_NETWORK_H

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

#endif
