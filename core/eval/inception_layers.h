/* Inception v3 as data: blocks of paths of layers. Inner to inception*.c.
 *
 * A block reads one activation; the outputs of its layers that join lie side by side, in the order
 * of the table, in the channels of what it writes. Source: Szegedy et al. 2015, with torchvision's
 * names and the pooling of the network that the Frechet inception distance is defined with (a mean
 * counts only positions inside the picture; the last block pools by the maximum).
 */
#ifndef EVAL_INCEPTION_LAYERS_H
#define EVAL_INCEPTION_LAYERS_H

#include <stdbool.h>
#include <stddef.h>

#define INCEPTION_FEATURES 2048 /* channels of the last block */

enum inception_kind { INCEPTION_CONVOLUTION, INCEPTION_MAXIMUM, INCEPTION_MEAN };

/** What a layer reads: the block's input, the output of the layer before it, or (the second of two
 * that part) what the layer before it read. */
enum inception_source { FROM_BLOCK, FROM_LAYER, FROM_SAME };

/** Every convolution is followed by BatchNorm and relu. */
struct inception_layer {
  const char *name; /* after the block's; NULL: the block's alone, or a pooling */
  enum inception_kind kind;
  enum inception_source from;
  bool joins;
  int channels; /* written; 0: the block's width, or as many as are read (pooling) */
  int height, width, stride;
  bool padded; /* so that the size stays the same at stride 1 */
};

struct inception_block {
  const char *name;
  const struct inception_layer *layer;
  int layers;
  int width; /* channels of layers that say 0 */
};

extern const struct inception_block inception_blocks[];
extern const size_t inception_block_count;

#endif
