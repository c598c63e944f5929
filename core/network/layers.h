/* What lies between the layers of a network: activations, convolutions and norms as records.
 *
 * Shapes: N images, H rows, W columns, C channels, G groups, Z channels of codes. Activations are
 * N,H,W,C.
 */
#ifndef NETWORK_LAYERS_H
#define NETWORK_LAYERS_H

#include <stdbool.h>

#include "conv.h"

/** One activation. The memory belongs to an arena. */
struct activation {
  float *data; /* N,H,W,C */
  int images, height, width, channels;
  double *sums, *squares; /* N,G each: of data and of its squares over a group; NULL: not asked */
};

/** One convolution of a block with the numbers of its weight and bias in the parameter list. */
struct block_layer {
  struct conv_shape shape;
  int weight, bias;
  struct conv *conv; /* packed weights */
};

/* The convolutions of a spatial norm. */
enum { SPATIAL_SCALE, SPATIAL_SHIFT, SPATIAL_LAYERS };

/** One GroupNorm with the numbers of its weight and bias in the parameter list. A spatial norm
 * scales and shifts its result once more, by 1x1 convolutions of what the decoder was given, at the
 * token that each position belongs to. */
struct norm {
  int channels; /* 0: there is none */
  int weight, bias;
  float *gamma, *beta; /* C each */
  bool spatial;
  struct block_layer layer[SPATIAL_LAYERS]; /* Z to C; unless spatial, not there */
};

#endif
