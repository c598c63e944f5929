#include "encode_options.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cpu.h"
#include "error.h"
#include "token_formats.h"

#define SHARD_SIZE 10000 /* pictures, where nothing else is said */

#define NUMBERS "auto|uint16|uint32"
enum { NUMBER_AUTO, NUMBER_UINT16, NUMBER_UINT32 };

#define ORDERS "planes|interleaved"
enum { ORDER_PLANES, ORDER_INTERLEAVED };

#define MARK_OPTION(name, member, doc)                                                             \
  {                                                                                                \
    name, 0, OPTION_INTEGER, offsetof(struct encode_settings, member), "-1", TOKEN_MARK_NONE,      \
        UINT32_MAX, NULL, "ID", doc "; -1: none"                                                   \
  }

static const struct option options[] = {
    {"output", 'o', OPTION_TEXT, offsetof(struct encode_settings, output), NULL, 0, 0, NULL, "FILE",
     "where tokens go: " TOKEN_SUFFIXES "; a .jsonl beside it names the pictures; -: to standard "
     "output, in the --format"},
    {"format", 0, OPTION_CHOICE, offsetof(struct encode_settings, format), "auto", 0, 0,
     "auto|" TOKEN_FORMAT_NAMES, "FORMAT", "auto: as the ending of FILE tells"},
    PREPARATION_OPTIONS(struct encode_settings, preparation),
    VIEW_OPTIONS(struct encode_settings, views),
    {"batch", 'b', OPTION_INTEGER, offsetof(struct encode_settings, batch), "0", 0, 4096, NULL, "N",
     "views of pictures decoded ahead of the threads that compute; 0: as many as these"},
    {"threads", 't', OPTION_INTEGER, offsetof(struct encode_settings, threads), "0", 0, 1024, NULL,
     "N", "threads that compute; 0: one for each processor"},
    {"numbers", 0, OPTION_CHOICE, offsetof(struct encode_settings, number), "auto", 0, 0, NUMBERS,
     "TYPE", "type of a token; auto: uint16 where the codebook allows it"},
    {"layout", 0, OPTION_CHOICE, offsetof(struct encode_settings, order), "planes", 0, 0, ORDERS,
     "ORDER",
     "of a picture's numbers: plane after plane, or position after position (adjective, noun, "
     "adjective, noun)"},
    {"offset", 0, OPTION_INTEGER, offsetof(struct encode_settings, offset), "0", 0, UINT32_MAX,
     NULL, "N", "number of the first code, such as its row in a language model's vocabulary"},
    MARK_OPTION("begin", begin, "number that each picture begins with"),
    MARK_OPTION("end", end, "number that each picture ends with"),
    MARK_OPTION("row-end", row_end, "number that each row of the grid ends with"),
    {"labels", 0, OPTION_TEXT, offsetof(struct encode_settings, labels), NULL, 0, 0, NULL, "FROM",
     "labels of the pictures: folder (the name of the folder each lies in), beside (.cls, .txt or "
     ".json of the same name), beside:NAME (what the .json has under NAME) or a FILE of lines, "
     "each a picture's name, a tab and its label"},
    {"shard-size", 0, OPTION_INTEGER, offsetof(struct encode_settings, shard_size), "0", 0,
     100000000, NULL, "N", "pictures of each file of a .tar or .mds; 0: 10,000"},
    {"shard", 0, OPTION_TEXT, offsetof(struct encode_settings, shard), NULL, 0, 0, NULL, "I/N",
     "encode only every N-th picture from the I-th on, I from 0, to split work over machines"},
    {"quiet", 'q', OPTION_SWITCH, offsetof(struct encode_settings, quiet), NULL, 0, 0, NULL, NULL,
     "report bad pictures in the .jsonl only, and no progress or totals"},
};

