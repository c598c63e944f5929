/* Gradients through the choice of codes: as gradient_check.h tells, of the functions whose true
 * derivative an estimator is once its stopped parts stay as they are. */
#include "../suite.h"
#include "estimator.h"
#include "gradient_check.h"
#include "presets.h"

enum { POSITIONS = 150 }; /* more than two tasks */

struct state {
  struct estimator_settings settings;
  struct model_config config;
  struct quantizer quantizer;
  size_t count; /* numbers of z */
  uint32_t tokens[3 * POSITIONS];
  float *zq;
  double *stopped; /* diveq: the direction; rotation: z of the start */
  float *stopped_zq;
};

static void open_state(struct subject *subject, struct state *s) {
  size_t d = (size_t)s->config.code_dimension;
  s->count = POSITIONS * 2 * d;
  float *z = add_block(subject, "z", s->count);
  float *codes = add_block(subject, "codes", (size_t)model_config_codes(&s->config) * d);
  ck_assert_int_eq(quantizer_init(&s->quantizer, &s->config, codes, NULL), VQCT_OK);
  ck_assert_int_eq(
      quantizer_encode(&s->quantizer, z, POSITIONS, s->tokens, &subject->place.exec, NULL),
      VQCT_OK);
  s->zq = take(subject, s->count);
  s->stopped_zq = take(subject, s->count);
  s->stopped = calloc(s->count, sizeof *s->stopped);
  ck_assert_ptr_nonnull(s->stopped);
  ck_assert_int_eq(quantizer_decode(&s->quantizer, s->tokens, POSITIONS, s->stopped_zq, NULL),
                   VQCT_OK);
  subject->weights = normal_floats(s->count, 1);
}

static void close_state(struct subject *subject, struct state *s) {
  quantizer_free(&s->quantizer);
  free(s->stopped);
  close_subject(subject);
}

static struct quantized choice_of(const struct state *s, const float *z, uint64_t number) {
  return (struct quantized){&s->quantizer, z, s->stopped_zq, s->tokens, POSITIONS, number};
}

/* Of the d channels at `at`: the length of a - b; b may be NULL for 0. */
static double distance(const float *a, const float *b, size_t at, size_t d) {
  double sum = 0;
  for (size_t c = at; c < at + d; c++) {
    double difference = (double)a[c] - (b ? (double)b[c] : 0);
    sum += difference * difference;
  }
  return sqrt(sum);
}

static double diveq_value(struct subject *subject) {
  struct state *s = subject->state;
  const float *z = subject->block[0].values;
  size_t d = s->quantizer.dimension;
  double value = 0;
  quantizer_load(&s->quantizer, subject->block[1].values);
  ck_assert_int_eq(quantizer_decode(&s->quantizer, s->tokens, POSITIONS, s->zq, NULL), VQCT_OK);
  for (size_t i = 0; i < s->count; i++)
    value += (double)subject->weights[i] *
             ((double)z[i] + distance(s->zq, z, i - i % d, d) * s->stopped[i]);
  return value;
}

/* Scaling by |e|/|z| and turning z/|z| into e/|e|, both as they were at the start. */
static double rotation_value(struct subject *subject) {
  struct state *s = subject->state;
  const float *z = subject->block[0].values;
  size_t d = s->quantizer.dimension;
  double value = 0;
  for (size_t at = 0; at < s->count; at += d) {
    double old = 0, new = distance(s->stopped_zq, NULL, at, d), r[64], square = 0, along = 0;
    double toward = 0;
    for (size_t c = 0; c < d; c++)
      old += s->stopped[at + c] * s->stopped[at + c];
    old = sqrt(old);
    for (size_t c = 0; c < d; c++) {
      r[c] = s->stopped[at + c] / old + (double)s->stopped_zq[at + c] / new;
      square += r[c] * r[c];
      along += (double)z[at + c] * r[c];
      toward += (double)z[at + c] * s->stopped[at + c] / old;
    }
    for (size_t c = 0; c < d; c++)
      value += (double)subject->weights[at + c] * new /
               old *((double)z[at + c] - 2 * along / square * r[c] +
                     2 * toward * (double)s->stopped_zq[at + c] / new);
  }
  return value;
}

static void derive(struct subject *subject) {
  struct state *s = subject->state;
  const struct quantized choice = choice_of(s, subject->block[0].values, 5);
  memcpy(subject->block[0].gradient, subject->weights, s->count * sizeof(float));
  ck_assert_int_eq(estimator_backward(&s->settings, &choice, subject->block[0].gradient,
                                      subject->block[1].gradient, &subject->place.exec),
                   VQCT_OK);
}

