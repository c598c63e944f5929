/* Gradients of the chosen values become those of the codes. */
#ifndef TRAIN_CODE_GRADIENTS_H
#define TRAIN_CODE_GRADIENTS_H

#include "exec.h"
#include "quantizer.h"

/** Adds weight times the gradients of the chosen values (T,Z) to dcodes (all codes,d), a value
 * being the mean of its codebook's k codes. tokens: P,T as from quantizer_encode. Positions are
 * added in their order, whatever the number of threads. */
void code_gradients_add(const struct quantizer *quantizer, const uint32_t *tokens, size_t positions,
                        const float *gradients, float weight, float *dcodes,
                        const struct exec *exec);

#endif
