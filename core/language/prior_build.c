/* From counts to a prior: words above the threshold, those of them that have an embedding, sorted;
 * then the pairs between two kept words as edges. */
#include "prior_build.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "exclusions.h"
#include "prior_count.h"
#include "prior_edges.h"
#include "provenance.h"

/* One word that may be kept. */
struct candidate {
  const char *text;
  uint64_t count;
  uint32_t id;   /* in its vocabulary */
  uint32_t look; /* in the table of words whose embeddings are wanted */
};

struct building {
  const struct prior_recipe *recipe;
  struct vocabulary vocabulary;
  struct word_table wanted, excluded;
  struct embeddings embeddings;
  struct candidate *candidates[2]; /* by part of speech */
  uint32_t *row[2];                /* of a vocabulary's word in the prior; WORD_NONE: not kept */
  size_t kept[2];
  struct prior *prior;
  struct prior_report *report;
};

static const struct word_counts *counts_of(const struct building *building, int part) {
  return part == VQCT_ADJECTIVE ? &building->vocabulary.adjectives : &building->vocabulary.nouns;
}

static int compare_candidates(const void *a, const void *b) {
  const struct candidate *left = a, *right = b;
  if (left->count != right->count)
    return left->count < right->count ? 1 : -1;
  return strcmp(left->text, right->text);
}

/* The words of one part above the threshold, sorted, each among the wanted ones. */
static enum vqct_status choose_candidates(struct building *building, int part,
                                          struct vqct_error *error) {
  const struct word_counts *counts = counts_of(building, part);
  struct prior_part_report *report = &building->report->part[part];
  struct candidate *candidates = malloc((counts->words.count + 1u) * sizeof *candidates);
  building->candidates[part] = candidates;
  if (!candidates)
    return error_set(error, VQCT_MEMORY, "no memory for the words");
  report->distinct = counts->words.count;
  for (uint32_t id = 0; id < counts->words.count; id++) {
    const char *text = word_table_text(&counts->words, id);
    struct candidate candidate = {text, counts->count[id], id, 0};
    report->places += candidate.count;
    if (candidate.count <= building->recipe->threshold)
      continue;
    if (!word_table_add(&building->wanted, text, strlen(text), &candidate.look))
      return error_set(error, VQCT_MEMORY, "no memory for the words");
    candidates[report->above++] = candidate;
  }
  qsort(candidates, report->above, sizeof *candidates, compare_candidates);
  return VQCT_OK;
}

static void embeddings_progress(void *argument, double share) {
  const struct prior_recipe *recipe = argument;
  if (recipe->progress)
    recipe->progress(recipe->argument, "embeddings", share);
}

static enum vqct_status look_up(struct building *building, struct vqct_error *error) {
  const struct prior_recipe *recipe = building->recipe;
  struct embeddings_source source = {recipe->embeddings, recipe->words, embeddings_progress,
                                     (void *)recipe};
  enum vqct_status status =
      embeddings_load(&source, &building->wanted, &building->embeddings, error);
  building->report->rows = building->embeddings.rows;
  building->report->duplicates = building->embeddings.duplicates;
  building->report->not_finite = building->embeddings.not_finite;
  return status;
}

/* Drops the candidates without an embedding and those that are excluded. */
static enum vqct_status keep_found(struct building *building, int part, struct vqct_error *error) {
  struct prior_part_report *report = &building->report->part[part];
  struct candidate *candidates = building->candidates[part];
  for (size_t i = 0; i < report->above; i++) {
    uint32_t id;
    bool excluded = word_table_find(&building->excluded, candidates[i].text,
                                    strlen(candidates[i].text)) != WORD_NONE;
    if (building->embeddings.found[candidates[i].look]) {
      report->excluded += excluded;
      if (!excluded)
        candidates[building->kept[part]++] = candidates[i];
      continue;
    }
    if (excluded)
      continue;
    report->missing++;
    if (!word_table_add(&building->report->missing, candidates[i].text, strlen(candidates[i].text),
                        &id))
      return error_set(error, VQCT_MEMORY, "no memory for the words");
  }
  return VQCT_OK;
}

