/* vqct inspect: what a model file holds, as text or as JSON. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "error.h"
#include "model.h"
#include "vqct/codebook.h"

struct settings {
  int64_t words;
  bool json;
};

static const struct option options[] = {
    {"words", 'w', OPTION_INTEGER, offsetof(struct settings, words), "8", 0, 0x1p24, NULL, "NUMBER",
     "how many words of each codebook are shown, spread evenly over it"},
    {"json", 'j', OPTION_SWITCH, offsetof(struct settings, json), NULL, 0, 0, NULL, NULL,
     "print one JSON object"},
};

static const struct option_table table = {
    .command = "inspect",
    .operands = "MODEL",
    .summary = "Shows a model's architecture, parameters, codebooks, some words and its checksum.",
    .options = options,
    .count = sizeof options / sizeof *options,
    .operands_min = 1,
    .operands_max = 1,
};

/* Parameters by where they stand in the network. */
static const struct part {
  const char *name, *start;
} parts[] = {{"encoder", "encoder."},
             {"quant_conv", "quant_conv."},
             {"post_quant_conv", "post_quant_conv."},
             {"decoder", "decoder."}};
#define PARTS (sizeof parts / sizeof *parts)

static uint64_t count_parameters(const struct vqct_model *model, const char *start) {
  const struct parameter_list *list = &model->file.parameters;
  uint64_t count = 0;
  for (size_t i = 0; i < list->count; i++)
    if (strncmp(list->parameter[i].name, start, strlen(start)) == 0)
      count += list->parameter[i].count;
  return count;
}

/* One codebook: the codes of one part of speech. */
struct book {
  enum vqct_part_of_speech part;
  uint32_t first, count;
  struct vqct_codebook_health training; /* over the tokens that training recorded */
};

static struct book make_book(const struct vqct_model *model, int first, int count) {
  struct book book = {.part = model_code_part(&model->file.config, (size_t)first),
                      .first = (uint32_t)first,
                      .count = (uint32_t)count};
  vqct_codebook_health(model->file.training_counts + first, (size_t)count, &book.training);
  return book;
}

static int find_books(const struct vqct_model *model, struct book books[2]) {
  const struct model_config *config = &model->file.config;
  int adjectives = config->adjectives;
  books[0] = make_book(model, 0, adjectives ? adjectives : config->nouns);
  if (adjectives)
    books[1] = make_book(model, adjectives, config->nouns);
  return adjectives ? 2 : 1;
}

/* The code of sample number `index` of `samples`. */
static uint32_t sample_code(const struct book *book, uint32_t index, uint32_t samples) {
  return book->first + (uint32_t)((uint64_t)index * book->count / samples);
}

static uint32_t sample_count(const struct book *book, int64_t words) {
  return words < (int64_t)book->count ? (uint32_t)words : book->count;
}

static bool has_words(const struct vqct_model *model, const struct book *book) {
  for (uint32_t i = 0; i < book->count; i++)
    if (*model_file_word(&model->file, book->first + i))
      return true;
  return false;
}

static void print_book(const struct vqct_model *model, const struct book *book, int64_t words) {
  const struct vqct_codebook_health *health = &book->training;
  printf("codebook         %-10s %u codes, tokens %u to %u\n", vqct_part_of_speech_name(book->part),
         book->count, book->first, book->first + book->count - 1);
  if (health->tokens)
    printf("  in training    %llu of %llu used (%.1f %%), perplexity %.1f, over %llu tokens\n",
           (unsigned long long)health->used, (unsigned long long)health->codes, 100 * health->usage,
           health->perplexity, (unsigned long long)health->tokens);
  if (!has_words(model, book))
    return;
  uint32_t samples = sample_count(book, words);
  for (uint32_t i = 0; i < samples; i++)
    printf("%s%s%s", i ? ", " : "  words          ",
           model_file_word(&model->file, sample_code(book, i, samples)),
           i + 1 == samples ? "\n" : "");
}

static void print_channels(const struct model_config *config, const char *title,
                           int (*channels)(const struct model_config *config, int level)) {
  printf("%-17s", title);
  for (int level = 0; level < config->levels; level++)
    printf("%s%d%s", level ? ", " : "", channels(config, level),
           config->attention[level] ? " (attention)" : "");
  printf(" channels");
}

static void print_levels(const struct model_config *config) {
  print_channels(config, "levels", model_config_level_channels);
  printf("%s; %d encoder and %d decoder blocks each%s\n",
         config->space_to_depth ? " from half the side on" : "", config->encoder_blocks,
         config->decoder_blocks, config->middle_attention ? "; attention in the middle" : "");
  if (!config->decoder_multipliers[0])
    return;
  print_channels(config, "  of the decoder", model_config_decoder_channels);
  putchar('\n');
}

