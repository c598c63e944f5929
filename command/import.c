/* vqct import: a checkpoint of another program as a model file. */
#include "import.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "command.h"
#include "error.h"
#include "prior_convert.h"
#include "signals.h"
#include "weight_types.h"

#define NAME_ROOM 64 /* bytes of a model's name, its end counted */

struct settings {
  const char *config, *prior, *name, *output, *prefix, *source_config;
  struct option_list ignore;
  int64_t adjective_k;
  int type, distance;
  bool averages;
};

static const struct option options[] = {
    {"output", 'o', OPTION_TEXT, offsetof(struct settings, output), NULL, 0, 0, NULL, "FILE",
     "the model file to write"},
    {"prior", 'p', OPTION_TEXT, offsetof(struct settings, prior), NULL, 0, 0, NULL, "FILE",
     "words and graph that a VQCT checkpoint was trained with: a prior, or its own pickle or JSON"},
    {"config", 'c', OPTION_TEXT, offsetof(struct settings, config), NULL, 0, 0, NULL, "FILE",
     "architecture as JSON, where the shapes do not tell it"},
    {"adjective-k", 'k', OPTION_INTEGER, offsetof(struct settings, adjective_k), "2", 1, 2, NULL,
     "NUMBER", "adjectives for each position of a VQCT checkpoint, where no --config says so"},
    {"distance", 'd', OPTION_CHOICE, offsetof(struct settings, distance), "untold", 0, 0,
     "untold|euclidean|dot", "HOW",
     "how a code is chosen, where taming's names do not tell: the nearest (VQGAN) or that of the "
     "greatest dot product (IBQ)"},
    {"source-config", 0, OPTION_TEXT, offsetof(struct settings, source_config), NULL, 0, 0, NULL,
     "FILE", "the checkpoint's own .yaml or config.json, which may tell how codes are chosen"},
    {"ema", 0, OPTION_SWITCH, offsetof(struct settings, averages), NULL, 0, 0, NULL, NULL,
     "take the moving averages that training kept in place of the weights"},
    {"prefix", 0, OPTION_TEXT, offsetof(struct settings, prefix), NULL, 0, 0, NULL, "TEXT",
     "what stands before the tokenizer's names, where a checkpoint has several"},
    {"ignore", 0, OPTION_LIST, offsetof(struct settings, ignore), NULL, 0, 0, NULL, "PATTERN",
     "unexpected tensors to pass over, by their names in the checkpoint, such as 'teacher.*'"},
    {"name", 'n', OPTION_TEXT, offsetof(struct settings, name), NULL, 0, 0, NULL, "NAME",
     "what the model is called, instead of the output file's name"},
    {"type", 't', OPTION_CHOICE, offsetof(struct settings, type), "fp32", 0, 0, WEIGHT_TYPES,
     "TYPE", "of the convolutions' weights in the file"},
};

static const struct option_table table = {
    .command = "import",
    .operands = "CHECKPOINT",
    .summary =
        "Turns a checkpoint of VQCT, taming VQGAN, IBQ, MoVQ, diffusers, LlamaGen and others into "
        "a "
        "model file. CHECKPOINT is a safetensors file, a file of PyTorch (.ckpt, .pt, .bin), an "
        "index of shards or a folder of Hugging Face.",
    .options = options,
    .count = sizeof options / sizeof *options,
    .operands_min = 1,
    .operands_max = 1,
};

static bool is_printable_ascii(const char *text) {
  for (const char *c = text; *c; c++)
    if (*c < 0x20 || *c > 0x7e)
      return false;
  return *text;
}

