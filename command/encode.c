/* `vqct encode`: pictures to a file of tokens. Pictures are decoded ahead in their order (feed.h);
 * those of one size are encoded together, and what is written keeps that order, failures included,
 * so that a run which goes on writes what one that never stopped would have. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "cpu.h"
#include "error.h"
#include "labels.h"
#include "options.h"
#include "pass.h"
#include "progress.h"
#include "signals.h"
#include "token_description.h"
#include "token_formats.h"
#include "token_writer.h"
#include "view_options.h"

#define DECODERS_MAX 8 /* threads: more pictures a second than any network takes */

struct settings {
  const char *output, *shard, *labels;
  struct preparation preparation;
  struct view_options views;
  int64_t batch, threads;
  int number; /* index in NUMBERS */
  int order;  /* index in ORDERS */
  int64_t offset, begin, end, row_end;
  int64_t shard_size;
  bool quiet;
};

#define SHARD_SIZE 10000 /* pictures, where nothing else is said */

#define NUMBERS "auto|uint16|uint32"
enum { NUMBER_AUTO, NUMBER_UINT16, NUMBER_UINT32 };

#define ORDERS "planes|interleaved"
enum { ORDER_PLANES, ORDER_INTERLEAVED };

#define MARK_OPTION(name, member, doc)                                                             \
  {                                                                                                \
    name, 0, OPTION_INTEGER, offsetof(struct settings, member), "-1", TOKEN_MARK_NONE, UINT32_MAX, \
        NULL, "ID", doc "; -1: none"                                                               \
  }

static const struct option options[] = {
    {"output", 'o', OPTION_TEXT, offsetof(struct settings, output), NULL, 0, 0, NULL, "FILE",
     "where tokens go: " TOKEN_SUFFIXES "; a .jsonl beside it names the pictures"},
    PREPARATION_OPTIONS(struct settings, preparation),
    VIEW_OPTIONS(struct settings, views),
    {"batch", 'b', OPTION_INTEGER, offsetof(struct settings, batch), "0", 0, 4096, NULL, "N",
     "pictures encoded together; 0: as many as there are threads"},
    {"threads", 't', OPTION_INTEGER, offsetof(struct settings, threads), "0", 0, 1024, NULL, "N",
     "threads that compute; 0: one for each processor"},
    {"numbers", 0, OPTION_CHOICE, offsetof(struct settings, number), "auto", 0, 0, NUMBERS, "TYPE",
     "type of a token; auto: uint16 where the codebook allows it"},
    {"layout", 0, OPTION_CHOICE, offsetof(struct settings, order), "planes", 0, 0, ORDERS, "ORDER",
     "of a picture's numbers: plane after plane, or position after position (adjective, noun, "
     "adjective, noun)"},
    {"offset", 0, OPTION_INTEGER, offsetof(struct settings, offset), "0", 0, UINT32_MAX, NULL, "N",
     "number of the first code, such as its row in a language model's vocabulary"},
    MARK_OPTION("begin", begin, "number that each picture begins with"),
    MARK_OPTION("end", end, "number that each picture ends with"),
    MARK_OPTION("row-end", row_end, "number that each row of the grid ends with"),
    {"labels", 0, OPTION_TEXT, offsetof(struct settings, labels), NULL, 0, 0, NULL, "FROM",
     "labels of the pictures: folder (the name of the folder each lies in), beside (.cls, .txt or "
     ".json of the same name) or a FILE of lines, each a picture's name, a tab and its label"},
    {"shard-size", 0, OPTION_INTEGER, offsetof(struct settings, shard_size), "0", 0, 100000000,
     NULL, "N", "pictures of each file of a .tar or .mds; 0: 10,000"},
    {"shard", 0, OPTION_TEXT, offsetof(struct settings, shard), NULL, 0, 0, NULL, "I/N",
     "encode only every N-th picture from the I-th on, I from 0, to split work over machines"},
    {"quiet", 'q', OPTION_SWITCH, offsetof(struct settings, quiet), NULL, 0, 0, NULL, NULL,
     "report bad pictures in the .jsonl only"},
};