static enum vqct_status check_enough(struct building *building, struct vqct_error *error) {
  if (building->kept[VQCT_ADJECTIVE] && building->kept[VQCT_NOUN])
    return VQCT_OK;
  const struct prior_part_report *part = building->report->part;
  return error_set(error, VQCT_DATA,
                   "a prior needs an adjective and a noun: %llu adjectives and %llu nouns stand in "
                   "%llu captions "
                   "more than %llu times, %zu and %zu of them have an embedding",
                   (unsigned long long)part[VQCT_ADJECTIVE].above,
                   (unsigned long long)part[VQCT_NOUN].above,
                   (unsigned long long)building->report->captions.captions,
                   (unsigned long long)building->recipe->threshold, building->kept[VQCT_ADJECTIVE],
                   building->kept[VQCT_NOUN]);
}

/* Puts the kept words of one part into the prior from a row on. */
static enum vqct_status place_words(struct building *building, int part, size_t first,
                                    const char **word, uint64_t *count, float *vectors,
                                    struct vqct_error *error) {
  size_t dimension = building->embeddings.dimension, words = counts_of(building, part)->words.count;
  if (!(building->row[part] = malloc((words + 1) * sizeof(uint32_t))))
    return error_set(error, VQCT_MEMORY, "no memory for the words");
  memset(building->row[part], 0xff, (words + 1) * sizeof(uint32_t));
  for (size_t i = 0; i < building->kept[part]; i++) {
    const struct candidate *candidate = &building->candidates[part][i];
    size_t row = first + i, size = strlen(candidate->text) + 1;
    char *text = arena_alloc(&building->prior->memory, size);
    if (!text)
      return error_set(error, VQCT_MEMORY, "no memory for the words");
    word[row] = memcpy(text, candidate->text, size);
    count[row] = candidate->count;
    memcpy(vectors + row * dimension, building->embeddings.vectors + candidate->look * dimension,
           dimension * sizeof *vectors);
    building->row[part][candidate->id] = (uint32_t)row;
  }
  return VQCT_OK;
}

static enum vqct_status place_all_words(struct building *building, struct vqct_error *error) {
  struct prior *prior = building->prior;
  prior->adjectives = building->kept[VQCT_ADJECTIVE];
  prior->nouns = building->kept[VQCT_NOUN];
  prior->words = prior->adjectives + prior->nouns;
  prior->dimension = building->embeddings.dimension;
  const char **word = arena_calloc(&prior->memory, prior->words, sizeof *word);
  uint64_t *count = arena_calloc(&prior->memory, prior->words, sizeof *count);
  float *vectors = arena_calloc(&prior->memory, prior->words, prior->dimension * sizeof *vectors);
  if (!word || !count || !vectors)
    return error_set(error, VQCT_MEMORY, "no memory for the prior");
  prior->word = word;
  prior->count = count;
  prior->embeddings = vectors;
  enum vqct_status status = place_words(building, VQCT_ADJECTIVE, 0, word, count, vectors, error);
  if (status != VQCT_OK)
    return status;
  return place_words(building, VQCT_NOUN, prior->adjectives, word, count, vectors, error);
}

static enum vqct_status place_edges(struct building *building, struct vqct_error *error) {
  const struct vocabulary *vocabulary = &building->vocabulary;
  struct prior_report *report = building->report;
  struct prior_edge *edges =
      arena_calloc(&building->prior->memory, vocabulary->pairs, sizeof *edges);
  if (!edges)
    return error_set(error, VQCT_MEMORY, "no memory for the edges");
  report->pairs = vocabulary->pairs;
  for (size_t i = 0; i < vocabulary->slots; i++) {
    const struct word_pair *pair = &vocabulary->pair[i];
    if (!pair->count)
      continue;
    report->pair_places += pair->count;
    uint32_t adjective = building->row[VQCT_ADJECTIVE][pair->adjective];
    uint32_t noun = building->row[VQCT_NOUN][pair->noun];
    if (adjective == WORD_NONE || noun == WORD_NONE)
      continue;
    uint32_t weight = pair->count < UINT32_MAX ? (uint32_t)pair->count : UINT32_MAX;
    edges[report->edges++] = (struct prior_edge){adjective, noun, weight};
    report->edge_places += weight;
  }
  building->prior->edges = edges;
  building->prior->edge_count = report->edges = prior_edges_merge(edges, report->edges);
  return VQCT_OK;
}

