/* A run that begins with the weights of a model file: those of the network by name and shape, and
 * its codes where they agree in length and, with a prior, in word. Codes that are trained
 * themselves (free, ema) are taken as they are. Codes that a transfer makes are approached: the
 * transfer's weights are fitted to them, by Adam on the mean squared difference, before the first
 * step. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "run_inner.h"
#include "word_table.h"

#define FIT_STEPS 1000
#define FIT_RATE  1e-2 /* falls along a cosine to 0 */

static bool same_shape(const struct parameter *a, const struct parameter *b) {
  return a->dims == b->dims && memcmp(a->shape, b->shape, sizeof a->shape) == 0;
}

/* Copies what agrees into the trainer's block; *first: one that the file does not have. */
static size_t take_weights(struct run *run, const struct parameter **first) {
  struct trainer *t = run->trainer;
  const struct parameter_list *theirs = &run->from.parameters;
  size_t taken = 0;
  *first = NULL;
  for (size_t i = 0; i < t->list.count; i++) {
    const struct parameter *p = &t->list.parameter[i], *q = parameter_find(theirs, p->name);
    if (q && same_shape(p, q)) {
      tensor_to_float(run->from.weight[q - theirs->parameter], t->generator.parameters + p->offset);
      taken++;
    } else if (!*first) {
      *first = p;
    }
  }
  return taken;
}

/* Rows of the file's codes for this run's, NO_ROW where it has none; from malloc. */
struct matched {
  uint32_t *row; /* N */
  size_t count;  /* rows that are not NO_ROW */
};

#define NO_ROW UINT32_MAX

/* Without a prior codes have no names: all agree or none does. */
static bool same_codes(const struct run *run) {
  const struct model_config *ours = &run->config, *theirs = &run->from.config;
  return !run->settings->prior && ours->adjectives == theirs->adjectives &&
         ours->nouns == theirs->nouns && ours->code_dimension == theirs->code_dimension;
}

/* The file's words of one part of speech, numbered as they come. */
static enum vqct_status list_words(const struct run *run, size_t first, size_t end,
                                   struct word_table *words) {
  uint32_t number;
  for (size_t row = first; row < end; row++) {
    const char *word = model_file_word(&run->from, row);
    if (!word_table_add(words, word, strlen(word), &number))
      return error_set(run->error, VQCT_MEMORY, "no memory for words");
  }
  return VQCT_OK;
}

/* Matches the words of the run's rows first to end with the file's from row `theirs` on. */
static void match_words(const struct run *run, size_t first, size_t end, size_t theirs,
                        const struct word_table *words, struct matched *matched) {
  for (size_t i = first; i < end; i++) {
    const char *word = run->codes.word[i];
    uint32_t number = word_table_find(words, word, strlen(word));
    if (number == WORD_NONE)
      continue;
    matched->row[i] = (uint32_t)theirs + number;
    matched->count++;
  }
}

/* By words, each among those of its part of speech. */
static enum vqct_status match_by_words(const struct run *run, struct matched *matched) {
  const struct model_config *theirs = &run->from.config;
  size_t adjectives = (size_t)theirs->adjectives, all = (size_t)model_config_codes(theirs);
  struct word_table words[2] = {{0}, {0}};
  if (theirs->code_dimension != run->config.code_dimension)
    return VQCT_OK;
  enum vqct_status status;
  if ((status = list_words(run, 0, adjectives, &words[0])) ||
      (status = list_words(run, adjectives, all, &words[1])))
    goto done;
  /* Where two codes of the file share a word, numbers are no rows. */
  if (words[0].count == adjectives && words[1].count == all - adjectives) {
    match_words(run, 0, run->codes.adjectives, 0, &words[0], matched);
    match_words(run, run->codes.adjectives, run->codes.words, adjectives, &words[1], matched);
  }
done:
  word_table_free(&words[0]);
  word_table_free(&words[1]);
  return status;
}

static enum vqct_status match_codes(const struct run *run, struct matched *matched) {
  size_t count = run->trainer->codes;
  *matched = (struct matched){.row = malloc(count * sizeof *matched->row)};
  if (!matched->row)
    return error_set(run->error, VQCT_MEMORY, "no memory to compare %zu codes", count);
  for (size_t i = 0; i < count; i++)
    matched->row[i] = same_codes(run) ? (uint32_t)i : NO_ROW;
  matched->count = same_codes(run) ? count : 0;
  return run->settings->prior ? match_by_words(run, matched) : VQCT_OK;
}

static void copy_codes(const struct run *run, const struct matched *matched, float *codes) {
  size_t d = (size_t)run->config.code_dimension;
  for (size_t i = 0; i < run->trainer->codes; i++)
    if (matched->row[i] != NO_ROW)
      memcpy(codes + i * d, run->from.codebook + matched->row[i] * d, d * sizeof *codes);
}

/* codes (N,d) become the transfer's minus the file's where they match, scaled to the gradient of
 * the mean squared difference, and 0 elsewhere. Gives that difference as a share of the mean square
 * of the file's. */
