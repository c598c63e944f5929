/* The words and the neighbours of codes, through the public calls. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../suite.h"
#include "model_file.h"
#include "presets.h"
#include "vqct/codebook.h"

enum { ADJECTIVES = 4, NOUNS = 6, CODES = ADJECTIVES + NOUNS };

static char path[] = "/tmp/vqct-test-XXXXXX";
static struct vqct_model *model;

/* Codes along a line: the first of their numbers is the place on it. */
static const float places[CODES] = {0, 3, 1, 3, 0, 10, 2, 2, 5, 1};
static const char *const words[CODES] = {"red",  "old", "wet",         "big",  "cat",
                                         "boat", "",    "caf\xc3\xa9", "tree", "old"};

static void set_up(void) {
  struct model_config config = model_preset_find("vqct-tiny")->config;
  config.adjectives = ADJECTIVES;
  config.nouns = NOUNS;
  struct parameter_list list;
  float codebook[CODES * 8] = {0};
  uint64_t counts[CODES] = {0, 1, 2};
  struct vqct_error error;
  for (size_t i = 0; i < CODES; i++)
    codebook[8 * i + 7] = places[i];
  ck_assert_int_eq(network_parameters(&config, &list, NULL), VQCT_OK);
  float *weights = calloc(list.total, sizeof *weights);
  struct model_content content = {&config, weights, codebook, words, counts};
  strcpy(path + sizeof path - 7, "XXXXXX");
  close(mkstemp(path));
  ck_assert_int_eq(model_file_save(path, &content, TENSOR_F32, NULL), VQCT_OK);
  ck_assert_msg(vqct_model_open(path, &model, &error) == VQCT_OK, "%s", error.message);
  unlink(path);
  free(weights);
  parameter_list_free(&list);
}

static void tear_down(void) {
  vqct_model_close(model);
}

START_TEST(test_codes) {
  struct vqct_code code;
  for (uint32_t token = 0; token < CODES; token++) {
    ck_assert(vqct_model_code(model, token, &code));
    ck_assert_str_eq(code.word, words[token]);
    ck_assert_str_eq(vqct_part_of_speech_name(code.part),
                     token < ADJECTIVES ? "adjective" : "noun");
    ck_assert_uint_eq(code.training_count, token < 3 ? token : 0);
    ck_assert_float_eq(code.vector[7], places[token]);
  }
  ck_assert(!vqct_model_code(model, CODES, &code));
  ck_assert(!vqct_model_code(model, UINT32_MAX, &code));
  ck_assert_str_eq(vqct_part_of_speech_name(VQCT_NO_PART), "code");
}
END_TEST

static const struct {
  uint32_t token;
  size_t count, found;
  uint32_t tokens[CODES];
  float distances[CODES];
} neighbours[] = {
    {0, 3, 3, {2, 1, 3}, {1, 9, 9}}, /* a tie: by number */
    {0, 10, 3, {2, 1, 3}, {1, 9, 9}},
    {0, 2, 2, {2, 1}, {1, 9}},
    {1, 1, 1, {3}, {0}},
    {3, 1, 1, {1}, {0}},
    {8, 4, 4, {6, 7, 9, 4}, {9, 9, 16, 25}},
    {5, 1, 1, {8}, {25}},
    {9, 3, 3, {4, 6, 7}, {1, 1, 1}}, /* a tie of three */
    {9, 2, 2, {4, 6}, {1, 1}},
    {0, 0, 0, {0}, {0}},
    {CODES, 3, 0, {0}, {0}},
};

START_TEST(test_nearest) {
  uint32_t tokens[CODES];
  float distances[CODES];
  size_t found =
      vqct_model_nearest(model, neighbours[_i].token, neighbours[_i].count, tokens, distances);
  ck_assert_uint_eq(found, neighbours[_i].found);
  for (size_t i = 0; i < found; i++) {
    ck_assert_uint_eq(tokens[i], neighbours[_i].tokens[i]);
    ck_assert_float_eq(distances[i], neighbours[_i].distances[i]);
  }
}
END_TEST

int main(void) {
  TCase *cases = tcase_create("codebook");
  tcase_add_checked_fixture(cases, set_up, tear_down);
  tcase_add_test(cases, test_codes);
  tcase_add_loop_test(cases, test_nearest, 0, sizeof neighbours / sizeof *neighbours);
  return suite_run("codebook", cases);
}
