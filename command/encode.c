/* `vqct encode`: pictures to a file of tokens. Pictures are decoded ahead in their order (feed.h);
 * those of one size are encoded together, and what is written keeps that order, failures included,
 * so that a run which goes on writes what one that never stopped would have. */
#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "cpu.h"
#include "encode_batch.h"
#include "encode_options.h"
#include "error.h"
#include "labels.h"
#include "pass.h"
#include "progress.h"
#include "signals.h"
#include "token_description.h"
#include "token_writer.h"

#define DECODERS_MAX 8 /* threads: more pictures a second than any network takes */

/* All that one encoding holds. */
struct encoding {
  struct encode_settings settings;
  struct encode_plan plan;
  struct pass pass;
  struct labels *labels; /* NULL: none */
  struct token_writer *writer;
  struct token_start start;
  struct progress progress;
  size_t done;   /* pictures of this shard, failed ones counted */
  unsigned skip; /* views of the next picture that an earlier run wrote */
  struct encode_batch batch;
  uint32_t *numbers; /* of one picture, in the layout */
  size_t numbers_room;
};

static size_t shard_pictures(const struct encoding *encoding) {
  const struct encode_plan *plan = &encoding->plan;
  size_t all = pictures_count(encoding->pass.pictures);
  return plan->shard < all ? (all - plan->shard + plan->shards - 1) / plan->shards : 0;
}

/* ---- beginning ------------------------------------------------------------------------------- */

static enum vqct_status describe(const struct encoding *encoding, char **line,
                                 struct vqct_error *error) {
  const struct encode_plan *plan = &encoding->plan;
  const struct token_description description = {.format = plan->format->name,
                                                .model = encoding->pass.info,
                                                .preparation = &encoding->pass.preparation,
                                                .pictures = encoding->pass.pictures,
                                                .labels = encoding->labels,
                                                .views = plan->viewed ? &plan->views : NULL,
                                                .layout = &plan->layout,
                                                .wide = plan->wide,
                                                .shard = plan->shard,
                                                .shards = plan->shards,
                                                .shard_size = plan->shard_size};
  return token_description_line(&description, line, error);
}

static enum vqct_status open_writer(struct encoding *encoding, struct vqct_error *error) {
  const struct vqct_model_info *info = encoding->pass.info;
  const struct preparation *p = &encoding->pass.preparation;
  const struct encode_plan *plan = &encoding->plan;
  const struct token_output output = {.path = encoding->settings.output,
                                      .stream = plan->stream,
                                      .planes = info->planes,
                                      .layout = plan->layout,
                                      .wide = plan->wide,
                                      .labels = encoding->labels,
                                      .grid_height = (size_t)p->height / info->downsampling,
                                      .grid_width = (size_t)p->width / info->downsampling,
                                      .bucket = plan->views.size,
                                      .buckets = plan->views.sizes,
                                      .downsampling = info->downsampling,
                                      .views = plan->view_count,
                                      .shard_size = plan->shard_size,
                                      .pictures = encoding->pass.pictures};
  char *line = NULL;
  enum vqct_status status = plan->stream ? VQCT_OK : describe(encoding, &line, error);
  if (status != VQCT_OK)
    return status;
  status =
      token_writer_open(plan->format, &output, line, &encoding->writer, &encoding->start, error);
  free(line);
  encoding->done = encoding->start.done;
  encoding->skip = encoding->start.views;
  return status;
}

/* Where all processors compute, a thread that decodes stays on each: the kernel would wake them all
 * on the one that takes pictures out, and the others wait for it at the end of every batch, whose
 * pictures are shared out evenly. */
static enum vqct_status start_reading(struct encoding *encoding, struct vqct_error *error) {
  const struct encode_plan *plan = &encoding->plan;
  unsigned processors = cpu_count();
  const struct feed_settings which = {.first = plan->shard + encoding->done * plan->shards,
                                      .step = plan->shards,
                                      .views = plan->viewed ? &plan->views : NULL,
                                      .threads =
                                          processors < DECODERS_MAX ? processors : DECODERS_MAX,
                                      .apart = plan->threads >= processors,
                                      .ahead = 1 + 2 * plan->batch / plan->view_count};
  return pass_read(&encoding->pass, &which, error);
}

