/* A checkpoint is what a run cannot compute again: the trainer's blocks and where it stands.
 * Codebooks of a transfer are left out, since they follow from its weights; list_blocks is the
 * one list that both directions go through. */
#include "checkpoint.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "safetensors.h"

#define FORMAT     "vqct-checkpoint-1"
#define BLOCKS_MAX 16

/* One block of numbers of a trainer and its name in the file. */
struct stored {
  const char *name;
  float *values;
  size_t count;
};

/* Lists the blocks that a trainer has. */
static size_t list_blocks(const struct trainer *t, struct stored blocks[BLOCKS_MAX]) {
  const struct optimizer *g = &t->generator, *d = &t->judge;
  const size_t codes = t->codes * (size_t)t->config.code_dimension;
  const struct stored all[] = {
      {"generator.parameters", g->parameters, g->count},
      {"generator.mean", g->mean, g->count},
      {"generator.square", g->square, g->count},
      {"generator.average", g->average, g->count},
      {"discriminator.parameters", d->parameters, d->count},
      {"discriminator.mean", d->mean, d->count},
      {"discriminator.square", d->square, d->count},
      {"discriminator.average", d->average, d->count},
      {"codes.count", t->ema.count, t->codes},
      {"codes.sum", t->ema.sum, codes},
      {"codes.value", t->transfer ? NULL : t->codebook, codes},
  };
  size_t count = 0;
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (all[i].values)
      blocks[count++] = all[i];
  return count;
}

enum vqct_status checkpoint_save(const char *path, const struct trainer *t,
                                 const struct checkpoint_extra *extra, struct vqct_error *error) {
  struct stored blocks[BLOCKS_MAX];
  struct tensor tensors[BLOCKS_MAX];
  size_t count = list_blocks(t, blocks);
  for (size_t i = 0; i < count; i++)
    tensors[i] = (struct tensor){.name = blocks[i].name,
                                 .type = TENSOR_F32,
                                 .dims = 1,
                                 .shape = {blocks[i].count},
                                 .data = blocks[i].values};
  char *architecture = model_config_json(&t->config);
  if (!architecture)
    return error_set(error, VQCT_MEMORY, "no memory to write %s", path);
  char step[24], generator[24], discriminator[24], codes[24], best[40], judged[100];
  snprintf(step, sizeof step, "%" PRIu64, t->step);
  snprintf(generator, sizeof generator, "%" PRIu64, t->generator.steps);
  snprintf(discriminator, sizeof discriminator, "%" PRIu64, t->judge.steps);
  snprintf(judged, sizeof judged, "%a %a %" PRIu64, t->judged.real, t->judged.made,
           t->judged.batches);
  snprintf(codes, sizeof codes, "%d", t->settings.codes);
  snprintf(best, sizeof best, "%a", extra->best);
  const struct safetensors_text texts[] = {
      {"format", FORMAT},
      {"architecture", architecture},
      {"step", step},
      {"generator_steps", generator},
      {"discriminator_steps", discriminator},
      {"judged", judged},
      {"codes", codes},
      {"best", best},
      {"best_of", extra->best_of},
      {"validation_due", extra->due ? "1" : "0"},
  };
  enum vqct_status status =
      safetensors_save(path, tensors, count, texts, sizeof texts / sizeof *texts, error);
  free(architecture);
  return status;
}

/* ---- reading --------------------------------------------------------------------------------- */

struct checkpoint_reading {
  const char *path;
  const struct safetensors *file;
  struct vqct_error *error;
};

static const char *text_of(const struct checkpoint_reading *reading, const char *key) {
  const char *text = safetensors_metadata(reading->file, key);
  return text ? text : "";
}

static enum vqct_status read_count(const struct checkpoint_reading *reading, const char *key,
                                   uint64_t *value) {
  const char *text = text_of(reading, key);
  char *end;
  *value = strtoull(text, &end, 10);
  if (!*text || *end || *text == '-')
    return error_set(reading->error, VQCT_MODEL, "%s: %s is '%s', not a number", reading->path, key,
                     text);
  return VQCT_OK;
}

static enum vqct_status read_block(const struct checkpoint_reading *reading,
                                   const struct stored *block) {
  const struct tensor *tensor = safetensors_find(reading->file, block->name);
  if (!tensor || tensor->type != TENSOR_F32 || !tensor_has_shape(tensor, 1, &block->count))
    return error_set(reading->error, VQCT_MODEL, "%s: there is no tensor %s of %zu numbers",
                     reading->path, block->name, block->count);
  if (tensor_first_not_finite(tensor) < tensor->count)
    return error_set(reading->error, VQCT_NOT_FINITE, "%s: %s holds NaN or infinity", reading->path,
                     block->name);
  tensor_to_float(tensor, block->values);
  return VQCT_OK;
}

