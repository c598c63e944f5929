/* The lexicon that ships, lemmas from it, and lexicons that are small, damaged or hostile. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lemma.h"
#include "lexicon.h"

static struct lexicon shipped;

static void open_shipped(void) {
  struct vqct_error error;
  FILE *file = fopen("models/wordnet.lexicon", "rb");
  ck_assert_ptr_nonnull(file);
  size_t capacity = (size_t)4 << 20;
  char *data = malloc(capacity);
  ck_assert_ptr_nonnull(data);
  size_t size = fread(data, 1, capacity, file);
  fclose(file);
  ck_assert_msg(lexicon_open(data, size, &shipped, &error) == VQCT_OK, "%s", error.message);
  free(data);
}

static void close_shipped(void) {
  lexicon_free(&shipped);
}

/* The second column is what NLTK 3.8's WordNetLemmatizer gives. */
static const char *const lemmas[][2] = {
    {"dogs", "dog"},          {"women", "woman"},      {"men", "men"},       {"children", "child"},
    {"geese", "goose"},       {"glasses", "glass"},    {"jeans", "jean"},    {"buses", "bus"},
    {"boxes", "box"},         {"churches", "church"},  {"dishes", "dish"},   {"ponies", "pony"},
    {"firemen", "fireman"},   {"axes", "ax"},          {"people", "people"}, {"knives", "knife"},
    {"grass", "grass"},       {"t-shirts", "t-shirt"}, {"bus", "bus"},       {"skis", "ski"},
    {"blorps", "blorps"},     {"frisbees", "frisbee"}, {"s", "s"},           {"aurar", "eyrir"},
    {"bicycles", "bicycle"},  {"mice", "mouse"},       {"feet", "foot"},     {"surfers", "surfer"},
    {"batteries", "battery"}, {"news", "news"},
};

START_TEST(nouns_become_their_lemmas) {
  char lemma[LEMMA_MAX];
  const char *word = lemmas[_i][0];
  size_t length = lemma_noun(&shipped, word, strlen(word), lemma);
  ck_assert_str_eq(lemma, lemmas[_i][1]);
  ck_assert_uint_eq(length, strlen(lemma));
}
END_TEST

START_TEST(a_word_too_long_is_its_own_lemma) {
  char word[600], lemma[LEMMA_MAX];
  memset(word, 's', sizeof word);
  ck_assert_uint_eq(lemma_noun(&shipped, word, sizeof word, lemma), LEMMA_MAX - 1);
  ck_assert_uint_eq(strlen(lemma), LEMMA_MAX - 1);
  ck_assert_uint_eq(lemma_noun(&shipped, word, LEMMA_MAX - 2, lemma), LEMMA_MAX - 2);
}
END_TEST

/* As WordNet's own search shows them. */
static const struct {
  const char *word;
  unsigned flags;
} parts[] = {
    {"dog", LEXICON_HAS(LEXICON_NOUN) | LEXICON_HAS(LEXICON_VERB)},
    {"children", LEXICON_IRREGULAR(LEXICON_NOUN)},
    {"quickly", LEXICON_HAS(LEXICON_ADVERB)},
    {"ran", LEXICON_IRREGULAR(LEXICON_VERB)},
    {"green",
     LEXICON_HAS(LEXICON_NOUN) | LEXICON_HAS(LEXICON_VERB) | LEXICON_HAS(LEXICON_ADJECTIVE)},
    {"hot_dog", 0},
    {"", 0},
    {"blorp", 0},
};

START_TEST(words_have_their_parts_of_speech) {
  ck_assert_uint_eq(lexicon_flags(&shipped, parts[_i].word, strlen(parts[_i].word)),
                    parts[_i].flags);
}
END_TEST

/* A folder in WordNet's form. */
static const char *const files[][2] = {
    {"index.noun", "  1 licence\nox n 1 0 1\ncat n 1\nhot_dog n 1\ncats n 1\n"},
    {"noun.exc", "oxen ox\nkine cow ox\n"},
    {"index.verb", "cat v 1\n"},
    {"verb.exc", "went go\n"},
    {"index.adj", "big a 1\r\n"},
    {"adj.exc", ""},
    {"index.adv", ""},
    {"adv.exc", ""},
};

static char folder[64];

static void write_file(const char *name, const char *text) {
  char path[128];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "w");
  ck_assert_ptr_nonnull(file);
  fputs(text, file);
  fclose(file);
}

