/* Reading a convolution's input: the prologue, and zeros outside the picture. */
#ifndef KERNELS_GATHER_H
#define KERNELS_GATHER_H

#include "conv.h"
#include "simd.h"

/** A rectangle of the input after upsampling, which may reach beyond its edges, and a range of
 * channels. */
struct region {
  int row, column, rows, columns;
  size_t first_channel, channels;
};

/** Writes the region of one image, row after row without gaps, `pixel_stride` floats a pixel of
 * which those beyond the channels are 0. in_channels: of the whole input. */
void gather(const struct simd *simd, const struct conv_input *input, size_t in_channels,
            size_t image, const struct region *region, size_t pixel_stride, float *to);

#endif
