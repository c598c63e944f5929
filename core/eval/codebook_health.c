/* Entropy and drift are sums in double over shares of codes in bits; a share of 0 adds nothing,
 * which is the limit, and rounding takes neither below 0. */
#include <math.h>

#include "vqct/codebook.h"

void vqct_codebook_health(const uint64_t *counts, size_t codes,
                          struct vqct_codebook_health *health) {
  *health = (struct vqct_codebook_health){.codes = codes};
  for (size_t i = 0; i < codes; i++) {
    health->tokens += counts[i];
    health->used += counts[i] > 0;
  }
  health->dead = codes - health->used;
  health->usage = codes ? (double)health->used / (double)codes : 0;
  for (size_t i = 0; i < codes; i++) {
    double share = counts[i] ? (double)counts[i] / (double)health->tokens : 1;
    health->entropy -= share * log2(share);
  }
  health->entropy = fmax(health->entropy, 0); /* not -0 where one code has everything */
  health->perplexity = health->tokens ? exp2(health->entropy) : 0;
}

static double total(const uint64_t *counts, size_t codes) {
  double sum = 0;
  for (size_t i = 0; i < codes; i++)
    sum += (double)counts[i];
  return sum;
}

/* share * log2(share / middle), which goes to 0 with share. */
static double divergence_term(double share, double middle) {
  return share > 0 ? share * log2(share / middle) : 0;
}

double vqct_codebook_drift(const uint64_t *counts, const uint64_t *reference, size_t codes) {
  double tokens = total(counts, codes), reference_tokens = total(reference, codes), sum = 0;
  if (tokens == 0 || reference_tokens == 0)
    return NAN;
  for (size_t i = 0; i < codes; i++) {
    double live = (double)counts[i] / tokens, recorded = (double)reference[i] / reference_tokens;
    double middle = (live + recorded) / 2;
    sum += divergence_term(live, middle) + divergence_term(recorded, middle);
  }
  return fmin(fmax(sum / 2, 0), 1);
}
