/* Every allocation between opening a model and a decoded picture fails once: the result is MEMORY,
 * nothing is left, and the next try works. */
#include <check.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../failing_memory.h"
#include "model_file.h"
#include "presets.h"
#include "vqct/model.h"

#define SIDE   32
#define TOKENS (3 * 8 * 8)

static char path[64];

static void write_model(void) {
  const struct model_config *config = &model_preset_find("vqct-tiny")->config;
  struct parameter_list list;
  struct vqct_error error;
  ck_assert_int_eq(network_parameters(config, &list, &error), VQCT_OK);
  size_t codes = (size_t)model_config_codes(config) * (size_t)config->code_dimension;
  float *weights = malloc(list.total * sizeof *weights);
  float *codebook = malloc(codes * sizeof *codebook);
  ck_assert(weights && codebook);
  parameters_initialize(&list, 1, weights);
  for (size_t i = 0; i < codes; i++)
    codebook[i] = (float)(i * 7919 % 101) / 101 - 0.5F;
  struct model_content content = {.config = config, .weights = weights, .codebook = codebook};
  snprintf(path, sizeof path, "/tmp/vqct-test-session-memory-%ld", (long)getpid());
  ck_assert_int_eq(model_file_save(path, &content, TENSOR_F16, &error), VQCT_OK);
  free(weights);
  free(codebook);
  parameter_list_free(&list);
}

static void remove_model(void) {
  unlink(path);
}

static uint8_t picture[SIDE * SIDE * 3];
static uint32_t tokens[TOKENS];

/* A picture through a session of its own. */
static enum vqct_status round_trip(const struct vqct_model *model, struct vqct_error *error) {
  const uint8_t *pixels = picture;
  uint8_t *result = picture;
  uint32_t *row = tokens;
  const uint32_t *chosen = tokens;
  struct vqct_session *session;
  enum vqct_status status = vqct_session_new(model, 2, &session, error);
  if (status == VQCT_OK)
    status = vqct_encode(session, &pixels, 1, SIDE, SIDE, &row, error);
  if (status == VQCT_OK)
    status = vqct_decode(session, &chosen, 1, 8, 8, &result, error);
  vqct_session_free(session);
  return status;
}

static enum vqct_status whole(struct vqct_error *error) {
  struct vqct_model *model;
  enum vqct_status status = vqct_model_open(path, &model, error);
  if (status == VQCT_OK)
    status = round_trip(model, error);
  vqct_model_close(model);
  return status;
}

START_TEST(each_failure_is_reported) {
  struct vqct_error error;
  enum vqct_status status;
  bool failed;
  size_t n = 0, reported = 0;
  do {
    failing_memory_arm(n++);
    status = whole(&error);
    failed = failing_memory_disarm();
    /* An arena that cannot be gathered is refilled by the next call, so that is no error. */
    ck_assert_msg(status == VQCT_OK || (failed && status == VQCT_MEMORY), "allocation %zu: %s", n,
                  error.message);
    reported += status == VQCT_MEMORY;
  } while (failed);
  ck_assert_uint_gt(reported, 200); /* two for every convolution alone */
}
END_TEST

START_TEST(a_session_goes_on_after_a_failure) {
  struct vqct_model *model;
  struct vqct_session *session;
  struct vqct_error error;
  uint32_t expected[TOKENS], *row = tokens, *expected_row = expected;
  const uint8_t *pixels = picture;
  ck_assert_int_eq(vqct_model_open(path, &model, &error), VQCT_OK);
  ck_assert_int_eq(vqct_session_new(model, 1, &session, &error), VQCT_OK);
  ck_assert_int_eq(vqct_encode(session, &pixels, 1, SIDE, SIDE, &expected_row, &error), VQCT_OK);
  vqct_session_free(session);
  ck_assert_int_eq(vqct_session_new(model, 1, &session, &error), VQCT_OK);
  for (size_t n = 0; n < 3; n++) {
    failing_memory_arm(0);
    enum vqct_status status = vqct_encode(session, &pixels, 1, SIDE, SIDE, &row, &error);
    bool failed = failing_memory_disarm();
    ck_assert(failed ? status == VQCT_MEMORY || status == VQCT_OK : status == VQCT_OK);
    ck_assert_int_eq(vqct_encode(session, &pixels, 1, SIDE, SIDE, &row, &error), VQCT_OK);
    ck_assert_mem_eq(tokens, expected, sizeof expected);
  }
  vqct_session_free(session);
  vqct_model_close(model);
}
END_TEST

