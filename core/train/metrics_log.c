/* Each line is flushed as it is written, so a run that is killed loses at most the line it was
 * writing. Going on from a checkpoint writes the file anew without the lines of later steps and
 * without a torn last one, and only then appends. */
#include "metrics_log.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "atomic_file.h"
#include "error.h"
#include "losses.h"
#include "mapped_file.h"

struct metrics_log {
  char *path;
  FILE *file;
};

/* ---- opening --------------------------------------------------------------------------------- */

/* The step of a line; UINT64_MAX where it is not whole JSON, as after a crash while writing. */
static uint64_t line_step(const char *line, size_t length) {
  json_t *object = json_loadb(line, length, 0, NULL);
  json_t *step = json_object_get(object, "step");
  uint64_t value = json_is_integer(step) ? (uint64_t)json_integer_value(step) : UINT64_MAX;
  json_decref(object);
  return value;
}

/* Copies the lines that stay into the file that takes the old one's place. */
static enum vqct_status keep_lines(const char *path, uint64_t step, struct vqct_error *error) {
  struct mapped_file old;
  struct atomic_file new = ATOMIC_FILE_CLOSED;
  if (access(path, F_OK) != 0)
    return VQCT_OK;
  enum vqct_status status = mapped_file_open(path, &old, error);
  if (status != VQCT_OK)
    return status;
  status = atomic_file_open(path, &new, error);
  const char *at = (const char *)old.data;
  const char *end = at ? at + old.size : NULL;
  while (status == VQCT_OK && at != end) {
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    const char *next = newline ? newline + 1 : end;
    if (newline && line_step(at, (size_t)(newline - at)) <= step)
      status = atomic_file_write(&new, at, (size_t)(next - at), error);
    at = next;
  }
  if (status == VQCT_OK)
    status = atomic_file_commit(&new, error);
  atomic_file_discard(&new);
  mapped_file_close(&old);
  return status;
}

enum vqct_status metrics_log_open(const char *path, uint64_t step, struct metrics_log **result,
                                  struct vqct_error *error) {
  *result = NULL;
  enum vqct_status status = keep_lines(path, step, error);
  if (status != VQCT_OK)
    return status;
  struct metrics_log *metrics = calloc(1, sizeof *metrics);
  if (!metrics || !(metrics->path = strdup(path))) {
    metrics_log_close(metrics);
    return error_set(error, VQCT_MEMORY, "no memory to write %s", path);
  }
  if (!(metrics->file = fopen(path, "a"))) {
    status = error_set(error, VQCT_WRITE, "%s: %s", path, strerror(errno));
    metrics_log_close(metrics);
    return status;
  }
  *result = metrics;
  return VQCT_OK;
}

void metrics_log_close(struct metrics_log *metrics) {
  if (!metrics)
    return;
  if (metrics->file)
    fclose(metrics->file);
  free(metrics->path);
  free(metrics);
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* Takes object, which may be NULL, and writes it as one line. */
static enum vqct_status write_line(struct metrics_log *metrics, json_t *object,
                                   struct vqct_error *error) {
  char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9));
  json_decref(object);
  if (!text)
    return error_set(error, VQCT_MEMORY, "no memory to write %s", metrics->path);
  bool written = fprintf(metrics->file, "%s\n", text) > 0 && fflush(metrics->file) == 0;
  free(text);
  return written ? VQCT_OK : error_set(error, VQCT_WRITE, "%s: %s", metrics->path, strerror(errno));
}

/* Numbers that are not finite have no place in JSON and stay away. */
static void put(json_t *object, const char *key, double value) {
  if (isfinite(value))
    json_object_set_new(object, key, json_real(value));
}

static void put_health(json_t *object, const char *name,
                       const struct vqct_codebook_health *health) {
  char key[40];
  snprintf(key, sizeof key, "%s_usage", name);
  put(object, key, health->usage);
  snprintf(key, sizeof key, "%s_perplexity", name);
  put(object, key, health->perplexity);
}

enum vqct_status metrics_log_add(struct metrics_log *metrics, const struct vqct_train_progress *row,
                                 struct vqct_error *error) {
  json_t *object = json_object();
  const struct vqct_train_losses *l = &row->losses;
  json_object_set_new(object, "step", json_integer((json_int_t)row->step));
  put(object, "seconds", row->seconds);
  put(object, "images_per_second", row->rate);
  put(object, "learning_rate", row->learning_rate);
  json_object_set_new(object, "bad_pictures", json_integer((json_int_t)row->bad_pictures));
#define PUT(name) put(object, #name, l->name);
  LOSS_MAP(PUT)
#undef PUT
  json_object_set_new(object, "window", json_integer((json_int_t)row->window));
  for (int i = 0; i < row->codebooks; i++)
    put_health(object, row->name[i], &row->health[i]);
  return write_line(metrics, object, error);
}

enum vqct_status metrics_log_add_validation(struct metrics_log *metrics, uint64_t step,
                                            const struct vqct_evaluation *result,
                                            struct vqct_error *error) {
  json_t *object = json_object(), *values = json_object();
  json_object_set_new(object, "step", json_integer((json_int_t)step));
  json_object_set_new(values, "pictures", json_integer((json_int_t)result->pictures));
  json_object_set_new(values, "window", json_integer((json_int_t)result->positions));
  put(values, "psnr", result->psnr);
  put(values, "ssim", result->ssim);
  put(values, "lpips", result->lpips);
  for (int i = 0; i < result->codebooks; i++)
    put_health(values, result->name[i], &result->health[i]);
  json_object_set_new(object, "validation", values);
  return write_line(metrics, object, error);
}