/* What the decoder reads lies as far from z as e does, in the direction that both ways share. */
START_TEST(diveq) {
  struct state s = {.settings = {VQCT_ESTIMATOR_DIVEQ, 0.3 * (_i % 2), 4},
                    .config = model_preset_find("vqct-tiny")->config};
  struct subject subject;
  s.config.adjective_k = 1 + _i / 2;
  open_subject(&subject, "diveq", &s, diveq_value, derive);
  open_state(&subject, &s);
  size_t d = s.quantizer.dimension;
  float *values = take(&subject, s.count);
  const struct quantized choice = choice_of(&s, subject.block[0].values, 5);
  estimator_forward(&s.settings, &choice, values, &subject.place.exec);
  for (size_t at = 0; at < s.count; at += d) {
    double error = distance(s.stopped_zq, choice.z, at, d);
    /* z, some times longer than the error, is rounded to a float. */
    ck_assert_double_eq_tol(distance(values, choice.z, at, d), error, 2e-6);
    ck_assert_int_eq(distance(values, s.stopped_zq, at, d) > 1e-6, _i % 2);
    for (size_t c = at; c < at + d; c++)
      s.stopped[c] = ((double)values[c] - (double)choice.z[c]) / error;
  }
  check_subject(&subject, 0.02, 2e-5); /* the direction is known to a float's rounding of z */
  ck_assert_double_gt(length_of(subject.block[1].gradient, subject.block[1].count), 1);
  close_state(&subject, &s);
}
END_TEST

START_TEST(rotation) {
  struct state s = {.settings = {VQCT_ESTIMATOR_ROTATION, 0.001, 4},
                    .config = model_preset_find("vqct-tiny")->config};
  struct subject subject;
  open_subject(&subject, "rotation", &s, rotation_value, derive);
  open_state(&subject, &s);
  ck_assert_uint_le(s.quantizer.dimension, 64);
  const float *z = subject.block[0].values;
  for (size_t i = 0; i < s.count; i++)
    s.stopped[i] = (double)z[i];
  /* It turns z into e, which the decoder reads as it is. */
  ck_assert_double_eq_tol(rotation_value(&subject), weigh(&subject, s.stopped_zq, s.count), 1e-9);
  float *values = take(&subject, s.count);
  const struct quantized choice = choice_of(&s, z, 5);
  estimator_forward(&s.settings, &choice, values, &subject.place.exec);
  ck_assert_mem_eq(values, s.stopped_zq, s.count * sizeof *values);
  check_subject(&subject, 0.05, 1e-6); /* linear, and summed here in double */
  ck_assert_double_eq(length_of(subject.block[1].gradient, subject.block[1].count), 0);
  close_state(&subject, &s);
}
END_TEST

/* A vector without a direction, or one that lies on its code, leaves finite numbers. */
START_TEST(degenerate) {
  struct state s = {.settings = {(enum vqct_train_estimator)_i, 0, 4},
                    .config = model_preset_find("vqct-tiny")->config};
  struct subject subject;
  open_subject(&subject, "degenerate", &s, NULL, derive);
  open_state(&subject, &s);
  size_t d = s.quantizer.dimension;
  float *z = subject.block[0].values, *values = take(&subject, s.count);
  memset(z, 0, d * sizeof *z);
  memcpy(z + 2 * d, s.stopped_zq + 2 * d, d * sizeof *z);
  for (size_t c = 4 * d; c < 5 * d; c++)
    z[c] = -s.stopped_zq[c];
  const struct quantized choice = choice_of(&s, z, 5);
  estimator_forward(&s.settings, &choice, values, &subject.place.exec);
  derive(&subject);
  for (size_t i = 0; i < s.count; i++)
    ck_assert(isfinite(values[i]) && isfinite(subject.block[0].gradient[i]));
  ck_assert_mem_eq(values + 2 * d, z + 2 * d, d * sizeof *z);
  close_state(&subject, &s);
}
END_TEST

/* The noise is the seed's and the batch's, whatever the number of threads. */
START_TEST(noise) {
  struct state s = {.settings = {VQCT_ESTIMATOR_DIVEQ, 0.001, 4},
                    .config = model_preset_find("vqct-tiny")->config};
  struct subject subject;
  struct place alone;
  open_subject(&subject, "noise", &s, NULL, NULL);
  open_state(&subject, &s);
  place_open(&alone, 1, NULL);
  float *first = take(&subject, s.count), *second = take(&subject, s.count);
  size_t bytes = s.count * sizeof *first;
  struct quantized choice = choice_of(&s, subject.block[0].values, 5);
  estimator_forward(&s.settings, &choice, first, &subject.place.exec);
  estimator_forward(&s.settings, &choice, second, &alone.exec);
  ck_assert_mem_eq(first, second, bytes);
  choice.number = 6;
  estimator_forward(&s.settings, &choice, second, &alone.exec);
  ck_assert_mem_ne(first, second, bytes);
  choice.number = 5;
  s.settings.seed = 5;
  estimator_forward(&s.settings, &choice, second, &alone.exec);
  ck_assert_mem_ne(first, second, bytes);
  place_close(&alone);
  close_state(&subject, &s);
}
END_TEST

int main(void) {
  TCase *cases = tcase_create("estimators");
  tcase_set_timeout(cases, 600); /* of a sanitizer on a busy machine */
  tcase_add_loop_test(cases, diveq, 0, 4);
  tcase_add_test(cases, rotation);
  tcase_add_loop_test(cases, degenerate, VQCT_ESTIMATOR_STRAIGHT, VQCT_ESTIMATOR_DIVEQ + 1);
  tcase_add_test(cases, noise);
  return suite_run("estimators", cases);
}
