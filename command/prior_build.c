/* vqct prior build: captions and embeddings to a prior. */
#include "prior_build.h"

#include <inttypes.h>
#include <stdio.h>

#include "cpu.h"
#include "error.h"
#include "language.h"
#include "prior_commands.h"
#include "progress.h"

struct settings {
  struct option_list captions, exclude;
  const char *column, *embeddings, *words, *output, *note, *tagger, *lexicon;
  int64_t threshold, threads;
};

static const struct option options[] = {
    {"captions", 'c', OPTION_LIST, offsetof(struct settings, captions), NULL, 0, 0, NULL, "FILE",
     "captions, plain or gzip: text, one a line; .csv or .tsv; JSON Lines; JSON of COCO or "
     "Karpathy, or a list of objects. Operands are captions too"},
    CAPTIONS_COLUMN_OPTION(struct settings, column),
    {"embeddings", 'e', OPTION_TEXT, offsetof(struct settings, embeddings), NULL, 0, 0, NULL,
     "FILE",
     "word vectors: GloVe, fastText or word2vec (text or .bin), wink-embeddings JSON, npy or "
     "safetensors"},
    {"words", 'w', OPTION_TEXT, offsetof(struct settings, words), NULL, 0, 0, NULL, "FILE",
     "the words of an npy or safetensors matrix, one a line"},
    {"threshold", 't', OPTION_INTEGER, offsetof(struct settings, threshold), "10", 0, 1e9, NULL,
     "COUNT", "words that occur more often than this are kept"},
    {"exclude", 'x', OPTION_LIST, offsetof(struct settings, exclude), NULL, 0, 0, NULL, "FILE",
     "words that shall not become codes, divided by blanks; may be given several times. "
     "config/excluded-words.txt is one"},
    {"note", 0, OPTION_TEXT, offsetof(struct settings, note), NULL, 0, 0, NULL, "TEXT",
     "sources and licences, kept in the prior"},
    {"tagger", 0, OPTION_TEXT, offsetof(struct settings, tagger), NULL, 0, 0, NULL, "FILE",
     "part-of-speech tagger, instead of the one inside the program"},
    {"lexicon", 0, OPTION_TEXT, offsetof(struct settings, lexicon), NULL, 0, 0, NULL, "FILE",
     "lexicon, instead of the one inside the program"},
    {"threads", 'j', OPTION_INTEGER, offsetof(struct settings, threads), "0", 0, 1024, NULL,
     "NUMBER", "counting threads; 0: one per processor"},
    {"output", 'o', OPTION_TEXT, offsetof(struct settings, output), NULL, 0, 0, NULL, "FILE",
     "the prior to write"},
};

static const struct option_table table = {
    .command = "prior build",
    .operands = "[CAPTIONS...]",
    .summary = "Counts adjectives and nouns in captions, links those that stand together, looks up "
               "their embeddings and writes a prior.",
    .options = options,
    .count = sizeof options / sizeof *options,
    .operands_max = -1,
};

#define PROGRESS_STEPS 1000 /* of a stage */

static void show_progress(void *argument, const char *stage, double share) {
  struct progress *progress = argument;
  if (progress->label != stage)
    progress_start(progress, stage, PROGRESS_STEPS, 0);
  progress_set(progress, (size_t)(share * PROGRESS_STEPS));
}

static void print_part(const char *name, const struct prior_part_report *part, size_t kept) {
  printf("%-11s %9" PRIu64 " places  %7" PRIu64 " words  %6" PRIu64 " above  %5" PRIu64
         " without embedding  %5" PRIu64 " excluded  %6zu kept  %5" PRIu64 " isolated\n",
         name, part->places, part->distinct, part->above, part->missing, part->excluded, kept,
         part->isolated);
}

static void print_degrees(const struct prior_report *report) {
  puts("neighbours  adjectives     nouns");
  for (unsigned bin = 0; bin < PRIOR_DEGREE_BINS; bin++) {
    char range[48];
    uint64_t least = prior_degree_bin(bin), next = prior_degree_bin(bin + 1);
    if (bin + 1 == PRIOR_DEGREE_BINS)
      snprintf(range, sizeof range, "%" PRIu64 "+", least);
    else if (next - least <= 1)
      snprintf(range, sizeof range, "%" PRIu64, least);
    else
      snprintf(range, sizeof range, "%" PRIu64 "-%" PRIu64, least, next - 1);
    printf("%10s  %10" PRIu64 "%10" PRIu64 "\n", range, report->part[VQCT_ADJECTIVE].degrees[bin],
           report->part[VQCT_NOUN].degrees[bin]);
  }
  printf("%10s  %10" PRIu64 "%10" PRIu64 "\n", "most", report->part[VQCT_ADJECTIVE].degree_most,
         report->part[VQCT_NOUN].degree_most);
}