/* Whether both names are of one file. */
static bool is_same_file(const char *one, const char *other) {
  struct stat a, b;
  return stat(one, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* The output's file name without folder and ending. A model's name is printable ASCII; each other
 * character becomes '-'. */
static void name_of_output(const char *output, char name[NAME_ROOM]) {
  const char *slash = strrchr(output, '/');
  const char *base = slash ? slash + 1 : output;
  int length = (int)strcspn(base, ".");
  size_t at = 0;
  for (int i = 0; i < length && at < NAME_ROOM - 1; i++) {
    unsigned char c = (unsigned char)base[i];
    if (c < 0x80 || c >= 0xc0) /* not a byte within a character */
      name[at++] = (char)(c >= 0x20 && c < 0x7f ? c : '-');
  }
  name[at] = 0;
}

static void print_result(const struct import *import, const char *output) {
  const struct model_config *config = &import->config;
  printf("%s: %s, %d pixels a token, %d codes of %d numbers", output,
         import_family_name(import->family), model_config_downsampling(config),
         model_config_codes(config), config->code_dimension);
  if (import->prefix[0])
    printf("; found under %s", import->prefix);
  if (import->dropped)
    printf("; %zu tensors that only training needs were left out", import->dropped);
  if (import->others)
    printf("; %zu of other parts were left", import->others);
  if (import->ignored)
    printf("; %zu were ignored", import->ignored);
  putchar('\n');
}

static enum vqct_status convert(const struct settings *settings,
                                const struct import_request *request, const struct exec *exec,
                                struct vqct_error *error) {
  struct import import;
  enum vqct_status status = import_read(request, exec, &import, error);
  for (size_t i = 0; i < import.issues; i++)
    fprintf(stderr, "%s\n", import.issue[i].message);
  if (status != VQCT_OK)
    goto done;
  signals_catch(); /* so that one of them leaves no temporary file behind */
  status = model_file_save(settings->output, &import.content, weight_type(settings->type), error);
  if (status != VQCT_OK)
    goto done;
  print_result(&import, settings->output);
done:
  import_free(&import);
  return status;
}

static enum vqct_status check_settings(const struct settings *settings, const char *input,
                                       struct vqct_error *error) {
  if (!settings->output)
    return error_set(error, VQCT_INVALID, "give --output FILE");
  if (settings->name && strlen(settings->name) >= NAME_ROOM)
    return error_set(error, VQCT_INVALID, "the name is longer than %d characters", NAME_ROOM - 1);
  if (settings->name && !is_printable_ascii(settings->name))
    return error_set(error, VQCT_INVALID, "--name: it must be printable ASCII characters");
  if (is_same_file(input, settings->output))
    return error_set(error, VQCT_INVALID, "%s: the output is the checkpoint itself",
                     settings->output);
  return VQCT_OK;
}

static enum vqct_status run_settings(const void *values, const struct options_found *found,
                                     struct arena *arena, struct vqct_error *error) {
  const struct settings *settings = values;
  struct prior prior = {0};
  struct model_config config;
  char name[NAME_ROOM];
  enum vqct_status status = check_settings(settings, found->operands[0], error);
  if (status != VQCT_OK)
    return status;
  name_of_output(settings->output, name);
  if ((settings->prior && (status = prior_convert(settings->prior, &prior, error))) ||
      (settings->config && (status = model_config_read(settings->config, &config, error))))
    goto done;
  struct exec exec = {.arena = arena};
  struct import_request request = {.path = found->operands[0],
                                   .name = settings->name ? settings->name : name,
                                   .config = settings->config ? &config : NULL,
                                   .prior = settings->prior ? &prior : NULL,
                                   .adjective_k = (int)settings->adjective_k,
                                   .source_config = settings->source_config,
                                   .prefix = settings->prefix,
                                   .averages = settings->averages,
                                   .distance = (enum import_distance)settings->distance,
                                   .ignore = settings->ignore.items,
                                   .ignored_patterns = settings->ignore.count};
  status = convert(settings, &request, &exec, error);
done:
  prior_free(&prior);
  return status;
}

static enum vqct_status run(int argc, char **argv, struct vqct_error *error) {
  struct settings settings = {0};
  return command_run(&table, argc, argv, &settings, run_settings, error);
}

const struct command import_command = {"import", "turn a checkpoint into a model", run};
