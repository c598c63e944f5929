/* Two-dimensional convolutions, forward and backward, of square kernels.
 *
 * Shapes: N images, H rows, W columns, C channels. Activations are N,H,W,C (channels fastest),
 * weights O,I,K,K as in PyTorch. Input x is what the convolution reads after its prologue
 *     nearest-upsample x2 ( swish ( x * scale + shift ) )
 * which is computed on the way, so that normalisation, activation and upsampling cost no pass over
 * memory; the same holds for the epilogue: bias, residual and the statistics that the next group
 * norm needs. Results are the same bit for bit for every number of threads and images: work is
 * split by the layer's and one image's shape alone, and every sum runs in a fixed order.
 */
#ifndef KERNELS_CONV_H
#define KERNELS_CONV_H

#include <stdbool.h>
#include <stddef.h>

#include "exec.h"
#include "vqct/status.h"

#define CONV_KERNEL_MAX 4

/** A layer's shape. Zeros surround the input: pad_before rows above and columns left, pad_after
 * below and right. stride 1 or 2, kernel from the stride to 4, 0 <= pad < kernel. */
struct conv_shape {
  int in_channels, out_channels, kernel, stride, pad_before, pad_after;
};

/** Output rows (or columns) for `size` input rows (or columns) after upsampling; 0 where the
 * padded input is smaller than the kernel. */
int conv_output_size(const struct conv_shape *shape, int size);

/** Weights packed for the forward pass; immutable between updates, so any threads may share it. */
struct conv;

/** What a convolution is packed for. */
struct conv_use {
  const struct simd
      *simd;     /* which conv_forward then uses whatever exec->simd says; NULL: the best */
  bool upsample; /* every input that it reads is upsampled */
  bool precise;  /* half the rounding error for up to a fourth more products */
  bool few;      /* few positions: weights are not worth memory, since they are read few times */
};

/** Packs weight (O,I,K,K) and bias (O, or NULL for none), which may be freed afterwards. use: NULL
 * for the best instruction set and any input. Errors: INVALID (shape), MEMORY; *conv is then NULL.
 */
enum vqct_status conv_new(const struct conv_shape *shape, const float *weight, const float *bias,
                          const struct conv_use *use, struct conv **conv, struct vqct_error *error);

/** Packs new weights into an existing convolution, after an optimizer step, with the pool's team.
 * bias must be NULL where it was NULL before. */
void conv_update(struct conv *conv, const float *weight, const float *bias, struct pool *pool);

/** Frees; NULL is allowed. */
void conv_free(struct conv *conv);

/** What a convolution reads. x: images,height,width,in_channels. */
struct conv_input {
  const float *x;
  int images, height, width;  /* of x, before upsampling */
  const float *scale, *shift; /* images,in_channels each; both NULL: x is taken as it is. With a
                               * block, one for each block of positions: images,height/block,
                               * width/block,in_channels; not together with upsample */
  bool swish;                 /* v / (1 + exp(-v)) after scale and shift */
  bool upsample;              /* every pixel becomes 2 x 2 pixels */
  int block;                  /* positions along each side of a block; 0: none */
};

/** A residual that is not kept: what a convolution of kernel 1 makes of another tensor, computed
 * where it is added. x: of the output's images, rows and columns; must not overlap y. */
struct conv_shortcut {
  const struct conv *conv;
  const float *x;
};

/** What a convolution writes. y: images,out_height,out_width,out_channels; must not overlap x. */
struct conv_output {
  float *y;
  const float *residual;  /* of the shape of y, added to it; NULL: none. May be y itself. */
  int groups;             /* of out_channels, for the statistics */
  double *sums, *squares; /* images,groups: sum of y and of y squared, overwritten; or both NULL */
  const struct conv_shortcut *shortcut; /* in place of a residual; NULL: none */
};

/** y = convolution of x. Errors: MEMORY (scratch). */
enum vqct_status conv_forward(const struct conv *conv, const struct conv_input *input,
                              const struct conv_output *output, const struct exec *exec);

/** Gradient for what the convolution read, after its prologue. weight: O,I,K,K; dy: images,
 * out_height,out_width,out_channels; dx: images,height,width,in_channels, overwritten; height and
 * width are those of the input after upsampling. Errors: MEMORY (scratch). */
enum vqct_status conv_backward_input(const struct conv_shape *shape, const float *weight,
                                     const float *dy, int images, int height, int width, float *dx,
                                     const struct exec *exec);

/** Gradients for the weights, added to dweight (O,I,K,K) and dbias (O, or NULL). input is what
 * conv_forward was given, so that activations need not be kept twice. Errors: MEMORY (scratch). */
enum vqct_status conv_backward_weight(const struct conv_shape *shape,
                                      const struct conv_input *input, const float *dy,
                                      float *dweight, float *dbias, const struct exec *exec);

/** Both at once, which costs less: as conv_backward_weight, and into dx (NULL: not wanted) the
 * gradient for what the prologue gave before upsampling, of the shape of input->x, overwritten.
 * Errors: MEMORY (scratch). */
enum vqct_status conv_backward(const struct conv_shape *shape, const float *weight,
                               const struct conv_input *input, const float *dy, float *dx,
                               float *dweight, float *dbias, const struct exec *exec);

#endif
