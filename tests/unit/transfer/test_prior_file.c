/* A prior survives its file, and a prior that breaks a promise is refused, written or read. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../suite.h"
#include "prior.h"
#include "safetensors.h"

static char path[64];

static void make_path(void) {
  snprintf(path, sizeof path, "/tmp/test-prior-%d.safetensors", (int)getpid());
}

static void remove_path(void) {
  unlink(path);
}

static const char *const words[] = {"big", "orange", "caf\xc3\xa9", "dog", "orange"};
static const uint64_t counts[] = {30, 20, 11, 4000000000000, 12};
static const float embeddings[] = {1, 2, -3, 4, 5.5f, 6, 7, 8, 9, 10};
static const struct prior_edge edges[] = {{0, 3, 5}, {0, 4, 1}, {1, 3, 2}};

static struct prior sample(void) {
  return (struct prior){.adjectives = 2,
                        .nouns = 3,
                        .words = 5,
                        .dimension = 2,
                        .edge_count = 3,
                        .word = words,
                        .count = counts,
                        .embeddings = embeddings,
                        .edges = edges,
                        .provenance = "{\"captions\": \"none\"}"};
}

START_TEST(a_prior_survives_its_file) {
  struct prior written = sample(), read;
  struct vqct_error error;
  ck_assert_int_eq(prior_write(path, &written, &error), VQCT_OK);
  ck_assert_msg(prior_read(path, &read, &error) == VQCT_OK, "%s", error.message);
  ck_assert_uint_eq(read.adjectives, 2);
  ck_assert_uint_eq(read.nouns, 3);
  ck_assert_uint_eq(read.words, 5);
  ck_assert_uint_eq(read.dimension, 2);
  ck_assert_uint_eq(read.edge_count, 3);
  for (size_t i = 0; i < 5; i++)
    ck_assert_str_eq(read.word[i], words[i]);
  ck_assert_mem_eq(read.count, counts, sizeof counts);
  ck_assert_mem_eq(read.embeddings, embeddings, sizeof embeddings);
  ck_assert_mem_eq(read.edges, edges, sizeof edges);
  ck_assert_str_eq(read.provenance, written.provenance);
  prior_free(&read);
  prior_free(&read);
}
END_TEST

START_TEST(a_prior_without_edges_survives_its_file) {
  struct prior written = sample(), read;
  struct vqct_error error;
  written.edge_count = 0;
  ck_assert_int_eq(prior_write(path, &written, &error), VQCT_OK);
  ck_assert_msg(prior_read(path, &read, &error) == VQCT_OK, "%s", error.message);
  ck_assert_uint_eq(read.edge_count, 0);
  prior_free(&read);
}
END_TEST

struct fault {
  const char *message; /* part of it */
  const char *word0;
  size_t adjectives, nouns, dimension;
  struct prior_edge edge0;
  float number0;
  enum vqct_status status;
};

#define GOOD_EDGE                                                                                  \
  { 0, 3, 5 }

static const struct fault faults[] = {
    {"0 adjectives", "big", 0, 5, 2, GOOD_EDGE, 1, VQCT_MODEL},
    {"0 nouns", "big", 5, 0, 2, GOOD_EDGE, 1, VQCT_MODEL},
    {"0 dimensions", "big", 2, 3, 0, GOOD_EDGE, 1, VQCT_MODEL},
    {"word 0 of the prior has 0 bytes", "", 2, 3, 2, GOOD_EDGE, 1, VQCT_MODEL},
    {"not UTF-8", "b\xff", 2, 3, 2, GOOD_EDGE, 1, VQCT_MODEL},
    {"without control characters", "b\x1b[1m", 2, 3, 2, GOOD_EDGE, 1, VQCT_MODEL},
    {"without control characters", "b\x7f", 2, 3, 2, GOOD_EDGE, 1, VQCT_MODEL},
    {"not in lower case", "Big", 2, 3, 2, GOOD_EDGE, 1, VQCT_MODEL},
    {"adjective 'orange' twice", "orange", 2, 3, 2, GOOD_EDGE, 1, VQCT_MODEL},
    {"edge 0 of the prior joins rows 3 and 2", "big", 2, 3, 2, {3, 2, 5}, 1, VQCT_MODEL},
    {"edge 0 of the prior joins rows 0 and 0", "big", 2, 3, 2, {0, 0, 5}, 1, VQCT_MODEL},
    {"edge 0 of the prior joins rows 0 and 5", "big", 2, 3, 2, {0, 5, 5}, 1, VQCT_MODEL},
    {"weight 0", "big", 2, 3, 2, {0, 3, 0}, 1, VQCT_MODEL},
    {"edge 1 of the prior is out of order", "big", 2, 3, 2, {0, 4, 1}, 1, VQCT_MODEL},
    {"edge 1 of the prior is out of order", "big", 2, 3, 2, {1, 2, 1}, 1, VQCT_MODEL},
    {"word 0 of the prior, 'big', is not finite", "big", 2, 3, 2, GOOD_EDGE, NAN, VQCT_NOT_FINITE},
    {"word 0 of the prior, 'big', is not finite", "big", 2, 3, 2, GOOD_EDGE, INFINITY,
     VQCT_NOT_FINITE},
};