static void print_text(const struct vqct_model *model, int64_t words) {
  const struct vqct_model_info *info = vqct_model_info(model);
  const struct model_config *config = &model->file.config;
  struct book books[2];
  printf("name             %s\n", info->name);
  printf("checksum         sha256 %s\n", info->checksum);
  printf("file             %zu bytes, convolutions in %s\n", model->file.bytes,
         tensor_type_name(model->file.weight_type));
  printf("picture          %u channels, %u pixels a token along each side\n", info->channels,
         info->downsampling);
  print_levels(config);
  printf("quantizer        %s, %u planes, %u codes of %u numbers%s\n",
         config->quantizer == QUANTIZER_VQCT ? "VQCT" : "plain", info->planes, info->codes,
         info->code_dimension, config->l2_normalize ? ", L2-normalised" : "");
  printf("parameters       %llu\n", (unsigned long long)info->parameters);
  for (size_t i = 0; i < PARTS; i++)
    printf("  %-15s %llu\n", parts[i].name,
           (unsigned long long)count_parameters(model, parts[i].start));
  printf("operations       %.2f GFLOP to encode 256x256, %.2f to decode\n",
         (double)info->encode_flops * 1e-9, (double)info->decode_flops * 1e-9);
  int count = find_books(model, books);
  for (int i = 0; i < count; i++)
    print_book(model, &books[i], words);
}

static json_t *book_json(const struct vqct_model *model, const struct book *book, int64_t words) {
  const struct vqct_codebook_health *health = &book->training;
  uint32_t samples = sample_count(book, words);
  json_t *sample = json_array();
  for (uint32_t i = 0; i < samples; i++)
    json_array_append_new(
        sample, json_string(model_file_word(&model->file, sample_code(book, i, samples))));
  return json_pack("{s:s, s:I, s:I, s:o, s:{s:I, s:I, s:f, s:f, s:f}}", "part_of_speech",
                   vqct_part_of_speech_name(book->part), "first", (json_int_t)book->first, "count",
                   (json_int_t)book->count, "words", sample, "training", "tokens",
                   (json_int_t)health->tokens, "used", (json_int_t)health->used, "usage",
                   health->usage, "entropy", health->entropy, "perplexity", health->perplexity);
}

static json_t *model_json(const struct vqct_model *model, int64_t words) {
  const struct vqct_model_info *info = vqct_model_info(model);
  struct book books[2];
  json_t *counts = json_object(), *codebooks = json_array();
  for (size_t i = 0; i < PARTS; i++)
    json_object_set_new(counts, parts[i].name,
                        json_integer((json_int_t)count_parameters(model, parts[i].start)));
  json_object_set_new(counts, "total", json_integer((json_int_t)info->parameters));
  int count = find_books(model, books);
  for (int i = 0; i < count; i++)
    json_array_append_new(codebooks, book_json(model, &books[i], words));
  return json_pack("{s:s, s:s, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:I, s:I, s:o, s:o}", "name",
                   info->name, "checksum", info->checksum, "bytes", (json_int_t)model->file.bytes,
                   "weights", tensor_type_name(model->file.weight_type), "downsampling",
                   (json_int_t)info->downsampling, "channels", (json_int_t)info->channels, "planes",
                   (json_int_t)info->planes, "codes", (json_int_t)info->codes, "code_dimension",
                   (json_int_t)info->code_dimension, "parameters", counts, "encode_flops",
                   (json_int_t)info->encode_flops, "decode_flops", (json_int_t)info->decode_flops,
                   "architecture", json_loads(info->architecture, 0, NULL), "codebooks", codebooks);
}

static enum vqct_status print_json(const struct vqct_model *model, int64_t words,
                                   struct vqct_error *error) {
  json_t *root = model_json(model, words);
  int result = root ? json_dumpf(root, stdout, JSON_INDENT(2)) : -1;
  json_decref(root);
  putchar('\n');
  return result == 0 ? VQCT_OK : error_set(error, VQCT_MEMORY, "memory is exhausted");
}

static enum vqct_status inspect(const void *values, const struct options_found *found,
                                struct arena *arena, struct vqct_error *error) {
  (void)arena;
  const struct settings *settings = values;
  struct vqct_model *model;
  enum vqct_status status = vqct_model_open(found->operands[0], &model, error);
  if (status != VQCT_OK)
    return status;
  if (settings->json)
    status = print_json(model, settings->words, error);
  else
    print_text(model, settings->words);
  vqct_model_close(model);
  return status;
}

static enum vqct_status run(int argc, char **argv, struct vqct_error *error) {
  struct settings settings = {0};
  return command_run(&table, argc, argv, &settings, inspect, error);
}

const struct command inspect_command = {"inspect", "show what a model holds", run};