const struct option_table encode_options = {
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

static enum vqct_status read_shard(const struct encode_settings *settings, struct encode_plan *plan,
                                   struct vqct_error *error) {
  unsigned index = 0, count = 1;
  char rest;
  if (settings->shard &&
      (sscanf(settings->shard, "%9u/%9u%c", &index, &count, &rest) != 2 || index >= count))
    return error_set(error, VQCT_INVALID,
                     "--shard '%s': it must be I/N with I from 0 to N - 1, such as 0/4",
                     settings->shard);
  plan->shard = index;
  plan->shards = count;
  return VQCT_OK;
}

/* What may go to standard output is one file that needs no .jsonl beside it. */
static enum vqct_status check_stream(const struct token_format *format, struct vqct_error *error) {
  if (!format)
    return error_set(error, VQCT_INVALID, "--output -: --format must say in which format");
  if (!format->stream)
    return error_set(error, VQCT_INVALID,
                     "--output -: %s is more than one file; npy, bin, jsonl and webdataset are one",
                     format->name);
  if (format != &token_format_lines && isatty(STDOUT_FILENO))
    return error_set(error, VQCT_INVALID, "--output -: standard output is a terminal");
  return VQCT_OK;
}

static enum vqct_status read_format(const struct encode_settings *settings,
                                    struct encode_plan *plan, struct vqct_error *error) {
  const struct token_format *asked =
      settings->format ? token_format_named((size_t)settings->format - 1) : NULL;
  plan->stream = strcmp(settings->output, "-") == 0;
  plan->format = asked;
  if (plan->stream)
    return check_stream(asked, error);
  enum vqct_status status = token_format_of(settings->output, &plan->format, error);
  if (status == VQCT_OK && asked && asked != plan->format)
    return error_set(error, VQCT_INVALID, "--format %s: %s must end in %s then", asked->name,
                     settings->output, asked->suffix);
  return status;
}

static enum vqct_status read_shard_size(const struct encode_settings *settings,
                                        struct encode_plan *plan, struct vqct_error *error) {
  if (settings->shard_size && plan->stream)
    return error_set(error, VQCT_INVALID, "--shard-size: standard output is one file");
  if (settings->shard_size && !plan->format->sharded)
    return error_set(error, VQCT_INVALID, "--shard-size: a %s is one file", plan->format->suffix);
  if (plan->format->sharded && !plan->stream)
    plan->shard_size = settings->shard_size ? (size_t)settings->shard_size : SHARD_SIZE;
  return VQCT_OK;
}

enum vqct_status encode_plan_begin(const struct encode_settings *settings, struct encode_plan *plan,
                                   struct vqct_error *error) {
  enum vqct_status status;
  *plan = (struct encode_plan){
      .layout = {.interleaved = settings->order == ORDER_INTERLEAVED,
                 .offset = settings->offset,
                 .begin = settings->begin,
                 .end = settings->end,
                 .row_end = settings->row_end},
      .threads = cpu_threads(settings->threads),
  };
  if (!settings->output)
    return error_set(error, VQCT_INVALID, "--output FILE is missing");
  if ((status = read_format(settings, plan, error)) || (status = read_shard(settings, plan, error)))
    return status;
  return read_shard_size(settings, plan, error);
}

/* The type of a number, and whether it holds all that occur. */
static enum vqct_status choose_numbers(const struct encode_settings *settings,
                                       const struct vqct_model_info *model,
                                       struct encode_plan *plan, struct vqct_error *error) {
  const struct token_format *format = plan->format;
  if (format->widest <= UINT16_MAX &&
      (settings->number == NUMBER_UINT32 || model->codes > format->widest + 1))
    return error_set(
        error, VQCT_INVALID,
        "an %s holds numbers up to %u: the model has %u codes, and --numbers uint32 is "
        "not possible",
        format->suffix, format->widest, model->codes);
  if (settings->number == NUMBER_UINT16 && model->codes > UINT16_MAX + 1U)
    return error_set(error, VQCT_INVALID, "--numbers uint16: the model has %u codes", model->codes);
  plan->wide = settings->number == NUMBER_UINT32 ||
               (settings->number == NUMBER_AUTO &&
                token_layout_greatest(&plan->layout, model->codes) > UINT16_MAX);
  return token_layout_check(&plan->layout, model->codes,
                            settings->number == NUMBER_UINT16 ? UINT16_MAX : format->widest, error);
}

enum vqct_status encode_plan_complete(const struct encode_settings *settings,
                                      const struct preparation *preparation,
                                      const struct vqct_model_info *model, struct encode_plan *plan,
                                      struct vqct_error *error) {
  enum vqct_status status;
  bool one_size = plan->format->one_size || (plan->format->array && plan->stream);
  if (one_size && preparation->resize != VQCT_RESIZE_COVER)
    return error_set(
        error, VQCT_INVALID, "%s holds pictures of one size only: use --resize cover%s",
        plan->stream ? "a stream of numbers" : "an .npy", plan->stream ? "" : ", or a .bin");
  if ((status = choose_numbers(settings, model, plan, error)) ||
      (status = view_options_read(&settings->views, preparation, model, &plan->views, &plan->viewed,
                                  error)))
    return status;
  if (plan->views.sizes && plan->format->array && plan->stream)
    return error_set(error, VQCT_INVALID, "--output -: --buckets makes a file of each size");
  plan->view_count = plan->viewed ? views_count(&plan->views) : 1;
  size_t views = settings->batch ? (size_t)settings->batch : plan->threads;
  plan->ahead = 1 + views / plan->view_count;
  return VQCT_OK;
}