static enum vqct_status find_labels(struct encoding *encoding, struct vqct_error *error) {
  if (!encoding->settings.labels)
    return VQCT_OK;
  return labels_open(encoding->settings.labels, encoding->pass.pictures, &encoding->labels, error);
}

static enum vqct_status prepare(struct encoding *encoding, const struct options_found *found,
                                struct vqct_error *error) {
  struct encode_plan *plan = &encoding->plan;
  struct pass *pass = &encoding->pass;
  enum vqct_status status;
  if ((status = encode_plan_begin(&encoding->settings, plan, error)) ||
      (status = pass_open(pass, found->operands, found->operand_count, plan->threads, error)) ||
      (status = encode_plan_complete(&encoding->settings, &pass->preparation, pass->info, plan,
                                     error)) ||
      (status = find_labels(encoding, error)) ||
      (status =
           encode_batch_open(&encoding->batch, pass->session, pass->info, plan->batch, error)) ||
      (status = open_writer(encoding, error)))
    return status;
  return start_reading(encoding, error);
}

/* ---- writing --------------------------------------------------------------------------------- */

static enum vqct_status write_failure(struct encoding *encoding, size_t index, const char *message,
                                      struct vqct_error *error) {
  if (!encoding->settings.quiet) {
    progress_clear(&encoding->progress);
    fprintf(stderr, "vqct encode: %s\n", message);
  }
  encoding->done++;
  return token_writer_fail(encoding->writer, pictures_name(encoding->pass.pictures, index), message,
                           error);
}

/* Pictures of a size that the session does not compute fail, and the others go on. */
static enum vqct_status refuse_batch(struct encoding *encoding, struct vqct_error *error) {
  const struct vqct_error fault = *error;
  for (size_t i = 0; i < encoding->batch.filled; i++) {
    const struct encode_view *view = &encoding->batch.view[i];
    struct vqct_error named = fault;
    if (!view->last)
      continue;
    error_prefix(&named, "%s", pictures_name(encoding->pass.pictures, view->index));
    enum vqct_status status = write_failure(encoding, view->index, named.message, error);
    if (status != VQCT_OK)
      return status;
  }
  return VQCT_OK;
}

static enum vqct_status reserve_numbers(struct encoding *encoding, size_t count,
                                        struct vqct_error *error) {
  if (count <= encoding->numbers_room)
    return VQCT_OK;
  free(encoding->numbers);
  encoding->numbers_room = 0;
  if (!(encoding->numbers = malloc(count * sizeof *encoding->numbers)))
    return error_set(error, VQCT_MEMORY, "no memory for tokens");
  encoding->numbers_room = count;
  return VQCT_OK;
}

static enum vqct_status write_view(struct encoding *encoding, size_t i, struct vqct_error *error) {
  const struct encode_plan *plan = &encoding->plan;
  const struct encode_batch *batch = &encoding->batch;
  const struct encode_view *view = &batch->view[i];
  size_t planes = encoding->pass.info->planes, height = batch->height, width = batch->width;
  size_t count = (size_t)token_layout_length(&plan->layout, planes, height, width);
  enum vqct_status status = reserve_numbers(encoding, count, error);
  if (status != VQCT_OK)
    return status;
  token_layout_arrange(&plan->layout, planes, height, width, batch->tokens[i], encoding->numbers);
  struct token_picture picture = {.index = view->index,
                                  .name = pictures_name(encoding->pass.pictures, view->index),
                                  .numbers = encoding->numbers,
                                  .count = count,
                                  .height = height,
                                  .width = width,
                                  .view = view->number,
                                  .box = plan->viewed ? &view->box : NULL};
  if (encoding->labels) {
    picture.class_index = labels_class(encoding->labels, view->index);
    picture.label = labels_name(encoding->labels, picture.class_index);
  }
  return token_writer_add(encoding->writer, &picture, error);
}

