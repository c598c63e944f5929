/* A run in progress. Inner to run*.c. */
#ifndef TRAIN_RUN_INNER_H
#define TRAIN_RUN_INNER_H

#include "evaluation.h"
#include "loader.h"
#include "metrics_log.h"
#include "model_file.h"
#include "pictures.h"
#include "prior.h"
#include "run.h"

/* The files of the folder. */
enum run_file {
  RUN_METRICS,
  RUN_LAST,
  RUN_BEST,
  RUN_MODEL,
  RUN_SHEET,
  RUN_CURVES,
  RUN_HELD_OUT,
  RUN_FILES
};

struct run {
  const struct run_settings *settings;
  struct model_config config; /* with the prior's numbers of codes */
  const struct vqct_train_hooks *hooks;
  const struct reduction *reduction;
  struct prior prior;     /* empty without one */
  struct prior codes;     /* those of its words that become codes; its memory is prior's */
  struct model_file from; /* empty without one; detached: codes and words */
  const char **words;     /* N: of `from`, where they stay; NULL: those of the prior, or none */
  struct perceptual *perceptual;
  struct anchors anchors;                 /* none without a file of them */
  struct pictures *pictures, *validation; /* validation NULL: held-out ones of pictures */
  struct loader *loader;
  struct pool *pool;
  struct trainer *trainer;
  struct metrics_log *metrics;
  char *path[RUN_FILES];
  int folder;   /* descriptor that the lock of the folder is held by; -1: none */
  float *batch; /* the largest micro-batch */
  double best;  /* the best validation so far: LPIPS, or -PSNR without it */
  double started;
  struct exec_stop stop; /* by the hooks; within a step, too, where there is one process */
  bool due;              /* a validation that has not been yet */
  struct vqct_error *error;
};

/* What has happened since the last line of the log. */
struct run_interval {
  double since; /* by run_seconds */
  uint64_t steps, pictures;
  struct vqct_train_losses sum;
};

/* ---- run_plan.c ---- */

/** Pictures of a micro-batch, and the side of their crops, at a step. */
int run_batch_at(const struct run_settings *settings, uint64_t step);
int run_crop_at(const struct run_settings *settings, uint64_t step);

/** Samples that one process has taken before a step. */
uint64_t run_samples_before(const struct run_settings *settings, uint64_t step);

/* ---- run_folder.c ---- */

/** Whether this process writes the folder: it is alone, or the first of several. */
bool run_leads(const struct run *run);

/** Passes one sentence on, once for all processes. */
void run_say(const struct run *run, const char *message);

/** Makes the folder and the paths of its files. The process that leads locks it against other runs
 * and removes what a killed one left half written. Errors: WRITE (another process has it), MEMORY;
 * run_folder_close is needed all the same. */
enum vqct_status run_folder_open(struct run *run);
void run_folder_close(struct run *run);

/** Writes the names of the pictures that validate and are not trained on. *moved: the folder had a
 * list of others. Errors: WRITE, MEMORY. */
enum vqct_status run_list_held_out(struct run *run, bool *moved);

/* ---- run_checkpoint.c ---- */

/** Writes a checkpoint. Errors: WRITE, MEMORY. */
enum vqct_status run_save(struct run *run, enum run_file file);

/** Goes on from the folder's newest checkpoint, where settings ask for it; otherwise there must be
 * none. Errors: INVALID, READ, and those of checkpoint_load. */
enum vqct_status run_resume(struct run *run);

/* ---- run_from.c ---- */

/** Where settings name a model file: a run that does not go on takes its weights, and its words
 * stay where its codes do. Errors: INVALID (nothing agrees), those of model_file_open. */
enum vqct_status run_begin_from(struct run *run);

/* ---- run_open.c ---- */

/** Opens all that a run reads and writes; run_close is needed whatever comes of it. Errors: those
 * of settings and files. */
enum vqct_status run_open(struct run *run);
void run_close(struct run *run);

/* ---- run_log.c ---- */

/** Seconds of a clock that only goes forward. */
double run_seconds(void);

/** Writes and shows a line, and begins a new interval. Errors: WRITE, MEMORY. */
enum vqct_status run_log(struct run *run, struct run_interval *interval);

/* ---- run_validate.c ---- */

/** Measures the validation pictures with the averaged weights, writes line, sheet, curves and the
 * model. *better: this is the best so far. The trainer has its own weights again afterwards. */
enum vqct_status run_validate(struct run *run, bool *better);

#endif