static enum vqct_status check_kind(const struct checkpoint_reading *reading,
                                   const struct trainer *t) {
  char codes[24];
  snprintf(codes, sizeof codes, "%d", t->settings.codes);
  char *architecture = model_config_json(&t->config);
  if (!architecture)
    return error_set(reading->error, VQCT_MEMORY, "no memory to read %s", reading->path);
  bool same = strcmp(text_of(reading, "architecture"), architecture) == 0 &&
              strcmp(text_of(reading, "codes"), codes) == 0;
  free(architecture);
  if (strcmp(text_of(reading, "format"), FORMAT) != 0)
    return error_set(reading->error, VQCT_MODEL, "%s: not a checkpoint of training", reading->path);
  if (!same)
    return error_set(reading->error, VQCT_MODEL,
                     "%s: it is of another architecture or kind of codes than this run",
                     reading->path);
  return VQCT_OK;
}

static bool has_block(const struct checkpoint_reading *reading, const char *name) {
  return safetensors_find(reading->file, name) != NULL;
}

/* A stage may add what the one before it trained without: a block that the file then lacks. */
static bool is_left_out(const struct checkpoint_extra *extra, const char *name) {
  return (extra->new_discriminator && !strncmp(name, "discriminator.", 14)) ||
         (extra->new_average && !strcmp(name, "generator.average"));
}

/* The average logits; an older file has none, and they begin anew. */
static enum vqct_status read_judged(const struct checkpoint_reading *reading, struct trainer *t) {
  const char *text = text_of(reading, "judged");
  if (!*text)
    return VQCT_OK;
  if (sscanf(text, "%la %la %" SCNu64, &t->judged.real, &t->judged.made, &t->judged.batches) != 3 ||
      !isfinite(t->judged.real) || !isfinite(t->judged.made))
    return error_set(reading->error, VQCT_MODEL,
                     "%s: judged is '%.40s', not two average logits and a count", reading->path,
                     text);
  return VQCT_OK;
}

static enum vqct_status read_counters(const struct checkpoint_reading *reading, struct trainer *t,
                                      struct checkpoint_extra *extra) {
  uint64_t judged = 0;
  enum vqct_status status = read_count(reading, "step", &t->step);
  if (status != VQCT_OK)
    return status;
  status = read_count(reading, "generator_steps", &t->generator.steps);
  if (status != VQCT_OK)
    return status;
  status = read_count(reading, "discriminator_steps", &judged);
  if (status != VQCT_OK)
    return status;
  /* One that has taken steps must be there, or the file is damaged. */
  extra->new_discriminator =
      t->discriminator && !judged && !has_block(reading, "discriminator.parameters");
  extra->new_average = t->generator.average && !has_block(reading, "generator.average");
  t->judge.steps = t->discriminator ? judged : 0;
  return t->discriminator && judged ? read_judged(reading, t) : VQCT_OK;
}

static enum vqct_status read_all(const struct checkpoint_reading *reading, struct trainer *t,
                                 struct checkpoint_extra *extra) {
  struct stored blocks[BLOCKS_MAX];
  size_t count = list_blocks(t, blocks);
  enum vqct_status status = check_kind(reading, t);
  if (status != VQCT_OK)
    return status;
  status = read_counters(reading, t, extra);
  if (status != VQCT_OK)
    return status;
  for (size_t i = 0; i < count; i++)
    if (!is_left_out(extra, blocks[i].name) &&
        (status = read_block(reading, &blocks[i])) != VQCT_OK)
      return status;
  if (extra->new_average)
    optimizer_start_average(&t->generator);
  extra->best = strtod(text_of(reading, "best"), NULL);
  snprintf(extra->best_of, sizeof extra->best_of, "%s", text_of(reading, "best_of"));
  extra->due = !strcmp(text_of(reading, "validation_due"), "1");
  return VQCT_OK;
}

enum vqct_status checkpoint_load(const char *path, struct trainer *t,
                                 struct checkpoint_extra *extra, struct vqct_error *error) {
  struct safetensors *file;
  enum vqct_status status = safetensors_open(path, &file, error);
  if (status != VQCT_OK)
    return status;
  struct checkpoint_reading reading = {path, file, error};
  status = read_all(&reading, t, extra);
  safetensors_close(file);
  return status == VQCT_OK ? trainer_pack(t, error) : status;
}
