/* One thread, the caller's, takes the steps; only the loader's threads run beside it. All
 * processes of a job take the same way through the loop, since each sum over them waits for all:
 * whether to stop is such a sum, and the leader alone validates and writes. One process alone stops
 * within a step too, and takes it anew when it goes on. */
#include "run.h"

#include <inttypes.h>
#include <math.h>

#include "error.h"
#include "losses.h"
#include "run_inner.h"

static enum vqct_status one_step(struct run *run, struct run_interval *interval) {
  const struct run_settings *s = run->settings;
  struct trainer *t = run->trainer;
  int images = run_batch_at(s, t->step), side = run_crop_at(s, t->step);
  size_t size = (size_t)side * (size_t)side * (size_t)s->config.image_channels;
  struct vqct_train_losses losses;
  enum vqct_status status = VQCT_OK;
  for (int part = 0; part < s->accumulate; part++) {
    for (int n = 0; n < images && status == VQCT_OK; n++)
      status = loader_next(run->loader, run->batch + (size_t)n * size, run->error);
    if (status != VQCT_OK)
      return status;
    status = trainer_accumulate(t, run->batch, images, side, side, part, s->accumulate, &losses,
                                run->error);
    if (status != VQCT_OK)
      return status;
  }
  status = trainer_update(t, &losses, run->error);
  if (status != VQCT_OK)
    return status;
  losses_add(&interval->sum, &losses);
  interval->steps++;
  interval->pictures += (uint64_t)(images * s->accumulate);
  return VQCT_OK;
}

/* What is due after a step: validation, then checkpoints. */
static enum vqct_status after_step(struct run *run, struct run_interval *interval) {
  const struct run_settings *s = run->settings;
  bool keep = run->due || (s->checkpoint_every && run->trainer->step % s->checkpoint_every == 0);
  bool better = false;
  double begin = run_seconds();
  enum vqct_status status;
  if (!run_leads(run))
    return VQCT_OK;
  if (run->due && (status = run_validate(run, &better)) != VQCT_OK)
    return status;
  run->due = false;
  if (better && (status = run_save(run, RUN_BEST)) != VQCT_OK)
    return status;
  if (keep && (status = run_save(run, RUN_LAST)) != VQCT_OK)
    return status;
  interval->since += run_seconds() - begin; /* the log's rate is that of training */
  return VQCT_OK;
}

/* Whether any process was asked to stop: all of them end after the same step. */
static bool asked_to_stop(const struct run *run) {
  double stop = run->stop.asked && run->stop.asked(run->stop.context);
  if (run->reduction)
    run->reduction->sum(run->reduction->context, &stop, 1);
  return stop > 0;
}

/* A run that is asked to stop leaves a checkpoint, of the last step that was whole, and no
 * validation. */
static enum vqct_status stop(struct run *run) {
  enum vqct_status status = run_leads(run) ? run_save(run, RUN_LAST) : VQCT_OK;
  if (status != VQCT_OK)
    return status;
  return error_set(run->error, VQCT_INTERRUPTED, "stopped after step %" PRIu64 "; --resume goes on",
                   run->trainer->step);
}

static enum vqct_status loop(struct run *run) {
  const struct run_settings *s = run->settings;
  struct trainer *t = run->trainer;
  struct run_interval interval = {.since = run_seconds()};
  uint64_t last = s->until && s->until < s->steps ? s->until : s->steps;
  enum vqct_status status = run->due ? after_step(run, &interval) : VQCT_OK;
  while (status == VQCT_OK && t->step < last && (status = one_step(run, &interval)) == VQCT_OK) {
    bool end = t->step == s->steps, stopped = asked_to_stop(run) || t->step == last;
    run->due = end || (s->validate_every && t->step % s->validate_every == 0);
    bool log = end || (s->log_every && t->step % s->log_every == 0);
    if (log && (status = run_log(run, &interval)) != VQCT_OK)
      return status;
    status = stopped && !end ? VQCT_INTERRUPTED : after_step(run, &interval);
  }
  return status == VQCT_INTERRUPTED ? stop(run) : status;
}

enum vqct_status run_training(const struct run_settings *settings,
                              const struct vqct_train_hooks *hooks,
                              const struct reduction *reduction, struct vqct_error *error) {
  struct run run = {.settings = settings,
                    .hooks = hooks,
                    .reduction = reduction,
                    .best = INFINITY,
                    .folder = -1,
                    .started = run_seconds(),
                    .error = error};
  if (hooks->stopping)
    run.stop = (struct exec_stop){hooks->stopping, hooks->context};
  enum vqct_status status = run_open(&run);
  if (status != VQCT_OK)
    goto done;
  if (hooks->begin && run_leads(&run)) {
    status = hooks->begin(hooks->context, error);
    if (status != VQCT_OK)
      goto done;
  }
  status = loop(&run);
done:
  run_close(&run);
  return status;
}
