/* The perceptron keeps, for each feature and tag, its weight, the sum of the weights over all steps
 * up to the last change, and the step of that change, so that the average over all steps costs
 * nothing while a weight stands still. Everything is a whole number until the very end. */
#include "pos_train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "little_endian.h"
#include "rng.h"
#include "size.h"

#define KNOWN_LEAST 2  /* words seen less often count as unknown */
#define KNOWN_SHARE 10 /* a tag belongs to a word's set from 1 / KNOWN_SHARE of its places on */

struct cell {
  int64_t total;
  int32_t weight;
  uint32_t step;
};

struct perceptron {
  const struct pos_corpus *corpus;
  struct pos_word *seen;     /* words of the corpus as the templates see them */
  struct pos_slots known;    /* value: number of the set of tags */
  struct pos_slots features; /* value: number of the feature, from 1; 0: left out */
  uint32_t feature_count;
  struct cell *cells; /* feature_count + 1, tags */
  uint8_t *tags;      /* of the longest sentence */
  uint32_t step;
};

/* ---- the words' sets of tags ---- */

/* The tags that make up at least a share of a word's places, as bits. */
static uint64_t tag_set(const uint32_t *counts, size_t tags) {
  uint64_t all = 0, set = 0;
  for (size_t i = 0; i < tags; i++)
    all += counts[i];
  if (all < KNOWN_LEAST)
    return 0;
  for (size_t i = 0; i < tags; i++)
    if (counts[i] && (uint64_t)counts[i] * KNOWN_SHARE >= all)
      set |= (uint64_t)1 << i;
  return set;
}

/* The number of a set among those already met, from 1; it is put there if it is new. */
static uint32_t set_number(uint64_t *sets, uint32_t *count, uint64_t set) {
  uint32_t i = 0;
  while (i < *count && sets[i] != set)
    i++;
  if (i == *count && *count < UINT16_MAX)
    sets[(*count)++] = set;
  return i < *count ? i + 1 : 0;
}

/* Counts the tags of each form: slot values number the forms from 1, in order of appearance. */
static uint32_t *count_tags(struct perceptron *perceptron) {
  const struct pos_corpus *corpus = perceptron->corpus;
  uint32_t forms = 0;
  uint32_t *counts = calloc((corpus->forms.count + 1u) * corpus->tags, sizeof *counts);
  for (size_t i = 0; counts && i < corpus->words; i++) {
    struct pos_slot *slot = pos_slots_add(&perceptron->known, (uint32_t)perceptron->seen[i].form);
    if (!slot) {
      free(counts);
      return NULL;
    }
    if (!slot->value)
      slot->value = ++forms;
    counts[slot->value * corpus->tags + corpus->tag[i]]++;
  }
  return counts;
}

static bool learn_sets(struct perceptron *perceptron) {
  uint64_t *sets = malloc((UINT16_MAX + 1u) * sizeof *sets);
  uint32_t *counts = count_tags(perceptron), set_count = 0;
  bool done = sets && counts;
  /* By first appearance, so that numbers do not depend on the table's order. */
  for (size_t i = 0; done && i < perceptron->corpus->words; i++) {
    struct pos_slot *slot = pos_slots_find(&perceptron->known, (uint32_t)perceptron->seen[i].form);
    uint64_t set =
        tag_set(counts + slot->value * perceptron->corpus->tags, perceptron->corpus->tags);
    perceptron->seen[i].known = set ? set_number(sets, &set_count, set) : 0;
  }
  for (size_t i = 0; done && i < perceptron->corpus->words; i++)
    pos_slots_find(&perceptron->known, (uint32_t)perceptron->seen[i].form)->value =
        perceptron->seen[i].known;
  free(sets);
  free(counts);
  return done;
}

/* ---- features ---- */

struct sentence {
  const struct pos_word *words;
  const uint8_t *tags; /* as tagged by hand */
  size_t count;
};

static struct sentence sentence_at(const struct perceptron *perceptron, size_t index) {
  size_t first = perceptron->corpus->first[index];
  return (struct sentence){perceptron->seen + first, perceptron->corpus->tag + first,
                           perceptron->corpus->first[index + 1] - first};
}

static size_t features_at(const struct sentence *sentence, size_t position, const uint8_t *tags,
                          uint32_t features[POS_FEATURES_MAX]) {
  size_t fixed = pos_features_fixed(sentence->words, sentence->count, position, features);
  return fixed +
         pos_features_tagged(sentence->words, sentence->count, position, tags, features + fixed);
}

/* Counts all features, with the tags by hand before each word, and numbers those seen often
 * enough. */
static bool choose_features(struct perceptron *perceptron, int least_count) {
  for (size_t s = 0; s < perceptron->corpus->sentences; s++) {
    struct sentence sentence = sentence_at(perceptron, s);
    for (size_t i = 0; i < sentence.count; i++) {
      uint32_t features[POS_FEATURES_MAX];
      size_t count = features_at(&sentence, i, sentence.tags, features);
      for (size_t f = 0; f < count; f++) {
        struct pos_slot *slot = pos_slots_add(&perceptron->features, features[f]);
        if (!slot)
          return false;
        slot->value++;
      }
    }
  }
  for (uint32_t i = 0; i <= perceptron->features.mask; i++) {
    struct pos_slot *slot = &perceptron->features.slot[i];
    slot->value = slot->value >= (uint32_t)least_count ? ++perceptron->feature_count : 0;
  }
  return true;
}

