/* vqct prior show: what a prior holds, and the neighbourhood of a word as text or picture. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "atomic_file.h"
#include "error.h"
#include "graphviz.h"
#include "neighbours.h"
#include "prior_commands.h"

struct settings {
  const char *dot, *png;
  int64_t top, neighbours;
};

#define SHOWN_MAX 1000

static const struct option options[] = {
    {"top", 't', OPTION_INTEGER, offsetof(struct settings, top), "20", 1, SHOWN_MAX, NULL, "COUNT",
     "how many of the most frequent words to show"},
    {"neighbours", 'n', OPTION_INTEGER, offsetof(struct settings, neighbours), "12", 1, SHOWN_MAX,
     NULL, "COUNT", "how many neighbours of a word to show or to draw (at most 64 are drawn)"},
    {"dot", 0, OPTION_TEXT, offsetof(struct settings, dot), NULL, 0, 0, NULL, "FILE",
     "write the word's neighbourhood as Graphviz DOT; - is standard output"},
    {"png", 0, OPTION_TEXT, offsetof(struct settings, png), NULL, 0, 0, NULL, "FILE",
     "draw it through Graphviz; without Graphviz, FILE.dot is written instead"},
};

static const struct option_table table = {
    .command = "prior show",
    .operands = "PRIOR [WORD]",
    .summary =
        "Shows what a prior holds, or the neighbours of a word in its graph and in embedding "
        "space.",
    .options = options,
    .count = sizeof options / sizeof *options,
    .operands_min = 1,
    .operands_max = 2,
};

/* ---- the whole prior ---- */

static void print_top(const struct prior *prior, const char *name, size_t first, size_t count,
                      size_t top) {
  printf("%s:", name);
  for (size_t i = 0; i < count && i < top; i++)
    printf("%s %s %" PRIu64, i ? "," : "", prior->word[first + i], prior->count[first + i]);
  putchar('\n');
}

static int compare_weights(const void *a, const void *b) {
  const struct prior_edge *left = a, *right = b;
  if (left->weight != right->weight)
    return left->weight < right->weight ? 1 : -1;
  if (left->first != right->first)
    return left->first < right->first ? -1 : 1;
  return (left->second > right->second) - (left->second < right->second);
}

static enum vqct_status print_strongest(const struct prior *prior, size_t top,
                                        struct vqct_error *error) {
  struct prior_edge *edges = malloc((prior->edge_count + 1) * sizeof *edges);
  if (!edges)
    return error_set(error, VQCT_MEMORY, "no memory for the edges");
  if (prior->edge_count)
    memcpy(edges, prior->edges, prior->edge_count * sizeof *edges);
  qsort(edges, prior->edge_count, sizeof *edges, compare_weights);
  fputs("edges:", stdout);
  for (size_t i = 0; i < prior->edge_count && i < top; i++)
    printf("%s %s %s %u", i ? "," : "", prior->word[edges[i].first], prior->word[edges[i].second],
           (unsigned)edges[i].weight);
  putchar('\n');
  free(edges);
  return VQCT_OK;
}

static enum vqct_status show_prior(const struct prior *prior, const char *path, size_t top,
                                   struct vqct_error *error) {
  uint64_t places = 0;
  for (size_t i = 0; i < prior->edge_count; i++)
    places += prior->edges[i].weight;
  printf(
      "%s: %zu words (%zu adjectives, %zu nouns), embeddings of %zu numbers, %zu edges of %" PRIu64
      " places\n",
      path, prior->words, prior->adjectives, prior->nouns, prior->dimension, prior->edge_count,
      places);
  printf("provenance: %s\n", prior->provenance);
  print_top(prior, "adjectives", 0, prior->adjectives, top);
  print_top(prior, "nouns", prior->adjectives, prior->nouns, top);
  return print_strongest(prior, top, error);
}

/* ---- one word ---- */

static void print_nearest(const struct prior *prior, uint32_t row, bool adjectives, size_t most) {
  struct neighbour nearest[SHOWN_MAX];
  size_t count = prior_nearest(prior, row, adjectives, nearest, most);
  printf("  near as %s:", adjectives ? "adjectives" : "nouns");
  for (size_t i = 0; i < count; i++)
    printf("%s %s %.3f", i ? "," : "", prior->word[nearest[i].row], nearest[i].strength);
  putchar('\n');
}