static enum vqct_status encode_batch(struct encoding *encoding, struct vqct_error *error) {
  enum vqct_status status = encode_batch_run(&encoding->batch, error);
  if (status == VQCT_LIMIT)
    return refuse_batch(encoding, error);
  for (size_t i = 0; i < encoding->batch.filled && status == VQCT_OK; i++) {
    status = write_view(encoding, i, error);
    encoding->done += status == VQCT_OK && encoding->batch.view[i].last;
  }
  return status;
}

/* Encodes and writes the batch in hand. */
static enum vqct_status flush(struct encoding *encoding, struct vqct_error *error) {
  if (!encoding->batch.filled)
    return VQCT_OK;
  enum vqct_status status = encode_batch(encoding, error);
  encode_batch_clear(&encoding->batch);
  progress_set(&encoding->progress, encoding->done);
  return status;
}

/* ---- going through the pictures -------------------------------------------------------------- */

/* A bad picture: it is written down in its place, after those in hand. */
static enum vqct_status leave_out(struct encoding *encoding, const struct feed_item *item,
                                  struct vqct_error *error) {
  enum vqct_status status = flush(encoding, error);
  return status == VQCT_OK ? write_failure(encoding, item->index, item->error.message, error)
                           : status;
}

static struct encode_view view_of(const struct encoding *encoding, const struct feed_item *item,
                                  unsigned number) {
  const struct encode_plan *plan = &encoding->plan;
  const struct vqct_image *image = &item->image;
  const struct fit fit = preparation_fit(&encoding->pass.preparation, encoding->pass.info);
  struct encode_view view = {.index = item->index,
                             .number = number,
                             .last = number + 1 == plan->view_count,
                             .width = image->width,
                             .height = image->height / plan->view_count};
  view.pixels = image->pixels + (size_t)number * view.height * view.width * image->channels;
  if (plan->viewed)
    view.box = views_box(&plan->views, &fit, pictures_name(encoding->pass.pictures, item->index),
                         item->width, item->height, number);
  if (view.last)
    view.owned = *image;
  return view;
}

/* Takes one picture. */
static enum vqct_status encode_item(struct encoding *encoding, struct feed_item *item,
                                    struct vqct_error *error) {
  if (item->error.status != VQCT_OK && encoding->skip) /* an earlier run could read it */
    return error_set(error, item->error.status, "%s", item->error.message);
  if (item->error.status != VQCT_OK)
    return leave_out(encoding, item, error);
  unsigned count = encoding->plan.view_count, number = encoding->skip;
  enum vqct_status status = VQCT_OK;
  encoding->skip = 0;
  if (!encode_batch_takes(&encoding->batch, item->image.width, item->image.height / count))
    status = flush(encoding, error);
  for (; number < count && status == VQCT_OK; number++) {
    const struct encode_view view = view_of(encoding, item, number);
    encode_batch_add(&encoding->batch, &view);
    if (encoding->batch.filled == encoding->batch.room)
      status = flush(encoding, error);
  }
  if (number < count) /* the view that owns them was not reached */
    vqct_image_free(&item->image);
  return status;
}

static enum vqct_status encode_items(struct encoding *encoding, struct vqct_error *error) {
  struct feed_item item;
  while (!signals_stop() && feed_next(encoding->pass.feed, &item)) {
    enum vqct_status status = encode_item(encoding, &item, error);
    if (status != VQCT_OK)
      return status;
  }
  return signals_stop() ? VQCT_OK : flush(encoding, error);
}

/* ---- what is told ---------------------------------------------------------------------------- */

/* "nothing passed over", or "passed over: 3 webp, 1 txt". */
static void print_passed(FILE *out, const struct pictures *pictures) {
  enum { SHOWN = 12 };
  size_t kinds = pictures_passed(pictures);
  fputs(kinds ? "passed over:" : "nothing passed over", out);
  for (size_t i = 0; i < kinds && i < SHOWN; i++) {
    const struct passed_over *kind = pictures_passed_over(pictures, i);
    fprintf(out, "%s %llu %s", i ? "," : "", (unsigned long long)kind->count, kind->kind);
  }
  if (kinds > SHOWN)
    fprintf(out, ", and %zu other kinds", kinds - SHOWN);
}