/* ---- the perceptron ---- */

static uint8_t predict(const struct perceptron *perceptron, const uint32_t *numbers, size_t count) {
  int32_t scores[POS_TAGS_MAX] = {0};
  size_t tags = perceptron->corpus->tags, best = 0;
  for (size_t f = 0; f < count; f++) {
    const struct cell *cells = perceptron->cells + numbers[f] * tags;
    for (size_t i = 0; i < tags; i++)
      scores[i] += cells[i].weight;
  }
  for (size_t i = 1; i < tags; i++)
    if (scores[i] > scores[best])
      best = i;
  return (uint8_t)best;
}

static void change(struct cell *cell, uint32_t step, int32_t by) {
  cell->total += (int64_t)(step - cell->step) * cell->weight;
  cell->step = step;
  cell->weight += by;
}

/* Tags a sentence with the weights so far and mends them where they are wrong; returns how often
 * they were. */
static size_t learn_sentence(struct perceptron *perceptron, const struct sentence *sentence) {
  size_t wrong = 0, tags = perceptron->corpus->tags;
  for (size_t i = 0; i < sentence->count; i++) {
    uint32_t numbers[POS_FEATURES_MAX];
    size_t count = features_at(sentence, i, perceptron->tags, numbers), used = 0;
    for (size_t f = 0; f < count; f++) {
      uint32_t number = pos_slots_find(&perceptron->features, numbers[f])->value;
      if (number)
        numbers[used++] = number;
    }
    perceptron->step++;
    uint8_t given = predict(perceptron, numbers, used), actual = sentence->tags[i];
    perceptron->tags[i] = given;
    if (given == actual)
      continue;
    wrong++;
    for (size_t f = 0; f < used; f++) {
      change(&perceptron->cells[numbers[f] * tags + actual], perceptron->step, 1);
      change(&perceptron->cells[numbers[f] * tags + given], perceptron->step, -1);
    }
  }
  return wrong;
}

static bool learn_rounds(struct perceptron *perceptron, const struct pos_training *training) {
  size_t sentences = perceptron->corpus->sentences;
  size_t *order = malloc(sentences * sizeof *order);
  struct rng rng;
  rng_seed(&rng, training->seed, 0);
  for (size_t i = 0; order && i < sentences; i++)
    order[i] = i;
  for (int round = 0; order && round < training->rounds; round++) {
    size_t wrong = 0;
    for (size_t i = sentences - 1; i > 0; i--) {
      size_t other = rng_below(&rng, i + 1), kept = order[i];
      order[i] = order[other];
      order[other] = kept;
    }
    for (size_t i = 0; i < sentences; i++) {
      struct sentence sentence = sentence_at(perceptron, order[i]);
      wrong += learn_sentence(perceptron, &sentence);
    }
    if (training->progress)
      training->progress(training->argument, round + 1, wrong, perceptron->corpus->words);
  }
  free(order);
  return order != NULL;
}

/* ---- the block ---- */

static double average(const struct cell *cell, uint32_t step) {
  return (double)(cell->total + (int64_t)(step - cell->step) * cell->weight) / step;
}

/* The factor that makes the largest average weight 127, so that none is cut. */
static double block_scale(const struct perceptron *perceptron) {
  size_t cells = ((size_t)perceptron->feature_count + 1) * perceptron->corpus->tags;
  double largest = 0;
  for (size_t i = 0; i < cells; i++)
    largest = fmax(largest, fabs(average(&perceptron->cells[i], perceptron->step)));
  return largest > 0 ? 127 / largest : 1;
}

static int compare_slots(const void *a, const void *b) {
  uint32_t left = ((const struct pos_slot *)a)->key, right = ((const struct pos_slot *)b)->key;
  return (left > right) - (left < right);
}

/* The slots in use, by key, put at the front of their own table. */
static uint32_t sort_slots(struct pos_slots *slots) {
  uint32_t count = 0;
  for (uint32_t i = 0; i <= slots->mask; i++)
    if (slots->slot[i].key && slots->slot[i].value)
      slots->slot[count++] = slots->slot[i];
  qsort(slots->slot, count, sizeof *slots->slot, compare_slots);
  return count;
}

/* The parts of the block while it grows; each has room for the most there can be. */
struct parts {
  double scale;
  int least_weight;
  uint8_t *features, *tags, *weights, *known;
  uint32_t feature_count, weight_count, known_count;
};

