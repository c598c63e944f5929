/* The part-of-speech tagger: learning, its block of bytes, tagged text that is wrong, and the
 * tagger that ships. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../suite.h"
#include "hash.h"
#include "pos_train.h"

static struct lexicon lexicon;
static char path_text[64];
static const char *const path = path_text;

static struct vqct_bytes read_file(const char *name) {
  FILE *file = fopen(name, "rb");
  ck_assert_ptr_nonnull(file);
  struct vqct_bytes bytes = {malloc((size_t)4 << 20), 0};
  ck_assert_ptr_nonnull(bytes.data);
  bytes.size = fread(bytes.data, 1, (size_t)4 << 20, file);
  fclose(file);
  return bytes;
}

static void set_up(void) {
  struct vqct_error error;
  struct vqct_bytes bytes = read_file("models/wordnet.lexicon");
  ck_assert_int_eq(lexicon_open(bytes.data, bytes.size, &lexicon, &error), VQCT_OK);
  free(bytes.data);
  snprintf(path_text, sizeof path_text, "/tmp/test-pos-%d.tsv", (int)getpid());
}

static void tear_down(void) {
  lexicon_free(&lexicon);
  unlink(path);
}

static void write_text(const char *text) {
  FILE *file = fopen(path, "w");
  ck_assert_ptr_nonnull(file);
  fputs(text, file);
  fclose(file);
}

static const char corpus_text[] =
    "A\tDT\nbig\tJJ\ndog\tNN\nruns\tVBZ\n\n\nThe\tDT\nold\tJJ\nmen\tNNS"
    "\nrun\tVBP\n\nA\tDT\ndog\tNN\nran\tVBD\nfast\tRB";

static enum vqct_status train(struct vqct_bytes *block, int rounds, struct vqct_error *error) {
  struct pos_corpus corpus;
  struct pos_training training = {.rounds = rounds, .least_count = 1, .least_weight = 1, .seed = 3};
  enum vqct_status status = pos_corpus_read(&path, 1, &corpus, error);
  if (status != VQCT_OK)
    return status;
  status = pos_train(&corpus, &lexicon, &training, block, error);
  pos_corpus_free(&corpus);
  return status;
}

START_TEST(tagged_text_is_read) {
  struct pos_corpus corpus;
  struct vqct_error error;
  write_text(corpus_text);
  ck_assert_msg(pos_corpus_read(&path, 1, &corpus, &error) == VQCT_OK, "%s", error.message);
  ck_assert_uint_eq(corpus.sentences, 3);
  ck_assert_uint_eq(corpus.words, 12);
  ck_assert_uint_eq(corpus.tags, 8);
  ck_assert_uint_eq(corpus.first[1], 4);
  ck_assert_uint_eq(corpus.first[3], 12);
  ck_assert_uint_eq(corpus.word[0].length, 1);
  ck_assert_mem_eq(corpus.word[4].text, "the", 3);
  ck_assert_str_eq(corpus.name[corpus.tag[6]], "NNS");
  pos_corpus_free(&corpus);
  ck_assert_int_eq(pos_corpus_read((const char *const[]){path, path}, 2, &corpus, &error), VQCT_OK);
  ck_assert_uint_eq(corpus.sentences, 6);
  ck_assert_uint_eq(corpus.words, 24);
  ck_assert_uint_eq(corpus.tags, 8);
  pos_corpus_free(&corpus);
}
END_TEST

static const struct {
  const char *text, *message;
} wrong[] = {
    {"", "has no words"},
    {"\n\n", "has no words"},
    {"a\tDT\nb\n", "line 2: not a UTF-8 word"},
    {"\tDT\n", "line 1: not a UTF-8 word"},
    {"a\t\n", "line 1: the tag ''"},
    {"a\tDT\n\nb\tTOOLONGTAG\n", "line 3: the tag 'TOOLONGTAG'"},
    {"\xff\tDT\n", "line 1: not a UTF-8 word"},
};

START_TEST(text_that_is_wrong_is_refused) {
  struct pos_corpus corpus;
  struct vqct_error error;
  write_text(wrong[_i].text);
  ck_assert_int_eq(pos_corpus_read(&path, 1, &corpus, &error), VQCT_DATA);
  ck_assert_msg(strstr(error.message, wrong[_i].message) != NULL, "%s", error.message);
  ck_assert_msg(strstr(error.message, path) != NULL, "%s", error.message);
  ck_assert_ptr_null(corpus.word);
}
END_TEST

START_TEST(too_many_tags_are_refused) {
  struct pos_corpus corpus;
  struct vqct_error error;
  FILE *file = fopen(path, "w");
  for (int i = 0; i <= POS_TAGS_MAX; i++)
    fprintf(file, "w\tT%d\n", i);
  fclose(file);
  ck_assert_int_eq(pos_corpus_read(&path, 1, &corpus, &error), VQCT_DATA);
  ck_assert_msg(strstr(error.message, "line 65") != NULL, "%s", error.message);
}
END_TEST

START_TEST(what_was_taught_is_known_and_the_same_each_time) {
  struct vqct_bytes block, again;
  struct vqct_error error;
  struct pos_model model;
  struct pos_corpus corpus;
  struct pos_score score;
  write_text(corpus_text);
  ck_assert_msg(train(&block, 8, &error) == VQCT_OK, "%s", error.message);
  ck_assert_int_eq(train(&again, 8, &error), VQCT_OK);
  ck_assert_uint_eq(block.size, again.size);
  ck_assert_mem_eq(block.data, again.data, block.size);
  ck_assert_msg(pos_model_open(block.data, block.size, &model, &error) == VQCT_OK, "%s",
                error.message);
  ck_assert_int_eq(pos_corpus_read(&path, 1, &corpus, &error), VQCT_OK);
  ck_assert_int_eq(pos_evaluate(&model, &lexicon, &corpus, &score, &error), VQCT_OK);
  ck_assert_uint_eq(score.words, 12);
  ck_assert_uint_eq(score.correct, 12);
  ck_assert_uint_eq(score.class[POS_ADJECTIVE].actual, 2);
  ck_assert_uint_eq(score.class[POS_NOUN].both, 3);
  ck_assert_double_eq(pos_score_f1(&score, POS_NOUN), 1);
  pos_corpus_free(&corpus);
  pos_model_free(&model);
  free(block.data);
  free(again.data);
}
END_TEST

START_TEST(f1_is_the_harmonic_mean) {
  struct pos_score score = {0};
  ck_assert_double_eq(pos_score_f1(&score, POS_NOUN), 0);
  score.class[POS_NOUN].actual = 8; /* recall 3/8, precision 3/4 */
  score.class[POS_NOUN].given = 4;
  score.class[POS_NOUN].both = 3;
  ck_assert_double_eq_tol(pos_score_f1(&score, POS_NOUN), 0.5, 1e-15);
}
END_TEST

