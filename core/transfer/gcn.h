/* Two layers over the words: the graph convolution of VQCT, and the same without the graph.
 *
 *   H = dropout( activation( B W1^T + b1 ) )     B: N,D   W1: d,D
 *   E = (S H) W2^T + b2                          W2: d,d  E: N,d
 *
 * With the graph, B = S X and the activation is ReLU; the sum S X is constant and comes from the
 * caller. Without it (the MLP of the ablation), B = X, S is the identity and the activation is
 * LeakyReLU with slope 0.1. Source: Kipf and Welling 2017; VQCT, section 3.2 and its released code.
 */
#ifndef TRANSFER_GCN_H
#define TRANSFER_GCN_H

#include <stdbool.h>

#include "exec.h"
#include "linear.h"
#include "sparse.h"

/** The fixed part. Pointers are the caller's. */
struct gcn {
  size_t rows;                /* N */
  size_t inputs, outputs;     /* D, d */
  const float *input;         /* B: N,D */
  const struct sparse *graph; /* S: N,N; NULL: the MLP */
  float slope;                /* of the activation below 0 */
  float dropout;              /* share of H that training sets to 0; 0 for the MLP */
  uint64_t seed;              /* of the dropout */
};

struct gcn_weights {
  const float *weight1, *bias1, *weight2, *bias2;
};

struct gcn_gradients {
  float *weight1, *bias1, *weight2, *bias2; /* added to */
};

/** What a forward pass leaves for the backward pass: N,d each. */
struct gcn_tape {
  float *factor; /* d H / d (B W1^T + b1): activation's slope times dropout's factor */
  float *hidden; /* H; may be NULL in the MLP, where `mixed` is H itself */
  float *mixed;  /* S H */
};

/** dropout[c] for one row and step: 0 with the given probability, else 1 / (1 - probability). It
 * depends on its arguments alone, so any thread may compute any row. */
void gcn_dropout_row(uint64_t seed, uint64_t step, size_t row, float probability, size_t columns,
                     float *dropout);

/** codes = E (N,d), leaving the tape. Dropout only while training. Errors: MEMORY (scratch). */
enum vqct_status gcn_forward(const struct gcn *gcn, const struct gcn_weights *weights,
                             bool training, uint64_t step, const struct gcn_tape *tape,
                             float *codes, const struct exec *exec);

/** Gradients from dcodes (N,d), added to `gradients`; the tape must be that of the forward pass
 * with the same weights. Errors: MEMORY (scratch). */
enum vqct_status gcn_backward(const struct gcn *gcn, const struct gcn_weights *weights,
                              const struct gcn_tape *tape, const float *dcodes,
                              const struct gcn_gradients *gradients, const struct exec *exec);

#endif