static const struct option_table table = {
    .command = "encode",
    .operands = "MODEL INPUT...",
    .summary =
        "Turns pictures into tokens. An INPUT is a picture, a directory, a tar shard or -, for a "
        "shard or a list of such paths on standard input. A bad "
        "or missing one is reported and left out; an interrupted run goes on where it stopped.",
    .options = options,
    .count = sizeof options / sizeof *options,
    .operands_min = 2,
    .operands_max = -1,
};

/* One view of a picture, or the picture itself where it has but one. */
struct view {
  size_t index; /* of the picture */
  unsigned number;
  const uint8_t *pixels;
  uint32_t width, height;
  struct view_box box;
  struct vqct_image owned; /* of the last view: the pixels of all of them */
};

/* All that one encoding holds. */
struct encoding {
  struct settings settings;
  struct pass pass;
  struct labels *labels; /* NULL: none */
  struct views views;
  bool viewed; /* views are asked for; else a picture is one, as it is prepared */
  const struct token_format *format;
  struct token_layout layout;
  struct token_writer *writer;
  struct progress progress;
  size_t shard, shards;
  struct token_start start;
  size_t done;   /* pictures of this shard, failed ones counted */
  unsigned skip; /* views of the next picture that an earlier run wrote */
  /* The batch in hand: views of one size. */
  size_t batch, filled;
  struct view *view;
  const uint8_t **pixels;
  uint32_t **tokens;
  size_t tokens_room; /* numbers, each */
  uint32_t *numbers;  /* of one picture, in the layout */
  size_t numbers_room;
};

static enum vqct_status read_shard(struct encoding *encoding, struct vqct_error *error) {
  unsigned index = 0, count = 1;
  char rest;
  if (encoding->settings.shard &&
      (sscanf(encoding->settings.shard, "%9u/%9u%c", &index, &count, &rest) != 2 || index >= count))
    return error_set(error, VQCT_INVALID,
                     "--shard '%s': it must be I/N with I from 0 to N - 1, such as 0/4",
                     encoding->settings.shard);
  encoding->shard = index;
  encoding->shards = count;
  return VQCT_OK;
}

static size_t shard_pictures(const struct encoding *encoding) {
  size_t all = pictures_count(encoding->pass.pictures);
  return encoding->shard < all ? (all - encoding->shard + encoding->shards - 1) / encoding->shards
                               : 0;
}

static bool is_wide(const struct encoding *encoding) {
  return encoding->settings.number == NUMBER_UINT32 ||
         (encoding->settings.number == NUMBER_AUTO &&
          token_layout_greatest(&encoding->layout, encoding->pass.info->codes) > UINT16_MAX);
}

/* Pictures of each file; 0 where all are in one. */
static size_t pictures_a_file(const struct encoding *encoding) {
  if (!encoding->format->sharded)
    return 0;
  return encoding->settings.shard_size ? (size_t)encoding->settings.shard_size : SHARD_SIZE;
}

static enum vqct_status check_numbers(const struct encoding *encoding, struct vqct_error *error) {
  if (encoding->format->one_size && encoding->pass.preparation.resize != VQCT_RESIZE_COVER)
    return error_set(error, VQCT_INVALID,
                     "an %s file holds pictures of one size only: use --resize cover, or a .bin",
                     encoding->format->suffix);
  if (encoding->settings.shard_size && !encoding->format->sharded)
    return error_set(error, VQCT_INVALID, "--shard-size: a %s is one file",
                     encoding->format->suffix);
  if (encoding->format->widest <= UINT16_MAX &&
      (encoding->settings.number == NUMBER_UINT32 ||
       encoding->pass.info->codes > encoding->format->widest + 1))
    return error_set(
        error, VQCT_INVALID,
        "an %s holds numbers up to %u: the model has %u codes, and --numbers uint32 is "
        "not possible",
        encoding->format->suffix, encoding->format->widest, encoding->pass.info->codes);
  if (encoding->settings.number == NUMBER_UINT16 && encoding->pass.info->codes > UINT16_MAX + 1U)
    return error_set(error, VQCT_INVALID, "--numbers uint16: the model has %u codes",
                     encoding->pass.info->codes);
  return token_layout_check(
      &encoding->layout, encoding->pass.info->codes,
      encoding->settings.number == NUMBER_UINT16 ? UINT16_MAX : encoding->format->widest, error);
}