START_TEST(every_cut_and_flipped_byte_is_survived) {
  struct vqct_bytes block;
  struct vqct_error error;
  struct pos_model model;
  struct pos_scratch scratch = {0};
  struct word words[2] = {{"big", 3}, {"dog", 3}};
  uint8_t tags[2];
  write_text(corpus_text);
  ck_assert_int_eq(train(&block, 1, &error), VQCT_OK);
  for (size_t size = 0; size < block.size; size++) {
    unsigned char *copy = malloc(size + 1); /* its own block, so that ASan sees a step too far */
    memcpy(copy, block.data, size);
    ck_assert_int_eq(pos_model_open(copy, size, &model, &error), VQCT_DATA);
    free(copy);
  }
  for (size_t at = 0; at < block.size; at++)
    for (unsigned bit = 0; bit < 8; bit++) {
      block.data[at] ^= (unsigned char)(1u << bit);
      if (pos_model_open(block.data, block.size, &model, &error) == VQCT_OK) {
        ck_assert(pos_tag(&model, &lexicon, words, 2, &scratch, tags));
        ck_assert_uint_lt(tags[0], model.tags);
        ck_assert_uint_lt(tags[1], model.tags);
        pos_model_free(&model);
      }
      block.data[at] ^= (unsigned char)(1u << bit);
    }
  pos_scratch_free(&scratch);
  free(block.data);
}
END_TEST

/* A tagger's file holds hashes of features: if a template changes, the tagger that ships no longer
 * fits and must be trained again (models/README.md), and then this number changes too. */
