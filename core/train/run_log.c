/* A line of the log. Losses and counts are summed over all processes, so each of them comes here at
 * the same step, and only the leader writes. */
#include <stddef.h>
#include <time.h>

#include "error.h"
#include "losses.h"
#include "run_inner.h"

double run_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Counts of codes and means of losses become those of all processes. */
static enum vqct_status reduce_line(struct run *run, struct vqct_train_progress *row) {
  struct trainer *t = run->trainer;
  const struct reduction *reduction = run->reduction;
  if (!reduction)
    return VQCT_OK;
  struct arena_mark mark = arena_mark(&t->arena);
  double *counts = arena_alloc(&t->arena, t->codes * sizeof *counts);
  if (!counts)
    return error_set(run->error, VQCT_MEMORY, "no memory to count codes");
  for (size_t i = 0; i < t->codes; i++)
    counts[i] = (double)t->counts[i]; /* exact below 2^53 */
  reduction->sum(reduction->context, counts, t->codes);
  for (size_t i = 0; i < t->codes; i++)
    t->counts[i] = (uint64_t)counts[i];
  double losses[LOSSES];
  losses_to_array(&row->losses, losses);
  reduction->sum(reduction->context, losses, LOSSES);
  losses_from_array(&row->losses, losses);
  losses_divide(&row->losses, reduction->ranks);
  row->window *= (uint64_t)reduction->ranks;
  arena_release(&t->arena, mark);
  return VQCT_OK;
}

enum vqct_status run_log(struct run *run, struct run_interval *interval) {
  struct trainer *t = run->trainer;
  double now = run_seconds(), elapsed = now - interval->since;
  int ranks = run->reduction ? run->reduction->ranks : 1;
  struct vqct_train_progress row = {
      .step = t->step,
      .steps = run->settings->steps,
      .remaining = (double)(run->settings->steps - t->step) * elapsed / (double)interval->steps,
      .waited = loader_waited(run->loader) / (now - run->started),
      .seconds = now - run->started,
      .bad_pictures = loader_bad(run->loader),
      .rate = (double)interval->pictures * ranks / elapsed,
      .learning_rate = optimizer_rate(&t->settings.generator_optimizer, t->generator.steps - 1),
      .losses = interval->sum,
      .window = t->counted,
  };
  losses_divide(&row.losses, (double)interval->steps);
  enum vqct_status status = reduce_line(run, &row);
  if (status != VQCT_OK)
    return status;
  row.codebooks =
      codebooks_health(t->config.adjectives, t->config.nouns, t->counts, row.name, row.health);
  trainer_clear_counts(t);
  *interval = (struct run_interval){.since = now};
  if (!run_leads(run))
    return VQCT_OK;
  if (run->hooks->progress)
    run->hooks->progress(run->hooks->context, &row);
  return metrics_log_add(run->metrics, &row, run->error);
}