static void put_feature(const struct perceptron *perceptron, const struct pos_slot *slot,
                        struct parts *parts) {
  size_t tags = perceptron->corpus->tags;
  const struct cell *cells = perceptron->cells + slot->value * tags;
  uint32_t before = parts->weight_count;
  for (size_t tag = 0; tag < tags; tag++) {
    int weight = (int)lround(average(&cells[tag], perceptron->step) * parts->scale);
    if (abs(weight) < parts->least_weight)
      continue;
    parts->tags[parts->weight_count] = (uint8_t)tag;
    parts->weights[parts->weight_count++] = (uint8_t)(int8_t)weight;
  }
  if (parts->weight_count == before)
    return;
  parts->tags[parts->weight_count - 1] |= 128;
  little_endian_write(parts->features + 4 * (size_t)parts->feature_count++, slot->key);
}

static void put_known(struct perceptron *perceptron, struct parts *parts) {
  parts->known_count = sort_slots(&perceptron->known);
  uint8_t *at = parts->known;
  for (uint32_t i = 0; i < parts->known_count; i++, at += 4)
    little_endian_write(at, perceptron->known.slot[i].key);
  for (uint32_t i = 0; i < parts->known_count; i++) {
    *at++ = (uint8_t)perceptron->known.slot[i].value;
    *at++ = (uint8_t)(perceptron->known.slot[i].value >> 8);
  }
}

static bool join_parts(const struct pos_corpus *corpus, const struct parts *parts,
                       struct vqct_bytes *block) {
  const struct {
    const void *data;
    size_t size;
  } pieces[] = {
      {corpus->name, corpus->tags * POS_TAG_BYTES},
      {parts->features, (size_t)parts->feature_count * 4},
      {parts->tags, parts->weight_count},
      {parts->weights, parts->weight_count},
      {parts->known, (size_t)parts->known_count * 6},
  };
  block->size = POS_HEADER;
  for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
    block->size += pieces[i].size;
  if (!(block->data = malloc(block->size)))
    return false;
  memcpy(block->data, POS_MAGIC, 8);
  little_endian_write(block->data + 8, (uint32_t)corpus->tags);
  little_endian_write(block->data + 12, parts->feature_count);
  little_endian_write(block->data + 16, parts->weight_count);
  little_endian_write(block->data + 20, parts->known_count);
  uint8_t *at = block->data + POS_HEADER;
  for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
    memcpy(at, pieces[i].data, pieces[i].size);
    at += pieces[i].size;
  }
  return true;
}

static bool make_block(struct perceptron *perceptron, int least_weight, struct vqct_bytes *block) {
  size_t features = (size_t)perceptron->feature_count + 1, tags = perceptron->corpus->tags;
  struct parts parts = {.scale = block_scale(perceptron),
                        .least_weight = least_weight,
                        .features = malloc(features * 4),
                        .tags = malloc(features * tags),
                        .weights = malloc(features * tags),
                        .known = malloc(((size_t)perceptron->known.used + 1) * 6)};
  bool done = parts.features && parts.tags && parts.weights && parts.known;
  if (done) {
    uint32_t used = sort_slots(&perceptron->features);
    for (uint32_t i = 0; i < used; i++)
      put_feature(perceptron, &perceptron->features.slot[i], &parts);
    put_known(perceptron, &parts);
    done = join_parts(perceptron->corpus, &parts, block);
  }
  free(parts.features);
  free(parts.tags);
  free(parts.weights);
  free(parts.known);
  return done;
}

static bool trainer_cells(struct perceptron *perceptron) {
  size_t count;
  if (!size_multiply((size_t)perceptron->feature_count + 1, perceptron->corpus->tags, &count))
    return false;
  return (perceptron->cells = calloc(count, sizeof *perceptron->cells)) != NULL;
}

enum vqct_status pos_train(const struct pos_corpus *corpus, const struct lexicon *lexicon,
                           const struct pos_training *training, struct vqct_bytes *block,
                           struct vqct_error *error) {
  struct perceptron perceptron = {.corpus = corpus};
  *block = (struct vqct_bytes){0};
  if (corpus->words == 0 || corpus->tags < 2 || corpus->words > UINT32_MAX / 1024)
    return error_set(error, VQCT_DATA, "a tagger cannot be trained on %zu words with %zu tags",
                     corpus->words, corpus->tags);
  perceptron.seen = malloc(corpus->words * sizeof *perceptron.seen);
  perceptron.tags = malloc(corpus->words);
  bool room = perceptron.seen && perceptron.tags && pos_slots_init(&perceptron.known, 4096) &&
              pos_slots_init(&perceptron.features, 1 << 20);
  for (size_t i = 0; room && i < corpus->words; i++)
    pos_word_read(lexicon, &corpus->word[i], &perceptron.seen[i]);
  room = room && learn_sets(&perceptron) && choose_features(&perceptron, training->least_count) &&
         trainer_cells(&perceptron) && learn_rounds(&perceptron, training) &&
         make_block(&perceptron, training->least_weight, block);
  free(perceptron.seen);
  free(perceptron.tags);
  free(perceptron.cells);
  pos_slots_free(&perceptron.known);
  pos_slots_free(&perceptron.features);
  return room ? VQCT_OK : error_set(error, VQCT_MEMORY, "no memory to train the tagger");
}
