/* A part-of-speech tagger: a linear model over the features of pos_features.h, with the Penn
 * Treebank's tags, read from a compact block of bytes.
 *
 *   struct pos_model model;
 *   struct pos_scratch scratch = {0};
 *   if (pos_model_open(bytes, size, &model, &error) == VQCT_OK &&
 *       pos_tag(&model, &lexicon, words, count, &scratch, tags))
 *     puts(model.tag[tags[0]]);
 *
 * The model is read-only once it is open; any number of threads may use it, each with its own
 * scratch. All arithmetic is on whole numbers, so tags are the same on every machine.
 *
 * The block, little-endian:
 *   "VQCTPOS1", u32 tags T, u32 features F, u32 weights W, u32 known words K
 *   T x 8 bytes: names of the tags, padded with zero bytes
 *   F x u32: features, rising
 *   W x u8: tag; the last weight of each feature has 128 added
 *   W x i8: weight
 *   K x u32: words (low half of the hash of their form), rising
 *   K x u16: the set of tags that the word had in the training text, numbered from 1
 */
#ifndef LANGUAGE_POS_MODEL_H
#define LANGUAGE_POS_MODEL_H

#include "pos_features.h"
#include "pos_slots.h"
#include "vqct/image.h"

#define POS_TAGS_MAX  64
#define POS_TAG_BYTES 8 /* with the zero at the end */

#define POS_MAGIC  "VQCTPOS1"
#define POS_HEADER ((size_t)24) /* bytes before the names of the tags */

/** Coarse classes of tags: what the prior counts. */
enum pos_class { POS_OTHER, POS_ADJECTIVE, POS_NOUN };

struct pos_weight {
  uint8_t tag; /* 128 added for the last weight of a feature */
  int8_t weight;
};

struct pos_model {
  size_t tags;
  char tag[POS_TAGS_MAX][POS_TAG_BYTES];
  enum pos_class class[POS_TAGS_MAX];
  struct pos_weight *weights;
  struct pos_slots features; /* value: the first of its weights */
  struct pos_slots known;    /* value: set of tags */
};

/** Memory of one tagging thread, which grows as needed. */
struct pos_scratch {
  struct pos_word *words;
  size_t capacity;
};

/** JJ is an adjective; NN, NNS, NNP and NNPS are nouns. */
enum pos_class pos_class_of(const char *tag);

/** Opens a block of bytes, which is checked and need not live on. Errors: DATA, MEMORY. */
enum vqct_status pos_model_open(const void *data, size_t size, struct pos_model *model,
                                struct vqct_error *error);

/** Frees what pos_model_open took; a record of zeros is allowed. */
void pos_model_free(struct pos_model *model);

/** Tags a sentence of lower-case words: tags[i] is the number of a tag, below model->tags. False
 * where memory is exhausted. */
bool pos_tag(const struct pos_model *model, const struct lexicon *lexicon, const struct word *words,
             size_t count, struct pos_scratch *scratch, uint8_t *tags);

/** Frees the memory of a scratch. */
void pos_scratch_free(struct pos_scratch *scratch);

#endif