#define MISSING_SHOWN 20

static void print_missing(const struct word_table *missing) {
  if (!missing->count)
    return;
  fputs("no embedding:", stdout);
  for (uint32_t i = 0; i < missing->count && i < MISSING_SHOWN; i++)
    printf(" %s", word_table_text(missing, i));
  puts(missing->count > MISSING_SHOWN ? " ..." : "");
}

static void print_report(const struct prior *prior, const struct prior_report *report,
                         double seconds) {
  const struct caption_counts *captions = &report->captions;
  printf("captions    %9" PRIu64 " read, %" PRIu64 " words and marks, %.1f s\n", captions->captions,
         report->tokens, seconds);
  printf("passed over %9" PRIu64 " empty, %" PRIu64 " not UTF-8, %" PRIu64
         " over %zu bytes, %" PRIu64 " null or left out\n",
         captions->empty, captions->not_utf8, captions->too_long, CAPTION_BYTES_MAX,
         captions->missing);
  print_part("adjectives", &report->part[VQCT_ADJECTIVE], prior->adjectives);
  print_part("nouns", &report->part[VQCT_NOUN], prior->nouns);
  printf("edges       %9" PRIu64 " places  %7" PRIu64 " pairs  %6" PRIu64 " kept, of %" PRIu64
         " places\n",
         report->pair_places, report->pairs, report->edges, report->edge_places);
  printf("embeddings  %9" PRIu64 " rows of %zu numbers, %" PRIu64 " duplicates, %" PRIu64
         " not finite\n",
         report->rows, prior->dimension, report->duplicates, report->not_finite);
  print_missing(&report->missing);
  print_degrees(report);
}

/* Files given as --captions and as operands, in that order. */
static enum vqct_status gather_captions(const struct settings *settings,
                                        const struct options_found *found, struct arena *arena,
                                        struct prior_recipe *recipe, struct vqct_error *error) {
  size_t count = settings->captions.count + (size_t)found->operand_count;
  if (count == 0)
    return error_set(error, VQCT_INVALID, "--captions is missing");
  const char **files = arena_calloc(arena, count, sizeof *files);
  if (!files)
    return error_set(error, VQCT_MEMORY, "no memory for the names of files");
  for (size_t i = 0; i < count; i++)
    files[i] = i < settings->captions.count ? settings->captions.items[i]
                                            : found->operands[i - settings->captions.count];
  recipe->captions = files;
  recipe->caption_files = count;
  return VQCT_OK;
}

static enum vqct_status build_and_write(const struct prior_recipe *recipe, const char *output,
                                        struct vqct_error *error) {
  struct prior prior;
  struct prior_report report;
  double started = seconds_now();
  enum vqct_status status = prior_build(recipe, &prior, &report, error);
  progress_clear(recipe->argument);
  if (status != VQCT_OK || (status = prior_write(output, &prior, error)) != VQCT_OK)
    goto done;
  print_report(&prior, &report, seconds_now() - started);
done:
  prior_report_free(&report);
  prior_free(&prior);
  return status;
}

static enum vqct_status work(const void *values, const struct options_found *found,
                             struct arena *arena, struct vqct_error *error) {
  const struct settings *settings = values;
  struct language language;
  struct progress progress = {0};
  struct prior_recipe recipe = {.column = settings->column,
                                .embeddings = settings->embeddings,
                                .words = settings->words,
                                .exclude = settings->exclude.items,
                                .exclude_files = settings->exclude.count,
                                .threshold = (uint64_t)settings->threshold,
                                .note = settings->note,
                                .progress = show_progress,
                                .argument = &progress};
  if (!settings->embeddings || !settings->output)
    return error_set(error, VQCT_INVALID, "%s is missing",
                     settings->embeddings ? "--output" : "--embeddings");
  unsigned threads = cpu_threads(settings->threads);
  enum vqct_status status;
  if ((status = gather_captions(settings, found, arena, &recipe, error)) ||
      (status = language_open(settings->lexicon, settings->tagger, &language, error)))
    return status;
  if ((status = pool_new(threads, &recipe.pool, error)))
    goto done;
  recipe.lexicon = &language.lexicon;
  recipe.tagger = &language.tagger;
  status = build_and_write(&recipe, settings->output, error);
done:
  pool_free(recipe.pool);
  language_close(&language);
  return status;
}

static enum vqct_status run(int argc, char **argv, struct vqct_error *error) {
  struct settings settings = {0};
  return command_run(&table, argc, argv, &settings, work, error);
}

const struct command prior_build_command = {"build", "make a prior of captions and embeddings",
                                            run};
