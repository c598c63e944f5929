/* Every allocation of the lexicon, the tagger, a prior's making and its file fails once: the result
 * is MEMORY and nothing is left behind, which AddressSanitizer's build of this test sees. */
#include <stdio.h>
#include <stdlib.h>

#include "../failing_memory.h"
#include "../folder.h"
#include "../suite.h"
#include "pos_train.h"
#include "prior_build.h"

/* ---- a folder of files ----------------------------------------------------------------------- */

static const char *const files[][2] = {
    {"index.noun", "dog n\nman n\n"},
    {"noun.exc", "men man\n"},
    {"index.verb", "run v\n"},
    {"verb.exc", ""},
    {"index.adj", "big a\n"},
    {"adj.exc", ""},
    {"index.adv", ""},
    {"adv.exc", ""},
    {"tagged.tsv", "a\tX\nbig\tJJ\ndog\tNN\nruns\tY\n\nbig\tJJ\nmen\tNN\n"},
    {"captions.txt", "a big dog runs\nbig men\nbig dog\n"},
    {"captions.json",
     "{\"annotations\": [{\"caption\": \"a big dog\"}, {\"caption\": \"big men\"}]}"},
    {"captions.jsonl", "{\"caption\": \"a big dog\"}\n{\"caption\": \"big men\"}\n"},
    {"captions.csv", "n,caption\n1,\"a big dog\"\n2,big men\n"},
    {"vectors.txt", "big 1 2\ndog 3 4\nman 5 6\n"},
};
#define FILES (sizeof files / sizeof *files)

static struct lexicon lexicon;
static struct pos_model tagger;

static enum vqct_status make_lexicon(struct lexicon *made, struct vqct_error *error) {
  struct vqct_bytes block;
  enum vqct_status status = lexicon_build(folder, &block, error);
  if (status == VQCT_OK)
    status = lexicon_open(block.data, block.size, made, error);
  free(block.data);
  return status;
}

static enum vqct_status make_tagger(struct pos_model *made, struct vqct_error *error) {
  struct path path = in_folder("tagged.tsv");
  const char *text = path.text;
  struct pos_corpus corpus;
  struct pos_score score;
  struct vqct_bytes block = {NULL, 0};
  struct pos_training training = {.rounds = 4, .least_count = 1, .least_weight = 1, .seed = 1};
  enum vqct_status status = pos_corpus_read(&text, 1, &corpus, error);
  if (status != VQCT_OK)
    return status;
  status = pos_train(&corpus, &lexicon, &training, &block, error);
  if (status == VQCT_OK &&
      (status = pos_model_open(block.data, block.size, made, error)) == VQCT_OK)
    if ((status = pos_evaluate(made, &lexicon, &corpus, &score, error)) != VQCT_OK)
      pos_model_free(made);
  free(block.data);
  pos_corpus_free(&corpus);
  return status;
}

static enum vqct_status make_prior(const char *captions, struct prior *prior,
                                   struct vqct_error *error) {
  struct path captions_path = in_folder(captions), vectors = in_folder("vectors.txt");
  const char *text = captions_path.text;
  struct prior_report report;
  struct prior_recipe recipe = {.captions = &text,
                                .caption_files = 1,
                                .column = "caption",
                                .embeddings = vectors.text,
                                .threshold = 0,
                                .note = "a note",
                                .tagger = &tagger,
                                .lexicon = &lexicon};
  enum vqct_status status = prior_build(&recipe, prior, &report, error);
  prior_report_free(&report);
  return status;
}

static void make_folder(void) {
  struct vqct_error error;
  struct prior prior;
  folder_make();
  for (size_t i = 0; i < FILES; i++) {
    FILE *file = folder_create(files[i][0]);
    fputs(files[i][1], file);
    fclose(file);
  }
  ck_assert_int_eq(make_lexicon(&lexicon, &error), VQCT_OK);
  ck_assert_int_eq(make_tagger(&tagger, &error), VQCT_OK);
  ck_assert_int_eq(make_prior("captions.txt", &prior, &error), VQCT_OK);
  ck_assert_int_eq(prior_write(in_folder("prior").text, &prior, &error), VQCT_OK);
  prior_free(&prior);
}

static void remove_folder(void) {
  static const char *const rest[] = {"prior"};
  lexicon_free(&lexicon);
  pos_model_free(&tagger);
  for (size_t i = 0; i < FILES; i++)
    unlink(in_folder(files[i][0]).text);
  folder_remove(rest, 1);
}

/* ---- what is done while memory fails --------------------------------------------------------- */

static enum vqct_status do_lexicon(struct vqct_error *error) {
  struct lexicon made = {0};
  enum vqct_status status = make_lexicon(&made, error);
  lexicon_free(&made);
  return status;
}

static enum vqct_status do_tagger(struct vqct_error *error) {
  struct pos_model made = {0};
  enum vqct_status status = make_tagger(&made, error);
  if (status == VQCT_OK)
    pos_model_free(&made);
  return status;
}

static enum vqct_status do_build(struct vqct_error *error) {
  struct prior prior;
  enum vqct_status status = make_prior("captions.txt", &prior, error);
  prior_free(&prior);
  return status;
}

static enum vqct_status do_build_from_json(struct vqct_error *error) {
  struct prior prior;
  enum vqct_status status = make_prior("captions.json", &prior, error);
  prior_free(&prior);
  return status;
}

static enum vqct_status do_build_from_json_lines(struct vqct_error *error) {
  struct prior prior;
  enum vqct_status status = make_prior("captions.jsonl", &prior, error);
  prior_free(&prior);
  return status;
}

static enum vqct_status do_build_from_table(struct vqct_error *error) {
  struct prior prior;
  enum vqct_status status = make_prior("captions.csv", &prior, error);
  prior_free(&prior);
  return status;
}

static enum vqct_status do_file(struct vqct_error *error) {
  struct prior prior;
  enum vqct_status status = prior_read(in_folder("prior").text, &prior, error);
  if (status == VQCT_OK)
    status = prior_write(in_folder("prior").text, &prior, error);
  prior_free(&prior);
  return status;
}

static enum vqct_status (*const operations[])(struct vqct_error *error) = {
    do_lexicon,          do_tagger, do_build, do_build_from_json, do_build_from_json_lines,
    do_build_from_table, do_file,
};
#define OPERATIONS ((int)(sizeof operations / sizeof *operations))

START_TEST(each_failure_is_reported) {
  size_t failures = 0;
  for (bool failed = true; failed; failures += failed) {
    struct vqct_error error = {VQCT_OK, ""};
    failing_memory_arm(failures);
    enum vqct_status status = operations[_i](&error);
    failed = failing_memory_disarm();
    ck_assert_msg(status == (failed ? VQCT_MEMORY : VQCT_OK), "operation %d, allocation %zu: %s %s",
                  _i, failures, vqct_status_name(status), error.message);
  }
  ck_assert_uint_ge(failures, 8);
}
END_TEST

int main(void) {
  TCase *tests = tcase_create("each allocation");
  tcase_add_unchecked_fixture(tests, make_folder, remove_folder);
  tcase_add_loop_test(tests, each_failure_is_reported, 0, OPERATIONS);
  return suite_run("prior memory", tests);
}