static double compare_codes(const struct run *run, const struct matched *matched, float *codes) {
  size_t d = (size_t)run->config.code_dimension;
  double sum = 0, square = 0;
  for (size_t i = 0; i < run->trainer->codes * d; i++) {
    uint32_t row = matched->row[i / d];
    float theirs = row == NO_ROW ? codes[i] : run->from.codebook[row * d + i % d];
    float difference = codes[i] - theirs;
    sum += (double)difference * (double)difference;
    square += row == NO_ROW ? 0 : (double)theirs * (double)theirs;
    codes[i] = 2 * difference / (float)(matched->count * d);
  }
  return square > 0 ? sum / square : 0;
}

static enum vqct_status fit_transfer(struct run *run, const struct matched *matched, double *loss) {
  struct trainer *t = run->trainer;
  size_t total = transfer_parameters(t->transfer)->total;
  float *weights = t->generator.parameters + t->list.total;
  const struct optimizer_settings settings = {.learning_rate = FIT_RATE,
                                              .decay_steps = FIT_STEPS,
                                              .beta1 = 0.9,
                                              .beta2 = 0.999,
                                              .epsilon = 1e-8};
  struct optimizer adam = {0};
  double norm;
  enum vqct_status status = optimizer_init(&adam, &settings, total, run->error);
  if (status != VQCT_OK)
    return status;
  memcpy(adam.parameters, weights, total * sizeof *weights);
  for (int step = 0; step <= FIT_STEPS; step++) {
    status = transfer_forward(t->transfer, adam.parameters, false, 0, t->codebook, &t->exec);
    if (status != VQCT_OK)
      break;
    *loss = compare_codes(run, matched, t->codebook);
    if (step == FIT_STEPS ||
        (status = transfer_backward(t->transfer, adam.parameters, t->codebook, adam.gradients,
                                    &t->exec)) ||
        (status = optimizer_step(&adam, &norm, &t->exec, run->error)))
      break;
  }
  memcpy(weights, adam.parameters, total * sizeof *weights);
  optimizer_free(&adam);
  return status == VQCT_MEMORY ? error_set(run->error, status, "no memory to fit the codes")
                               : status;
}

/* What becomes of the codes that match, as the end of a sentence. */
static enum vqct_status take_matched(struct run *run, const struct matched *matched, char *text,
                                     size_t size) {
  struct trainer *t = run->trainer;
  bool trained = t->transfer && transfer_parameters(t->transfer)->total;
  if (!matched->count || (t->transfer && !trained)) {
    snprintf(text, size, "its codes begin anew");
    return VQCT_OK;
  }
  snprintf(text, size, "%zu of its %zu codes", matched->count, t->codes);
  if (!t->transfer) {
    copy_codes(run, matched, t->codebook);
    ema_codebook_start(&t->ema);
    return VQCT_OK;
  }
  if (t->settings.codes == VQCT_CODES_FREE) {
    copy_codes(run, matched, t->generator.parameters + t->list.total);
    return VQCT_OK;
  }
  double loss = 0;
  enum vqct_status status = fit_transfer(run, matched, &loss);
  snprintf(text, size, "%zu of its %zu codes, fitted to within %.2g%% of their mean square",
           matched->count, t->codes, 100 * loss);
  return status;
}

static enum vqct_status take_codes(struct run *run, char *text, size_t size) {
  struct matched matched;
  enum vqct_status status = match_codes(run, &matched);
  if (status == VQCT_OK)
    status = take_matched(run, &matched, text, size);
  free(matched.row);
  return status;
}

static enum vqct_status take(struct run *run) {
  struct trainer *t = run->trainer;
  const struct parameter *first;
  size_t taken = take_weights(run, &first);
  char codes[128], text[512], missing[128] = "";
  if (!taken)
    return error_set(run->error, VQCT_INVALID, "%s: no weight of it has a name and shape of %s",
                     run->settings->from, run->config.name);
  enum vqct_status status = take_codes(run, codes, sizeof codes);
  if (status != VQCT_OK)
    return status;
  if (first)
    snprintf(missing, sizeof missing, " (not %s%s)", first->name,
             taken + 1 < t->list.count ? " and others" : "");
  snprintf(text, sizeof text, "begins with %zu of %zu weights of %.200s%s; %s", taken,
           t->list.count, run->settings->from, missing, codes);
  run_say(run, text);
  optimizer_start_average(&t->generator);
  return trainer_pack(t, run->error);
}

/* The file's words stay those of its codes. */
static enum vqct_status keep_words(struct run *run) {
  if (!same_codes(run) || !*model_file_word(&run->from, 0))
    return VQCT_OK;
  size_t count = run->trainer->codes;
  if (!(run->words = calloc(count, sizeof *run->words)))
    return error_set(run->error, VQCT_MEMORY, "no memory for %zu words", count);
  for (size_t i = 0; i < count; i++)
    run->words[i] = model_file_word(&run->from, i);
  return VQCT_OK;
}

enum vqct_status run_begin_from(struct run *run) {
  if (!run->settings->from)
    return VQCT_OK;
  enum vqct_status status = model_file_open(run->settings->from, &run->from, run->error);
  if (status != VQCT_OK)
    return status;
  if (!run->settings->resume && (status = take(run)) != VQCT_OK)
    return status;
  status = model_file_detach(&run->from, run->error); /* the file may change from now on */
  return status == VQCT_OK ? keep_words(run) : status;
}
