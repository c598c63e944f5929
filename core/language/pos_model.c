/* Scores are sums of small whole numbers, so their order does not matter and a tie goes to the
 * lower tag: tags are the same on every machine. The features of a word are prefetched together,
 * since their slots lie all over a table larger than the cache. */
#include "pos_model.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "little_endian.h"

#define LAST_WEIGHT 128u

enum pos_class pos_class_of(const char *tag) {
  if (!strcmp(tag, "JJ"))
    return POS_ADJECTIVE;
  static const char *const nouns[] = {"NN", "NNS", "NNP", "NNPS"};
  for (size_t i = 0; i < sizeof nouns / sizeof *nouns; i++)
    if (!strcmp(tag, nouns[i]))
      return POS_NOUN;
  return POS_OTHER;
}

/* Where the parts of a block begin. */
struct layout {
  uint32_t tags, features, weights, known;
  const unsigned char *names, *feature, *tag, *weight, *word, *set;
};

static bool layout_read(const unsigned char *bytes, size_t size, struct layout *layout) {
  if (size < POS_HEADER || memcmp(bytes, POS_MAGIC, 8))
    return false;
  layout->tags = little_endian_read(bytes + 8);
  layout->features = little_endian_read(bytes + 12);
  layout->weights = little_endian_read(bytes + 16);
  layout->known = little_endian_read(bytes + 20);
  if (layout->tags < 2 || layout->tags > POS_TAGS_MAX || layout->features > size / 4 ||
      layout->weights > size / 2 || layout->known > size / 6)
    return false;
  layout->names = bytes + POS_HEADER;
  layout->feature = layout->names + (size_t)layout->tags * POS_TAG_BYTES;
  layout->tag = layout->feature + (size_t)layout->features * 4;
  layout->weight = layout->tag + layout->weights;
  layout->word = layout->weight + layout->weights;
  layout->set = layout->word + (size_t)layout->known * 4;
  size_t wanted = POS_HEADER + (size_t)layout->tags * POS_TAG_BYTES + (size_t)layout->features * 4 +
                  (size_t)layout->weights * 2 + (size_t)layout->known * 6;
  return wanted == size;
}

static bool read_names(const struct layout *layout, struct pos_model *model) {
  model->tags = layout->tags;
  memcpy(model->tag, layout->names, (size_t)layout->tags * POS_TAG_BYTES);
  for (size_t i = 0; i < model->tags; i++) {
    if (!model->tag[i][0] || model->tag[i][POS_TAG_BYTES - 1])
      return false;
    model->class[i] = pos_class_of(model->tag[i]);
  }
  return true;
}

/* Fills the weights and the table of features; false where they do not fit together. */
static bool read_features(const struct layout *layout, struct pos_model *model) {
  uint32_t next = 0, before = 0;
  for (uint32_t i = 0; i < layout->features; i++) {
    uint32_t key = little_endian_read(layout->feature + (size_t)i * 4);
    if (key <= before)
      return false;
    before = key;
    *pos_slots_find(&model->features, key) = (struct pos_slot){key, next};
    bool last = false;
    for (; !last; next++) {
      if (next == layout->weights)
        return false;
      uint8_t tag = layout->tag[next];
      last = tag & LAST_WEIGHT;
      if ((tag & ~LAST_WEIGHT) >= layout->tags)
        return false;
      model->weights[next] = (struct pos_weight){tag, (int8_t)layout->weight[next]};
    }
  }
  return next == layout->weights;
}

static bool read_known(const struct layout *layout, struct pos_model *model) {
  uint32_t before = 0;
  for (uint32_t i = 0; i < layout->known; i++) {
    uint32_t key = little_endian_read(layout->word + (size_t)i * 4);
    if (key <= before)
      return false;
    before = key;
    uint32_t set = (uint32_t)layout->set[2 * (size_t)i] | (uint32_t)layout->set[2 * (size_t)i + 1]
                                                              << 8;
    *pos_slots_find(&model->known, key) = (struct pos_slot){key, set};
  }
  return true;
}

enum vqct_status pos_model_open(const void *data, size_t size, struct pos_model *model,
                                struct vqct_error *error) {
  struct layout layout;
  *model = (struct pos_model){0};
  if (!layout_read(data, size, &layout))
    return error_set(error, VQCT_DATA,
                     "not a tagger: its header does not begin with " POS_MAGIC
                     " or does not fit its %zu bytes",
                     size);
  model->weights = malloc((layout.weights + 1u) * sizeof *model->weights);
  bool room = pos_slots_init(&model->features, layout.features) &&
              pos_slots_init(&model->known, layout.known) && model->weights;
  enum vqct_status status = VQCT_OK;
  if (!room)
    status = error_set(error, VQCT_MEMORY, "no memory for the tagger");
  else if (!read_names(&layout, model) || !read_features(&layout, model) ||
           !read_known(&layout, model))
    status = error_set(error, VQCT_DATA, "the tagger's tags, features or words are damaged");
  if (status != VQCT_OK)
    pos_model_free(model);
  return status;
}

void pos_model_free(struct pos_model *model) {
  free(model->weights);
  pos_slots_free(&model->features);
  pos_slots_free(&model->known);
  *model = (struct pos_model){0};
}

void pos_scratch_free(struct pos_scratch *scratch) {
  free(scratch->words);
  *scratch = (struct pos_scratch){0};
}

static bool scratch_reserve(struct pos_scratch *scratch, size_t count) {
  if (count <= scratch->capacity)
    return true;
  size_t capacity = count + count / 2 + 64;
  struct pos_word *words = realloc(scratch->words, capacity * sizeof *words);
  if (!words)
    return false;
  scratch->words = words;
  scratch->capacity = capacity;
  return true;
}

static void score(const struct pos_model *model, const uint32_t *features, size_t count,
                  int32_t scores[POS_TAGS_MAX]) {
  for (size_t i = 0; i < count; i++)
    __builtin_prefetch(&model->features.slot[features[i] & model->features.mask]);
  for (size_t i = 0; i < count; i++) {
    const struct pos_slot *slot = pos_slots_find(&model->features, features[i]);
    if (!slot->key)
      continue;
    const struct pos_weight *weight = &model->weights[slot->value];
    for (; !(weight->tag & LAST_WEIGHT); weight++)
      scores[weight->tag] += weight->weight;
    scores[weight->tag & ~LAST_WEIGHT] += weight->weight;
  }
}

static uint8_t best_tag(const int32_t *scores, size_t tags) {
  size_t best = 0;
  for (size_t i = 1; i < tags; i++)
    if (scores[i] > scores[best])
      best = i;
  return (uint8_t)best;
}

bool pos_tag(const struct pos_model *model, const struct lexicon *lexicon, const struct word *words,
             size_t count, struct pos_scratch *scratch, uint8_t *tags) {
  if (!scratch_reserve(scratch, count))
    return false;
  struct pos_word *seen = scratch->words;
  for (size_t i = 0; i < count; i++) {
    pos_word_read(lexicon, &words[i], &seen[i]);
    seen[i].known = pos_slots_find(&model->known, (uint32_t)seen[i].form)->value;
  }
  for (size_t i = 0; i < count; i++) {
    uint32_t features[POS_FEATURES_MAX];
    int32_t scores[POS_TAGS_MAX] = {0};
    size_t fixed = pos_features_fixed(seen, count, i, features);
    size_t tagged = pos_features_tagged(seen, count, i, tags, features + fixed);
    score(model, features, fixed + tagged, scores);
    tags[i] = best_tag(scores, model->tags);
  }
  return true;
}