static void show_row(const struct prior *prior, uint32_t row, size_t most) {
  struct neighbour ring[SHOWN_MAX];
  size_t all, count = prior_graph_neighbours(prior, row, ring, most, &all);
  bool adjective = row < prior->adjectives;
  printf("%s (%s, row %u): %" PRIu64 " places, %zu neighbours\n", prior->word[row],
         adjective ? "adjective" : "noun", (unsigned)row, prior->count[row], all);
  printf("  %s:", adjective ? "stands before" : "stands behind");
  for (size_t i = 0; i < count; i++)
    printf("%s %s %.0f", i ? "," : "", prior->word[ring[i].row], ring[i].strength);
  putchar('\n');
  print_nearest(prior, row, true, most);
  print_nearest(prior, row, false, most);
}

/* The DOT text of a row, from malloc. */
static enum vqct_status make_dot(const struct prior *prior, uint32_t row, size_t most, char **text,
                                 size_t *size, struct vqct_error *error) {
  *text = NULL;
  FILE *memory = open_memstream(text, size);
  if (!memory)
    return error_set(error, VQCT_MEMORY, "no memory to draw");
  enum vqct_status status = prior_write_dot(prior, row, most, memory, error);
  fclose(memory);
  return status;
}

static enum vqct_status write_dot(const char *path, const char *text, size_t size,
                                  struct vqct_error *error) {
  if (strcmp(path, "-"))
    return atomic_file_save(path, text, size, error);
  if (fwrite(text, 1, size, stdout) != size || fflush(stdout))
    return error_set(error, VQCT_WRITE, "standard output: %s", strerror(errno));
  return VQCT_OK;
}

/* Draws through Graphviz; where it is not installed, leaves the DOT beside where the picture would
 * be. */
static enum vqct_status write_png(const char *path, const char *text, size_t size,
                                  struct vqct_error *error) {
  enum vqct_status status = graphviz_png(text, size, path, error);
  if (status != VQCT_UNAVAILABLE)
    return status;
  char beside[4096];
  if ((size_t)snprintf(beside, sizeof beside, "%s.dot", path) >= sizeof beside)
    return error_set(error, VQCT_INVALID, "the name of the picture is too long");
  status = atomic_file_save(beside, text, size, error);
  return status == VQCT_OK
             ? error_set(error, VQCT_WRITE,
                         "%s: Graphviz's dot is not installed; what it would draw is in %s", path,
                         beside)
             : status;
}

static enum vqct_status draw(const struct settings *settings, const struct prior *prior,
                             uint32_t row, struct vqct_error *error) {
  char *text;
  size_t size;
  enum vqct_status status = make_dot(prior, row, (size_t)settings->neighbours, &text, &size, error);
  if (status == VQCT_OK && settings->dot)
    status = write_dot(settings->dot, text, size, error);
  if (status == VQCT_OK && settings->png)
    status = write_png(settings->png, text, size, error);
  free(text);
  return status;
}

/* A word that is both adjective and noun is shown twice; the picture is of the more frequent. */
static enum vqct_status show_word(const struct settings *settings, const struct prior *prior,
                                  const char *word, struct vqct_error *error) {
  uint32_t adjective, noun, row;
  bool is_adjective = prior_find(prior, word, true, &adjective);
  bool is_noun = prior_find(prior, word, false, &noun);
  if (!is_adjective && !is_noun)
    return error_set(error, VQCT_INVALID, "the prior has no word '%.80s'", word);
  row = is_adjective && (!is_noun || prior->count[adjective] >= prior->count[noun]) ? adjective
                                                                                    : noun;
  if (settings->dot || settings->png)
    return draw(settings, prior, row, error);
  if (is_adjective)
    show_row(prior, adjective, (size_t)settings->neighbours);
  if (is_noun)
    show_row(prior, noun, (size_t)settings->neighbours);
  return VQCT_OK;
}

static enum vqct_status work(const void *values, const struct options_found *found,
                             struct arena *arena, struct vqct_error *error) {
  const struct settings *settings = values;
  struct prior prior;
  (void)arena;
  if (found->operand_count < 2 && (settings->dot || settings->png))
    return error_set(error, VQCT_INVALID, "--dot and --png need a word");
  enum vqct_status status = prior_read(found->operands[0], &prior, error);
  if (status != VQCT_OK)
    return status;
  status = found->operand_count == 2
               ? show_word(settings, &prior, found->operands[1], error)
               : show_prior(&prior, found->operands[0], (size_t)settings->top, error);
  prior_free(&prior);
  return status;
}

static enum vqct_status run(int argc, char **argv, struct vqct_error *error) {
  struct settings settings = {0};
  return command_run(&table, argc, argv, &settings, work, error);
}

const struct command prior_show_command = {"show", "look at a prior or at one of its words", run};