struct countdown {
  atomic_int left; /* questions that are answered no */
};

static bool is_over(void *context) {
  struct countdown *countdown = context;
  return atomic_fetch_sub(&countdown->left, 1) <= 0;
}

/* Told to stop at any question, the last one too: INTERRUPTED, never tokens of half the work. */
START_TEST(a_session_stops_when_it_is_told_to) {
  struct vqct_model *model;
  struct vqct_session *session;
  struct vqct_error error;
  uint32_t expected[TOKENS], *row = tokens, *expected_row = expected;
  const uint8_t *pixels = picture;
  const uint32_t *chosen = expected;
  uint8_t *result = picture;
  ck_assert_int_eq(vqct_model_open(path, &model, &error), VQCT_OK);
  ck_assert_int_eq(vqct_session_new(model, 2, &session, &error), VQCT_OK);
  ck_assert_int_eq(vqct_encode(session, &pixels, 1, SIDE, SIDE, &expected_row, &error), VQCT_OK);
  for (int questions = 0; questions < 50; questions += 7) {
    struct countdown countdown;
    atomic_init(&countdown.left, questions);
    vqct_session_stop_when(session, is_over, &countdown);
    ck_assert_int_eq(vqct_decode(session, &chosen, 1, 8, 8, &result, &error), VQCT_INTERRUPTED);
  }
  bool told = true;
  for (int questions = 0; told; questions++) {
    struct countdown countdown;
    atomic_init(&countdown.left, questions);
    vqct_session_stop_when(session, is_over, &countdown);
    enum vqct_status status = vqct_encode(session, &pixels, 1, SIDE, SIDE, &row, &error);
    told = atomic_load(&countdown.left) < 0;
    ck_assert_msg(status == (told ? VQCT_INTERRUPTED : VQCT_OK), "question %d: %d", questions,
                  (int)status);
  }
  vqct_session_stop_when(session, NULL, NULL);
  ck_assert_int_eq(vqct_encode(session, &pixels, 1, SIDE, SIDE, &row, &error), VQCT_OK);
  ck_assert_mem_eq(tokens, expected, sizeof expected);
  vqct_session_free(session);
  vqct_model_close(model);
}
END_TEST

/* Attention over a million positions would take minutes. */
START_TEST(attention_beyond_its_bound_is_refused) {
  struct vqct_model *model;
  struct vqct_session *session;
  struct vqct_error error;
  const uint8_t *pixels = picture;
  const uint32_t *chosen = tokens;
  uint8_t *result = picture;
  uint32_t *row = tokens;
  ck_assert_int_eq(vqct_model_open(path, &model, &error), VQCT_OK);
  ck_assert_int_eq(vqct_session_new(model, 2, &session, &error), VQCT_OK);
  ck_assert_int_eq(vqct_encode(session, &pixels, 1, 4096, 4096, &row, &error), VQCT_LIMIT);
  ck_assert_ptr_nonnull(strstr(error.message, "attention"));
  ck_assert_int_eq(vqct_decode(session, &chosen, 1, 1024, 1024, &result, &error), VQCT_LIMIT);
  vqct_session_free(session);
  vqct_model_close(model);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("session memory");
  TCase *tests = tcase_create("failing allocations");
  tcase_add_unchecked_fixture(tests, write_model, remove_model);
  tcase_set_timeout(tests, 300);
  tcase_add_test(tests, each_failure_is_reported);
  tcase_add_test(tests, a_session_goes_on_after_a_failure);
  tcase_add_test(tests, a_session_stops_when_it_is_told_to);
  tcase_add_test(tests, attention_beyond_its_bound_is_refused);
  suite_add_tcase(suite, tests);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed != 0;
}
