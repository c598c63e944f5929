/* `vqct encode`: pictures to a file of tokens. Pictures are decoded ahead (feed.h) and their views
 * encoded ahead (encode_ahead.h); what is written keeps their order, failures included, so that a
 * run which goes on writes what one that never stopped would have. */
#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "cpu.h"
#include "encode_ahead.h"
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
  struct encode_ahead *views;
  struct labels *labels; /* NULL: none */
  struct token_writer *writer;
  struct token_start start;
  struct progress progress;
  size_t done;       /* pictures of this shard, failed ones counted */
  unsigned skip;     /* views of the next picture that an earlier run wrote, until one has come */
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

static enum vqct_status start_reading(struct encoding *encoding, struct vqct_error *error) {
  const struct encode_plan *plan = &encoding->plan;
  unsigned processors = cpu_count();
  const struct feed_settings which = {.first = plan->shard + encoding->done * plan->shards,
                                      .step = plan->shards,
                                      .views = plan->viewed ? &plan->views : NULL,
                                      .threads =
                                          processors < DECODERS_MAX ? processors : DECODERS_MAX,
                                      .ahead = plan->ahead};
  return pass_read(&encoding->pass, &which, error);
}

static enum vqct_status start_encoding(struct encoding *encoding, struct vqct_error *error) {
  const struct encode_plan *plan = &encoding->plan;
  const struct pass *pass = &encoding->pass;
  const struct encode_ahead_settings which = {.feed = pass->feed,
                                              .pictures = pass->pictures,
                                              .model = pass->model,
                                              .session = pass->session,
                                              .threads = plan->threads,
                                              .views = plan->view_count,
                                              .first = encoding->start.views};
  return encode_ahead_new(&which, &encoding->views, error);
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
      (status = find_labels(encoding, error)) || (status = open_writer(encoding, error)) ||
      (status = start_reading(encoding, error)))
    return status;
  return start_encoding(encoding, error);
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

static enum vqct_status write_view(struct encoding *encoding, const struct encode_view *view,
                                   struct vqct_error *error) {
  const struct encode_plan *plan = &encoding->plan;
  const struct vqct_model_info *info = encoding->pass.info;
  const struct feed_item *item = &view->item;
  size_t height = view->height / info->downsampling, width = view->width / info->downsampling;
  size_t count = (size_t)token_layout_length(&plan->layout, info->planes, height, width);
  enum vqct_status status = reserve_numbers(encoding, count, error);
  if (status != VQCT_OK)
    return status;
  token_layout_arrange(&plan->layout, info->planes, height, width, view->tokens, encoding->numbers);
  struct view_box box;
  struct token_picture picture = {.index = item->index,
                                  .name = pictures_name(encoding->pass.pictures, item->index),
                                  .numbers = encoding->numbers,
                                  .count = count,
                                  .height = height,
                                  .width = width,
                                  .view = view->number};
  if (plan->viewed) {
    const struct fit fit = preparation_fit(&encoding->pass.preparation, info);
    box = views_box(&plan->views, &fit, picture.name, item->width, item->height, view->number);
    picture.box = &box;
  }
  if (encoding->labels) {
    picture.class_index = labels_class(encoding->labels, item->index);
    picture.label = labels_name(encoding->labels, picture.class_index);
  }
  return token_writer_add(encoding->writer, &picture, error);
}

/* ---- going through the pictures -------------------------------------------------------------- */

/* Writes a view down, or once a picture that has none. */
static enum vqct_status take_view(struct encoding *encoding, const struct encode_view *view,
                                  struct vqct_error *error) {
  const struct vqct_error *bad = &view->item.error;
  bool going_on = encoding->skip; /* with a picture that an earlier run could read */
  encoding->skip = 0;
  if (view->fault.status != VQCT_OK)
    return error_set(error, view->fault.status, "%s", view->fault.message);
  if (bad->status != VQCT_OK && going_on)
    return error_set(error, bad->status, "%s", bad->message);
  if (bad->status != VQCT_OK)
    return view->number ? VQCT_OK : write_failure(encoding, view->item.index, bad->message, error);
  enum vqct_status status = write_view(encoding, view, error);
  encoding->done += status == VQCT_OK && view->last;
  return status;
}

static enum vqct_status encode_items(struct encoding *encoding, struct vqct_error *error) {
  struct encode_view view;
  enum vqct_status status = VQCT_OK;
  while (status == VQCT_OK && !signals_stop() && encode_ahead_next(encoding->views, &view)) {
    status = take_view(encoding, &view, error);
    encode_view_free(&view);
    progress_set(&encoding->progress, encoding->done);
  }
  return status;
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
  encode_ahead_free(encoding->views);
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
