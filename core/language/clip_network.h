/* The weights of CLIP's text transformer. Inner to clip: clip_file.c fills it, clip_forward.c runs
 * it. W is the width, P the positions, V the vocabulary. */
#ifndef LANGUAGE_CLIP_NETWORK_H
#define LANGUAGE_CLIP_NETWORK_H

#include "bpe.h"
#include "clip.h"
#include "linear.h"
#include "safetensors.h"

#define CLIP_LAYERS_MAX    ((size_t)64)
#define CLIP_WIDTH_MAX     ((size_t)4096)
#define CLIP_POSITIONS_MAX ((size_t)512)

enum clip_activation { CLIP_QUICK_GELU, CLIP_GELU };

struct clip_norm {
  const float *scale, *shift; /* W */
};

struct clip_layer {
  struct clip_norm norm1, norm2;
  struct linear query, key, value, out; /* W to W */
  struct linear fc1, fc2;               /* W to 4 W or so, and back */
};

struct clip {
  struct bpe *bpe;
  struct safetensors *file;
  float **converted; /* tensors that are not fp32 in the file */
  size_t converted_count;
  size_t width, positions, vocabulary, hidden, heads, layers, dimension;
  enum clip_activation activation;
  float epsilon;
  const float *token_embedding, *position_embedding; /* V,W  P,W */
  struct clip_layer layer[CLIP_LAYERS_MAX];
  struct clip_norm final_norm;
  struct linear projection; /* W to dimension */
};

/** Runs the transformer over texts that lie one behind the other in `tokens`: text i has the tokens
 * start[i] to start[i + 1] - 1. features: texts, dimension. Errors: MEMORY (scratch). */
enum vqct_status clip_forward(const struct clip *clip, const uint32_t *tokens, const size_t *start,
                              size_t texts, float *features, const struct exec *exec);

#endif