#define FEATURES_OF_THE_SENTENCE 0x65d7c1bbu

START_TEST(features_are_those_of_the_shipped_tagger) {
  static const struct word words[] = {{"two", 3},         {"brown", 5},       {"dogs", 4},
                                      {"half-eaten", 10}, {"running", 7},     {"1999", 4},
                                      {"in", 2},          {"caf\xc3\xa9s", 6}};
  static const uint8_t tags[] = {3, 1, 4, 1, 5, 9, 2, 6};
  struct pos_word seen[8];
  uint64_t hash = 0;
  for (size_t i = 0; i < 8; i++) {
    pos_word_read(&lexicon, &words[i], &seen[i]);
    seen[i].known = (uint32_t)i;
  }
  for (size_t i = 0; i < 8; i++) {
    uint32_t features[POS_FEATURES_MAX];
    size_t fixed = pos_features_fixed(seen, 8, i, features);
    size_t count = fixed + pos_features_tagged(seen, 8, i, tags, features + fixed);
    for (size_t f = 0; f < count; f++)
      hash = hash_add(hash, features[f]);
  }
  ck_assert_msg((uint32_t)hash == FEATURES_OF_THE_SENTENCE, "0x%08xu", (unsigned)(uint32_t)hash);
}
END_TEST

/* Words with the tags that a reader of English gives them. */
static const char *const sentences[] = {
    "a/DT brown/JJ dog/NN runs/VBZ on/IN the/DT grass/NN ./.",
    "two/CD young/JJ women/NNS are/VBP sitting/VBG on/IN a/DT wooden/JJ bench/NN ./.",
    "the/DT man/NN is/VBZ wearing/VBG a/DT red/JJ shirt/NN and/CC black/JJ pants/NNS ./.",
    "a/DT large/JJ white/JJ boat/NN in/IN the/DT blue/JJ water/NN",
    "she/PRP quickly/RB opened/VBD the/DT old/JJ door/NN ./.",
};

START_TEST(the_shipped_tagger_knows_plain_sentences) {
  struct vqct_bytes bytes = read_file("models/english.tagger");
  struct pos_model model;
  struct vqct_error error;
  struct pos_scratch scratch = {0};
  struct word words[32];
  uint8_t tags[32];
  char expected[32][8], text[256];
  size_t count = 0;
  snprintf(text, sizeof text, "%s", sentences[_i]);
  for (char *token = strtok(text, " "); token; token = strtok(NULL, " ")) {
    char *slash = strrchr(token, '/');
    words[count] = (struct word){token, (size_t)(slash - token)};
    snprintf(expected[count++], 8, "%s", slash + 1);
  }
  ck_assert_int_eq(pos_model_open(bytes.data, bytes.size, &model, &error), VQCT_OK);
  ck_assert(pos_tag(&model, &lexicon, words, count, &scratch, tags));
  for (size_t i = 0; i < count; i++)
    ck_assert_str_eq(model.tag[tags[i]], expected[i]);
  ck_assert(pos_tag(&model, &lexicon, words, 0, &scratch, tags));
  pos_scratch_free(&scratch);
  pos_model_free(&model);
  free(bytes.data);
}
END_TEST

#define ROWS(table) ((int)(sizeof(table) / sizeof *(table)))

int main(void) {
  TCase *tests = tcase_create("pos");
  tcase_set_timeout(tests, 60);
  tcase_add_checked_fixture(tests, set_up, tear_down);
  tcase_add_test(tests, tagged_text_is_read);
  tcase_add_loop_test(tests, text_that_is_wrong_is_refused, 0, ROWS(wrong));
  tcase_add_test(tests, too_many_tags_are_refused);
  tcase_add_test(tests, what_was_taught_is_known_and_the_same_each_time);
  tcase_add_test(tests, f1_is_the_harmonic_mean);
  tcase_add_test(tests, every_cut_and_flipped_byte_is_survived);
  tcase_add_test(tests, features_are_those_of_the_shipped_tagger);
  tcase_add_loop_test(tests, the_shipped_tagger_knows_plain_sentences, 0, ROWS(sentences));
  return suite_run("pos", tests);
}
