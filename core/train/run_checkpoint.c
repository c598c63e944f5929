/* Where a run begins: with what its folder's last checkpoint holds, which --resume must allow, or
 * anew. The best score goes on only while it is measured in the same way. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint.h"
#include "error.h"
#include "run_inner.h"

/* What the best validation is the best of: numbers of other kinds cannot be compared with it. */
static void describe_best(const struct run *run, char text[64]) {
  snprintf(text, 64, "%s of %" PRIu64 " pictures of %d pixels", run->perceptual ? "LPIPS" : "PSNR",
           run->settings->validation_pictures, run->settings->validation_size);
}

enum vqct_status run_save(struct run *run, enum run_file file) {
  struct checkpoint_extra extra = {.best = run->best, .due = run->due};
  describe_best(run, extra.best_of);
  return checkpoint_save(run->path[file], run->trainer, &extra, run->error);
}

enum vqct_status run_resume(struct run *run) {
  const char *path = run->path[RUN_LAST];
  bool there = access(path, F_OK) == 0;
  if (!there && run->settings->resume)
    return error_set(run->error, VQCT_READ, "%s: there is no checkpoint to go on from", path);
  if (there && !run->settings->resume)
    return error_set(run->error, VQCT_INVALID,
                     "%s: a run is here already; --resume goes on with it", path);
  if (!there)
    return VQCT_OK;
  struct checkpoint_extra extra;
  enum vqct_status status = checkpoint_load(path, run->trainer, &extra, run->error);
  if (status != VQCT_OK)
    return status;
  char measured[64];
  describe_best(run, measured);
  bool comparable = !*extra.best_of || strcmp(extra.best_of, measured) == 0; /* "": not recorded */
  run->best = comparable ? extra.best : INFINITY;
  run->due = extra.due;
  char place[96];
  snprintf(place, sizeof place, "goes on from step %" PRIu64 " of %" PRIu64, run->trainer->step,
           run->settings->steps);
  run_say(run, place);
  if (extra.new_discriminator)
    run_say(run, "the checkpoint has no discriminator: one with fresh weights begins");
  if (extra.new_average)
    run_say(run, "the checkpoint has no averaged weights: the average begins at its weights");
  return VQCT_OK;
}