uint64_t prior_degree_bin(unsigned bin) {
  return bin ? (uint64_t)1 << (bin - 1) : 0;
}

static unsigned degree_bin(uint64_t degree) {
  unsigned bin = 0;
  while (bin + 1 < PRIOR_DEGREE_BINS && degree >= prior_degree_bin(bin + 1))
    bin++;
  return bin;
}

static enum vqct_status count_degrees(struct building *building, struct vqct_error *error) {
  const struct prior *prior = building->prior;
  uint64_t *degree = calloc(prior->words, sizeof *degree);
  if (!degree)
    return error_set(error, VQCT_MEMORY, "no memory for the degrees");
  for (size_t i = 0; i < prior->edge_count; i++) {
    degree[prior->edges[i].first]++;
    degree[prior->edges[i].second]++;
  }
  for (size_t row = 0; row < prior->words; row++) {
    struct prior_part_report *part = &building->report->part[row >= prior->adjectives];
    part->isolated += degree[row] == 0;
    part->degrees[degree_bin(degree[row])]++;
    if (degree[row] > part->degree_most)
      part->degree_most = degree[row];
  }
  free(degree);
  return VQCT_OK;
}

static enum vqct_status read_exclusions(struct building *building, struct vqct_error *error) {
  const struct prior_recipe *recipe = building->recipe;
  enum vqct_status status = VQCT_OK;
  for (size_t i = 0; i < recipe->exclude_files && status == VQCT_OK; i++)
    status = exclusions_read(recipe->exclude[i], &building->excluded, error);
  return status;
}

static enum vqct_status count_captions(struct building *building, struct vqct_error *error) {
  struct prior_report *report = building->report;
  enum vqct_status status =
      prior_count(building->recipe, &building->vocabulary, &report->captions, error);
  report->tokens = building->vocabulary.tokens;
  return status;
}

/* A step of both parts of speech. */
static enum vqct_status for_both(struct building *building,
                                 enum vqct_status (*step)(struct building *, int,
                                                          struct vqct_error *),
                                 struct vqct_error *error) {
  enum vqct_status status = step(building, VQCT_ADJECTIVE, error);
  return status == VQCT_OK ? step(building, VQCT_NOUN, error) : status;
}

static enum vqct_status choose_all(struct building *building, struct vqct_error *error) {
  return for_both(building, choose_candidates, error);
}

static enum vqct_status keep_all_found(struct building *building, struct vqct_error *error) {
  return for_both(building, keep_found, error);
}

static enum vqct_status describe(struct building *building, struct vqct_error *error) {
  return provenance_write(building->recipe, building->report, building->prior, error);
}

static enum vqct_status build(struct building *building, struct vqct_error *error) {
  static enum vqct_status (*const steps[])(struct building *, struct vqct_error *) = {
      read_exclusions, count_captions,  choose_all,  look_up,       keep_all_found,
      check_enough,    place_all_words, place_edges, count_degrees, describe,
  };
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    enum vqct_status status = steps[i](building, error);
    if (status != VQCT_OK)
      return status;
  }
  return VQCT_OK;
}

enum vqct_status prior_build(const struct prior_recipe *recipe, struct prior *prior,
                             struct prior_report *report, struct vqct_error *error) {
  struct building building = {.recipe = recipe, .prior = prior, .report = report};
  *report = (struct prior_report){0};
  *prior = (struct prior){0};
  arena_init(&prior->memory, 0);
  enum vqct_status status = build(&building, error);
  vocabulary_free(&building.vocabulary);
  word_table_free(&building.wanted);
  word_table_free(&building.excluded);
  embeddings_free(&building.embeddings);
  for (int part = 0; part < 2; part++) {
    free(building.candidates[part]);
    free(building.row[part]);
  }
  if (status != VQCT_OK)
    prior_free(prior);
  return status;
}

void prior_report_free(struct prior_report *report) {
  word_table_free(&report->missing);
}