static enum vqct_status reserve_batch(struct encoding *encoding, size_t batch,
                                      struct vqct_error *error) {
  encoding->batch = batch;
  encoding->view = calloc(batch, sizeof *encoding->view);
  encoding->pixels = calloc(batch, sizeof *encoding->pixels);
  encoding->tokens = calloc(batch, sizeof *encoding->tokens);
  if (!encoding->view || !encoding->pixels || !encoding->tokens)
    return error_set(error, VQCT_MEMORY, "no memory for %zu pictures", batch);
  return VQCT_OK;
}

static unsigned view_count(const struct encoding *encoding) {
  return encoding->viewed ? views_count(&encoding->views) : 1;
}

static enum vqct_status describe(const struct encoding *encoding, char **line,
                                 struct vqct_error *error) {
  const struct token_description description = {.model = encoding->pass.info,
                                                .preparation = &encoding->pass.preparation,
                                                .pictures = encoding->pass.pictures,
                                                .labels = encoding->labels,
                                                .views = encoding->viewed ? &encoding->views : NULL,
                                                .layout = &encoding->layout,
                                                .wide = is_wide(encoding),
                                                .shard = encoding->shard,
                                                .shards = encoding->shards,
                                                .shard_size = pictures_a_file(encoding)};
  return token_description_line(&description, line, error);
}

static enum vqct_status open_writer(struct encoding *encoding, struct vqct_error *error) {
  const struct vqct_model_info *info = encoding->pass.info;
  const struct preparation *p = &encoding->pass.preparation;
  const struct token_output output = {.path = encoding->settings.output,
                                      .planes = info->planes,
                                      .layout = encoding->layout,
                                      .wide = is_wide(encoding),
                                      .labels = encoding->labels,
                                      .grid_height = (size_t)p->height / info->downsampling,
                                      .grid_width = (size_t)p->width / info->downsampling,
                                      .views = view_count(encoding),
                                      .shard_size = pictures_a_file(encoding),
                                      .pictures = encoding->pass.pictures};
  char *line;
  enum vqct_status status = describe(encoding, &line, error);
  if (status != VQCT_OK)
    return status;
  status = token_writer_open(encoding->format, &output, line, &encoding->writer, &encoding->start,
                             error);
  free(line);
  encoding->done = encoding->start.done;
  encoding->skip = encoding->start.views;
  return status;
}

static enum vqct_status start_reading(struct encoding *encoding, struct vqct_error *error) {
  unsigned processors = cpu_count();
  const struct feed_settings which = {.first = encoding->shard + encoding->done * encoding->shards,
                                      .step = encoding->shards,
                                      .views = encoding->viewed ? &encoding->views : NULL,
                                      .threads =
                                          processors < DECODERS_MAX ? processors : DECODERS_MAX,
                                      .ahead = 1 + 2 * encoding->batch / view_count(encoding)};
  return pass_read(&encoding->pass, &which, error);
}

static enum vqct_status read_views(struct encoding *encoding, struct vqct_error *error) {
  return view_options_read(&encoding->settings.views, &encoding->pass.preparation,
                           encoding->pass.info, encoding->format->one_size, &encoding->views,
                           &encoding->viewed, error);
}

