/* The backward pass of group normalisation and swish.
 *
 * Shapes: N images, P positions (height times width), C channels, G groups of C / G channels.
 */
#ifndef KERNELS_NORM_BACKWARD_H
#define KERNELS_NORM_BACKWARD_H

#include <stdbool.h>
#include <stddef.h>

#include "exec.h"
#include "reduction.h"
#include "vqct/status.h"

/** One normalisation as the forward pass ran it:
 *     a = (x - mean) / sqrt(variance + NORM_EPSILON) * gamma + beta, then swish where asked for. */
struct norm_pass {
  const float *x;               /* N,P,C */
  const double *sums, *squares; /* N,G: of x and of its squares over a group */
  const float *gamma, *beta;    /* C */
  size_t images, positions, channels, groups;
  bool swish;
  /* Where the statistics are those of several processes' positions together, how to add up over
   * them; every process must then have the same number of positions. NULL: they are not. */
  const struct reduction *reduction;
};

/** Gradients of a normalisation. da (N,P,C) is the gradient for a and is overwritten by that for
 * the value before swish. dx: N,P,C, overwritten; it may be da. residual: N,P,C, added to dx; it
 * may be dx; NULL: none. dgamma and dbeta: C, added to; both NULL where nobody needs them. The same
 * for every number of threads. Errors: MEMORY. */
enum vqct_status group_norm_backward(const struct norm_pass *pass, float *da, const float *residual,
                                     float *dx, float *dgamma, float *dbeta,
                                     const struct exec *exec);

#endif