static void tell_start(const struct encoding *encoding) {
  if (encoding->settings.quiet)
    return;
  if (encoding->start.anew)
    printf("%s is of another run (model, settings or pictures differ): starting over\n",
           token_writer_part(encoding->writer));
  if (encoding->start.done)
    printf("going on after %zu of %zu pictures\n", encoding->start.done, shard_pictures(encoding));
  fflush(stdout);
}

static void tell_end(const struct encoding *encoding) {
  if (encoding->settings.quiet)
    return;
  const struct token_totals totals = token_writer_totals(encoding->writer);
  FILE *out = encoding->plan.stream ? stderr : stdout;
  double seconds = seconds_now() - encoding->progress.started;
  size_t done = encoding->done - encoding->start.done;
  fprintf(out, "%zu pictures, %llu tokens, %zu failed, ", totals.pictures,
          (unsigned long long)totals.tokens, totals.failed);
  print_passed(out, encoding->pass.pictures);
  fprintf(out, "; %.1f s, %.1f pictures/s\n", seconds, seconds > 0 ? (double)done / seconds : 0);
}

/* After an error, such as a full disk. What went to standard output is not kept. */
static enum vqct_status tell_what_is_kept(const struct encoding *encoding,
                                          struct vqct_error *error) {
  const struct vqct_error fault = *error;
  return error_set(error, fault.status,
                   "%s; %zu of %zu pictures are kept beside %s, and the same command goes on from "
                   "there",
                   fault.message, encoding->done, shard_pictures(encoding),
                   token_writer_part(encoding->writer));
}

/* ---- the run --------------------------------------------------------------------------------- */

static enum vqct_status encode_all(struct encoding *encoding, struct vqct_error *error) {
  tell_start(encoding);
  progress_start(&encoding->progress, "encode", shard_pictures(encoding), encoding->done);
  enum vqct_status status = encode_items(encoding, error);
  progress_clear(&encoding->progress);
  if (signals_ended(status))
    return error_set(error, VQCT_INTERRUPTED, "stopped after %zu of %zu pictures%s", encoding->done,
                     shard_pictures(encoding),
                     encoding->plan.stream ? "" : "; the same command goes on from there");
  return status;
}

static enum vqct_status run_to_end(struct encoding *encoding, const struct options_found *found,
                                   struct vqct_error *error) {
  enum vqct_status status;
  if ((status = prepare(encoding, found, error)) || (status = encode_all(encoding, error)) ||
      (status = token_writer_commit(encoding->writer, encoding->pass.pictures, error)))
    return status != VQCT_INTERRUPTED && encoding->done && !encoding->plan.stream
               ? tell_what_is_kept(encoding, error)
               : status;
  tell_end(encoding);
  size_t failed = token_writer_totals(encoding->writer).failed;
  if (failed)
    return error_set(error, VQCT_PARTIAL, "%zu of %zu pictures failed%s", failed,
                     shard_pictures(encoding),
                     encoding->plan.stream ? "" : " and are named in the .jsonl");
  return VQCT_OK;
}

static void release(struct encoding *encoding, enum vqct_status status) {
  encode_batch_close(&encoding->batch);
  free(encoding->numbers);
  token_writer_close(encoding->writer, status == VQCT_INTERRUPTED || encoding->done);
  labels_close(encoding->labels);
  pass_close(&encoding->pass);
}

static enum vqct_status encode(const void *values, const struct options_found *found,
                               struct arena *arena, struct vqct_error *error) {
  struct encoding encoding = {.settings = *(const struct encode_settings *)values};
  (void)arena;
  encoding.pass.preparation = encoding.settings.preparation;
  signals_catch();
  enum vqct_status status = run_to_end(&encoding, found, error);
  release(&encoding, status);
  return status;
}

static enum vqct_status run_encode(int argc, char **argv, struct vqct_error *error) {
  struct encode_settings settings = {0};
  return command_run(&encode_options, argc, argv, &settings, encode, error);
}

const struct command encode_command = {"encode", "pictures to tokens", run_encode};