static enum vqct_status find_labels(struct encoding *encoding, struct vqct_error *error) {
  if (!encoding->settings.labels)
    return VQCT_OK;
  return labels_open(encoding->settings.labels, encoding->pass.pictures, &encoding->labels, error);
}

static enum vqct_status prepare(struct encoding *encoding, char **operands, int count,
                                struct vqct_error *error) {
  const struct settings *settings = &encoding->settings;
  unsigned threads = settings->threads ? (unsigned)settings->threads : cpu_count();
  size_t batch = settings->batch ? (size_t)settings->batch : threads;
  enum vqct_status status;
  if (!settings->output)
    return error_set(error, VQCT_INVALID, "--output FILE is missing");
  encoding->layout = (struct token_layout){.interleaved = settings->order == ORDER_INTERLEAVED,
                                           .offset = settings->offset,
                                           .begin = settings->begin,
                                           .end = settings->end,
                                           .row_end = settings->row_end};
  if ((status = token_format_of(settings->output, &encoding->format, error)) ||
      (status = read_shard(encoding, error)) ||
      (status = pass_open(&encoding->pass, operands, count, threads, error)) ||
      (status = check_numbers(encoding, error)) || (status = read_views(encoding, error)) ||
      (status = find_labels(encoding, error)) || (status = reserve_batch(encoding, batch, error)) ||
      (status = open_writer(encoding, error)))
    return status;
  return start_reading(encoding, error);
}