static void make_folder(void) {
  snprintf(folder, sizeof folder, "/tmp/test-lexicon-%d", (int)getpid());
  mkdir(folder, 0700);
  for (size_t i = 0; i < sizeof files / sizeof *files; i++)
    write_file(files[i][0], files[i][1]);
}

static void remove_folder(void) {
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, files[i][0]);
    unlink(path);
  }
  rmdir(folder);
}

START_TEST(a_folder_of_wordnet_becomes_a_lexicon) {
  struct vqct_error error;
  struct vqct_bytes block;
  struct lexicon lexicon;
  char lemma[LEMMA_MAX];
  ck_assert_msg(lexicon_build(folder, &block, &error) == VQCT_OK, "%s", error.message);
  ck_assert_msg(lexicon_open(block.data, block.size, &lexicon, &error) == VQCT_OK, "%s",
                error.message);
  free(block.data);
  ck_assert_uint_eq(lexicon.words.count, 7);
  ck_assert_uint_eq(lexicon_flags(&lexicon, "cat", 3),
                    LEXICON_HAS(LEXICON_NOUN) | LEXICON_HAS(LEXICON_VERB));
  ck_assert_uint_eq(lexicon_flags(&lexicon, "big", 3), LEXICON_HAS(LEXICON_ADJECTIVE));
  ck_assert_uint_eq(lexicon_flags(&lexicon, "licence", 7), 0);
  lemma_noun(&lexicon, "oxen", 4, lemma);
  ck_assert_str_eq(lemma, "ox");
  lemma_noun(&lexicon, "kine", 4, lemma); /* "cow" is not in the index */
  ck_assert_str_eq(lemma, "ox");
  lemma_noun(&lexicon, "cats", 4, lemma);
  ck_assert_str_eq(lemma, "cat");
  lexicon_free(&lexicon);
}
END_TEST

START_TEST(every_cut_and_flipped_byte_is_survived) {
  struct vqct_error error;
  struct vqct_bytes block;
  struct lexicon lexicon;
  ck_assert_int_eq(lexicon_build(folder, &block, &error), VQCT_OK);
  for (size_t size = 0; size < block.size; size++) {
    unsigned char *copy = malloc(size + 1); /* its own block, so that ASan sees a step too far */
    memcpy(copy, block.data, size);
    ck_assert_int_eq(lexicon_open(copy, size, &lexicon, &error), VQCT_DATA);
    free(copy);
  }
  for (size_t at = 0; at < block.size; at++)
    for (unsigned value = 0; value < 256; value += 5) {
      unsigned char before = block.data[at];
      block.data[at] = (unsigned char)value;
      if (lexicon_open(block.data, block.size, &lexicon, &error) == VQCT_OK) {
        char lemma[LEMMA_MAX];
        lemma_noun(&lexicon, "kine", 4, lemma);
        lexicon_free(&lexicon);
      }
      block.data[at] = before;
    }
  free(block.data);
}
END_TEST

START_TEST(a_folder_that_is_not_wordnet_is_refused) {
  struct vqct_error error;
  struct vqct_bytes block;
  ck_assert_int_eq(lexicon_build("/nonexistent", &block, &error), VQCT_READ);
  ck_assert_msg(strstr(error.message, "/nonexistent/index.noun") != NULL, "%s", error.message);
  write_file("index.noun", "  only a licence\n");
  ck_assert_int_eq(lexicon_build(folder, &block, &error), VQCT_DATA);
  ck_assert_ptr_null(block.data);
}
END_TEST

#define ROWS(table) ((int)(sizeof(table) / sizeof *(table)))

int main(void) {
  Suite *suite = suite_create("lexicon");
  TCase *tests = tcase_create("shipped");
  tcase_add_checked_fixture(tests, open_shipped, close_shipped);
  tcase_add_loop_test(tests, nouns_become_their_lemmas, 0, ROWS(lemmas));
  tcase_add_test(tests, a_word_too_long_is_its_own_lemma);
  tcase_add_loop_test(tests, words_have_their_parts_of_speech, 0, ROWS(parts));
  suite_add_tcase(suite, tests);
  tests = tcase_create("small");
  tcase_add_checked_fixture(tests, make_folder, remove_folder);
  tcase_add_test(tests, a_folder_of_wordnet_becomes_a_lexicon);
  tcase_add_test(tests, every_cut_and_flipped_byte_is_survived);
  tcase_add_test(tests, a_folder_that_is_not_wordnet_is_refused);
  suite_add_tcase(suite, tests);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed != 0;
}
