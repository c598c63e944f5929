/* Pixels of a 2 x 2 square as channels of one position, and back. The order of channels is that of
 * PyTorch's pixel_unshuffle and pixel_shuffle: channel c of the pixel in row i, column j of the
 * square is channel 4c + 2i + j.
 *
 * Shapes: N images, H rows, W columns, C channels of the pixels. Either is the inverse of the
 * other, and so its gradient too.
 */
#ifndef NETWORK_SPACE_TO_DEPTH_H
#define NETWORK_SPACE_TO_DEPTH_H

#include "exec.h"
#include "layers.h"

/** from N,H,W,C to N,H/2,W/2,4C, which do not overlap. pixels: N, H, W and C, H and W even; its
 * data is not looked at. */
void space_to_depth(const struct activation *pixels, const float *from, float *to,
                    const struct exec *exec);

/** from N,H/2,W/2,4C to N,H,W,C, likewise. */
void depth_to_space(const struct activation *pixels, const float *from, float *to,
                    const struct exec *exec);

#endif
