/* What a convolution reads when its input is normalised on the way. */
#ifndef NETWORK_NORM_INPUT_H
#define NETWORK_NORM_INPUT_H

#include "exec.h"
#include "layers.h"
#include "vqct/status.h"

/** x as it is. */
struct conv_input norm_input_plain(const struct activation *x);

/** x after the norm, whose sums x has, and swish where asked for. codes: what the chain was given,
 * read by spatial norms; its rows and columns divide those of x. Scale and shift lie in the arena.
 * Errors: MEMORY. */
enum vqct_status norm_input_read(const struct norm *norm, int groups, const struct activation *x,
                                 const struct activation *codes, bool swish,
                                 struct conv_input *input, const struct exec *exec);

#endif