START_TEST(a_broken_promise_is_refused) {
  const struct fault *fault = &faults[_i];
  const char *word[5];
  struct prior_edge edge[3];
  float numbers[10];
  memcpy(word, words, sizeof word);
  memcpy(edge, edges, sizeof edge);
  memcpy(numbers, embeddings, sizeof numbers);
  struct prior prior = sample();
  word[0] = fault->word0;
  edge[0] = fault->edge0;
  numbers[0] = fault->number0;
  prior.word = word;
  prior.edges = edge;
  prior.embeddings = numbers;
  prior.adjectives = fault->adjectives;
  prior.nouns = fault->nouns;
  prior.dimension = fault->dimension;
  struct vqct_error error = {0};
  ck_assert_int_eq(prior_write(path, &prior, &error), fault->status);
  ck_assert_msg(strstr(error.message, fault->message) != NULL, "%s", error.message);
  ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

/* What a hostile file may hold in place of the right tensor or text. */
struct damage {
  const char *message;
  int tensor; /* which of the five; -1: none */
  struct tensor instead;
  const char *format, *version;
};

static const uint8_t parts[] = {0, 0, 1, 1, 1}, mixed_parts[] = {0, 0, 1, 0, 1};
static const char text[] = "big\0orange\0caf\xc3\xa9\0dog\0orange";
static const uint32_t outside[] = {0, 3, 5, 0, 9, 1, 1, 3, 2};
static const float with_nan[] = {1, 2, -3, 4, NAN, 6, 7, 8, 9, 10};

static const struct damage damages[] = {
    {"not a prior", -1, {0}, "other", "1"},
    {"its version is '2'", -1, {0}, "vqct-prior", "2"},
    {"does not hold 5 words",
     0,
     {"words.text", TENSOR_U8, 1, {sizeof text - 5}, 0, text, NULL},
     "vqct-prior",
     "1"},
    {"does not hold 5 words",
     0,
     {"words.text", TENSOR_U8, 1, {11}, 0, text, NULL},
     "vqct-prior",
     "1"},
    {"the tensor words.part is missing",
     1,
     {"words.parts", TENSOR_U8, 1, {5}, 0, parts, NULL},
     "vqct-prior",
     "1"},
    {"words.part has 0 at word 3",
     1,
     {"words.part", TENSOR_U8, 1, {5}, 0, mixed_parts, NULL},
     "vqct-prior",
     "1"},
    {"words.count is U64 [4]",
     2,
     {"words.count", TENSOR_U64, 1, {4}, 0, counts, NULL},
     "vqct-prior",
     "1"},
    {"words.count is I64",
     2,
     {"words.count", TENSOR_I64, 1, {5}, 0, counts, NULL},
     "vqct-prior",
     "1"},
    {"embeddings is F32 [2, 5]",
     3,
     {"embeddings", TENSOR_F32, 2, {2, 5}, 0, embeddings, NULL},
     "vqct-prior",
     "1"},
    {"'caf\xc3\xa9', is not finite",
     3,
     {"embeddings", TENSOR_F32, 2, {5, 2}, 0, with_nan, NULL},
     "vqct-prior",
     "1"},
    {"edges is U32 [9]", 4, {"edges", TENSOR_U32, 1, {9}, 0, outside, NULL}, "vqct-prior", "1"},
    {"joins rows 0 and 9",
     4,
     {"edges", TENSOR_U32, 2, {3, 3}, 0, outside, NULL},
     "vqct-prior",
     "1"},
};

START_TEST(a_damaged_file_is_refused) {
  const struct damage *damage = &damages[_i];
  struct tensor tensors[] = {
      {"words.text", TENSOR_U8, 1, {sizeof text}, 0, text, NULL},
      {"words.part", TENSOR_U8, 1, {5}, 0, parts, NULL},
      {"words.count", TENSOR_U64, 1, {5}, 0, counts, NULL},
      {"embeddings", TENSOR_F32, 2, {5, 2}, 0, embeddings, NULL},
      {"edges", TENSOR_U32, 2, {3, 3}, 0, edges, NULL},
  };
  if (damage->tensor >= 0)
    tensors[damage->tensor] = damage->instead;
  struct safetensors_text texts[] = {{"format", damage->format}, {"version", damage->version}};
  struct vqct_error error;
  ck_assert_int_eq(safetensors_save(path, tensors, 5, texts, 2, &error), VQCT_OK);
  struct prior prior;
  ck_assert_int_ne(prior_read(path, &prior, &error), VQCT_OK);
  ck_assert_msg(strstr(error.message, damage->message) != NULL, "%s", error.message);
  ck_assert_msg(strstr(error.message, path) != NULL, "%s", error.message);
  ck_assert_ptr_null(prior.word);
}
END_TEST

START_TEST(a_missing_file_is_reported) {
  struct prior prior;
  struct vqct_error error;
  ck_assert_int_eq(prior_read("/nonexistent/prior", &prior, &error), VQCT_READ);
}
END_TEST

int main(void) {
  TCase *tests = tcase_create("prior file");
  tcase_add_checked_fixture(tests, make_path, remove_path);
  tcase_add_test(tests, a_prior_survives_its_file);
  tcase_add_test(tests, a_prior_without_edges_survives_its_file);
  tcase_add_loop_test(tests, a_broken_promise_is_refused, 0, sizeof faults / sizeof *faults);
  tcase_add_loop_test(tests, a_damaged_file_is_refused, 0, sizeof damages / sizeof *damages);
  tcase_add_test(tests, a_missing_file_is_reported);
  return suite_run("prior file", tests);
}