/* Room for `count` tokens of every picture of a batch. */
static enum vqct_status reserve_tokens(struct encoding *encoding, size_t count,
                                       struct vqct_error *error) {
  for (size_t i = 0; count > encoding->tokens_room && i < encoding->batch; i++) {
    free(encoding->tokens[i]);
    encoding->tokens[i] = malloc(count * sizeof *encoding->tokens[i]);
    if (!encoding->tokens[i])
      return error_set(error, VQCT_MEMORY, "no memory for tokens");
  }
  if (count > encoding->tokens_room)
    encoding->tokens_room = count;
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

static bool is_last(const struct encoding *encoding, const struct view *view) {
  return view->number + 1 == view_count(encoding);
}

/* Pictures of a size that the session does not compute fail, and the others go on. */
static enum vqct_status refuse_batch(struct encoding *encoding, struct vqct_error *error) {
  const struct vqct_error fault = *error;
  for (size_t i = 0; i < encoding->filled; i++) {
    size_t index = encoding->view[i].index;
    struct vqct_error named = fault;
    if (!is_last(encoding, &encoding->view[i]))
      continue;
    error_prefix(&named, "%s", pictures_name(encoding->pass.pictures, index));
    enum vqct_status status = write_failure(encoding, index, named.message, error);
    if (status != VQCT_OK)
      return status;
  }
  return VQCT_OK;
}

static enum vqct_status write_picture(struct encoding *encoding, size_t i, size_t height,
                                      size_t width, struct vqct_error *error) {
  size_t planes = encoding->pass.info->planes;
  size_t count = (size_t)token_layout_length(&encoding->layout, planes, height, width);
  enum vqct_status status = reserve_numbers(encoding, count, error);
  if (status != VQCT_OK)
    return status;
  token_layout_arrange(&encoding->layout, planes, height, width, encoding->tokens[i],
                       encoding->numbers);
  const struct view *view = &encoding->view[i];
  size_t index = view->index;
  struct token_picture picture = {.index = index,
                                  .name = pictures_name(encoding->pass.pictures, index),
                                  .numbers = encoding->numbers,
                                  .count = count,
                                  .height = height,
                                  .width = width,
                                  .view = view->number,
                                  .box = encoding->viewed ? &view->box : NULL};
  if (encoding->labels) {
    picture.class_index = labels_class(encoding->labels, index);
    picture.label = labels_name(encoding->labels, picture.class_index);
  }
  return token_writer_add(encoding->writer, &picture, error);
}

static enum vqct_status write_batch(struct encoding *encoding, size_t height, size_t width,
                                    struct vqct_error *error) {
  for (size_t i = 0; i < encoding->filled; i++) {
    enum vqct_status status = write_picture(encoding, i, height, width, error);
    if (status != VQCT_OK)
      return status;
    encoding->done += is_last(encoding, &encoding->view[i]);
  }
  return VQCT_OK;
}

static enum vqct_status encode_batch(struct encoding *encoding, struct vqct_error *error) {
  const struct view *first = &encoding->view[0];
  uint32_t factor = encoding->pass.info->downsampling;
  size_t height = first->height / factor, width = first->width / factor;
  enum vqct_status status =
      reserve_tokens(encoding, encoding->pass.info->planes * height * width, error);
  if (status != VQCT_OK)
    return status;
  for (size_t i = 0; i < encoding->filled; i++)
    encoding->pixels[i] = encoding->view[i].pixels;
  status = vqct_encode(encoding->pass.session, encoding->pixels, encoding->filled, first->height,
                       first->width, encoding->tokens, error);
  if (status == VQCT_LIMIT)
    return refuse_batch(encoding, error);
  return status == VQCT_OK ? write_batch(encoding, height, width, error) : status;
}

/* Encodes and writes the batch in hand. */
static enum vqct_status flush(struct encoding *encoding, struct vqct_error *error) {
  if (!encoding->filled)
    return VQCT_OK;
  enum vqct_status status = encode_batch(encoding, error);
  for (size_t i = 0; i < encoding->filled; i++)
    vqct_image_free(&encoding->view[i].owned);
  encoding->filled = 0;
  progress_set(&encoding->progress, encoding->done);
  return status;
}

/* A bad picture: it is written down in its place, after those in hand. */
static enum vqct_status leave_out(struct encoding *encoding, const struct feed_item *item,
                                  struct vqct_error *error) {
  enum vqct_status status = flush(encoding, error);
  return status == VQCT_OK ? write_failure(encoding, item->index, item->error.message, error)
                           : status;
}

/* "nothing passed over", or "passed over: 3 webp, 1 txt". */
static void print_passed(const struct pictures *pictures) {
  enum { SHOWN = 12 };
  size_t kinds = pictures_passed(pictures);
  printf(kinds ? "passed over:" : "nothing passed over");
  for (size_t i = 0; i < kinds && i < SHOWN; i++) {
    const struct passed_over *kind = pictures_passed_over(pictures, i);
    printf("%s %llu %s", i ? "," : "", (unsigned long long)kind->count, kind->kind);
  }
  if (kinds > SHOWN)
    printf(", and %zu other kinds", kinds - SHOWN);
}

static void tell_start(const struct encoding *encoding) {
  if (encoding->settings.quiet)
    return;
  if (encoding->start.anew)
    printf("%s.part is of another run (model, settings or pictures differ): starting over\n",
           encoding->settings.output);
  if (encoding->start.done)
    printf("going on after %zu of %zu pictures\n", encoding->start.done, shard_pictures(encoding));
  fflush(stdout);
}

static void tell_end(const struct encoding *encoding) {
  if (encoding->settings.quiet)
    return;
  const struct token_totals totals = token_writer_totals(encoding->writer);
  double seconds = seconds_now() - encoding->progress.started;
  size_t done = encoding->done - encoding->start.done;
  printf("%zu pictures, %llu tokens, %zu failed, ", totals.pictures,
         (unsigned long long)totals.tokens, totals.failed);
  print_passed(encoding->pass.pictures);
  printf("; %.1f s, %.1f pictures/s\n", seconds, seconds > 0 ? (double)done / seconds : 0);
}

static bool is_of_batch(const struct encoding *encoding, uint32_t width, uint32_t height) {
  const struct view *first = &encoding->view[0];
  return !encoding->filled || (first->width == width && first->height == height);
}

static struct view view_of(const struct encoding *encoding, const struct feed_item *item,
                           unsigned number) {
  const struct vqct_image *image = &item->image;
  const struct fit fit = preparation_fit(&encoding->pass.preparation, encoding->pass.info);
  struct view view = {.index = item->index,
                      .number = number,
                      .width = image->width,
                      .height = image->height / view_count(encoding)};
  view.pixels = image->pixels + (size_t)number * view.height * view.width * image->channels;
  if (encoding->viewed)
    view.box =
        views_box(&encoding->views, &fit, pictures_name(encoding->pass.pictures, item->index),
                  item->width, item->height, number);
  if (is_last(encoding, &view))
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
  unsigned count = view_count(encoding), number = encoding->skip;
  enum vqct_status status = VQCT_OK;
  encoding->skip = 0;
  if (!is_of_batch(encoding, item->image.width, item->image.height / count))
    status = flush(encoding, error);
  for (; number < count && status == VQCT_OK; number++) {
    encoding->view[encoding->filled++] = view_of(encoding, item, number);
    if (encoding->filled == encoding->batch)
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

static enum vqct_status encode_all(struct encoding *encoding, struct vqct_error *error) {
  tell_start(encoding);
  progress_start(&encoding->progress, "encode", shard_pictures(encoding), encoding->done);
  enum vqct_status status = encode_items(encoding, error);
  progress_clear(&encoding->progress);
  if (signals_ended(status))
    return error_set(error, VQCT_INTERRUPTED,
                     "stopped after %zu of %zu pictures; the same command goes on from there",
                     encoding->done, shard_pictures(encoding));
  return status;
}

/* After an error, such as a full disk. */
static enum vqct_status tell_what_is_kept(const struct encoding *encoding,
                                          struct vqct_error *error) {
  const struct vqct_error fault = *error;
  return error_set(error, fault.status,
                   "%s; %s.part keeps %zu of %zu pictures, and the same command goes on from there",
                   fault.message, encoding->settings.output, encoding->done,
                   shard_pictures(encoding));
}

static void release(struct encoding *encoding, enum vqct_status status) {
  for (size_t i = 0; i < encoding->filled; i++)
    vqct_image_free(&encoding->view[i].owned);
  for (size_t i = 0; encoding->tokens && i < encoding->batch; i++)
    free(encoding->tokens[i]);
  free(encoding->view);
  free(encoding->pixels);
  free(encoding->tokens);
  free(encoding->numbers);
  token_writer_close(encoding->writer, status == VQCT_INTERRUPTED || encoding->done);
  labels_close(encoding->labels);
  pass_close(&encoding->pass);
}

static enum vqct_status run_to_end(struct encoding *encoding, const struct options_found *found,
                                   struct vqct_error *error) {
  enum vqct_status status;
  if ((status = prepare(encoding, found->operands, found->operand_count, error)) ||
      (status = encode_all(encoding, error)) ||
      (status = token_writer_commit(encoding->writer, encoding->pass.pictures, error)))
    return status != VQCT_INTERRUPTED && encoding->done ? tell_what_is_kept(encoding, error)
                                                        : status;
  tell_end(encoding);
  size_t failed = token_writer_totals(encoding->writer).failed;
  if (failed)
    return error_set(error, VQCT_PARTIAL, "%zu of %zu pictures failed and are named in the .jsonl",
                     failed, shard_pictures(encoding));
  return VQCT_OK;
}

static enum vqct_status encode(const void *values, const struct options_found *found,
                               struct arena *arena, struct vqct_error *error) {
  struct encoding encoding = {.settings = *(const struct settings *)values};
  (void)arena;
  encoding.pass.preparation = encoding.settings.preparation;
  signals_catch();
  enum vqct_status status = run_to_end(&encoding, found, error);
  release(&encoding, status);
  return status;
}

static enum vqct_status run_encode(int argc, char **argv, struct vqct_error *error) {
  struct settings settings = {0};
  return command_run(&table, argc, argv, &settings, encode, error);
}

const struct command encode_command = {"encode", "pictures to tokens", run_encode};
