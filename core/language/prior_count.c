/* The caller's thread reads captions into a batch; when it is full, the team counts it, each
 * worker into a vocabulary of its own. Reading and counting take turns rather than overlap:
 * tagging takes nearly all of the time. Vocabularies are added in the end, and whoever uses the
 * sum sorts it, so who counted what does not show. */
#include "prior_count.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

#define BATCH_BYTES    ((size_t)4 << 20) /* of captions that are counted together */
#define BATCH_CAPTIONS ((size_t)32768)
#define TASK_CAPTIONS  ((size_t)256)

/* What one thread of the team writes. */
struct caption_counter {
  struct vocabulary vocabulary;
  struct vocabulary_scratch scratch;
};

struct counting {
  const struct prior_recipe *recipe;
  struct caption_counter *workers; /* pool_workers() */
  char *text;                      /* captions one after another */
  size_t *first;                   /* BATCH_CAPTIONS + 1: where each begins */
  size_t captions;                 /* in the batch */
  size_t file;                     /* being read */
  atomic_bool failed;              /* memory ran out in some worker */
};

static void count_task(void *argument, size_t task, unsigned worker_number) {
  struct counting *counting = argument;
  struct caption_counter *worker = &counting->workers[worker_number];
  size_t end = (task + 1) * TASK_CAPTIONS;
  if (end > counting->captions)
    end = counting->captions;
  for (size_t i = task * TASK_CAPTIONS; i < end; i++)
    if (!vocabulary_count(&worker->vocabulary, counting->recipe->tagger, counting->recipe->lexicon,
                          counting->text + counting->first[i],
                          counting->first[i + 1] - counting->first[i], &worker->scratch)) {
      atomic_store(&counting->failed, true);
      return;
    }
}

/* Counts what is in the batch and empties it. */
static enum vqct_status count_batch(struct counting *counting, struct vqct_error *error) {
  size_t tasks = (counting->captions + TASK_CAPTIONS - 1) / TASK_CAPTIONS;
  if (tasks)
    pool_run(counting->recipe->pool, tasks, count_task, counting);
  counting->captions = 0;
  if (atomic_load(&counting->failed))
    return error_set(error, VQCT_MEMORY, "no memory to count the captions");
  return VQCT_OK;
}

static enum vqct_status take_caption(void *argument, const char *text, size_t length, double share,
                                     struct vqct_error *error) {
  struct counting *counting = argument;
  const struct prior_recipe *recipe = counting->recipe;
  enum vqct_status status = VQCT_OK;
  size_t at = counting->captions ? counting->first[counting->captions] : 0;
  if (counting->captions == BATCH_CAPTIONS || at + length > BATCH_BYTES) {
    status = count_batch(counting, error);
    at = 0;
    if (recipe->progress)
      recipe->progress(recipe->argument, "captions",
                       ((double)counting->file + share) / (double)recipe->caption_files);
  }
  counting->first[counting->captions] = at;
  memcpy(counting->text + at, text, length);
  counting->first[++counting->captions] = at + length;
  return status;
}

static enum vqct_status count_files(struct counting *counting, struct caption_counts *counts,
                                    struct vqct_error *error) {
  const struct prior_recipe *recipe = counting->recipe;
  struct caption_taker taker = {take_caption, counting};
  for (; counting->file < recipe->caption_files; counting->file++) {
    const char *path = recipe->captions[counting->file];
    enum vqct_status status = captions_read(path, recipe->column, &taker, counts, error);
    if (status != VQCT_OK)
      return status;
  }
  return count_batch(counting, error);
}

enum vqct_status prior_count(const struct prior_recipe *recipe, struct vocabulary *vocabulary,
                             struct caption_counts *counts, struct vqct_error *error) {
  unsigned workers = pool_workers(recipe->pool);
  struct counting counting = {.recipe = recipe,
                              .workers = calloc(workers, sizeof *counting.workers),
                              .text = malloc(BATCH_BYTES),
                              .first = malloc((BATCH_CAPTIONS + 1) * sizeof *counting.first)};
  enum vqct_status status = VQCT_OK;
  *vocabulary = (struct vocabulary){0};
  if (!counting.workers || !counting.text || !counting.first)
    status = error_set(error, VQCT_MEMORY, "no memory to count the captions");
  else
    status = count_files(&counting, counts, error);
  for (unsigned i = 0; counting.workers && i < workers; i++) {
    struct caption_counter *worker = &counting.workers[i];
    if (status == VQCT_OK && !vocabulary_add(vocabulary, &worker->vocabulary))
      status = error_set(error, VQCT_MEMORY, "no memory to add up the counts");
    vocabulary_free(&worker->vocabulary);
    vocabulary_scratch_free(&worker->scratch);
  }
  free(counting.workers);
  free(counting.text);
  free(counting.first);
  if (status != VQCT_OK)
    vocabulary_free(vocabulary);
  return status;
}
