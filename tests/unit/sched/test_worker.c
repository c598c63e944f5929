/* Workers with an engine whose encoder copies the first byte of a picture to its token, and fails
 * where that byte is 255; its decoder copies back. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../suite.h"
#include "worker.h"

#define JOBS 6

static uv_loop_t loop;
static struct queue *queue;
static struct workers *workers;
static struct vqct_error error;
static struct job jobs[JOBS];
static uint8_t pixels[JOBS];
static uint32_t tokens[JOBS];
static size_t done, wanted, calls;
static char sessions[3]; /* of two workers, and of both together; none is looked into */
static struct vqct_session *used;

static enum vqct_status copy_in(struct vqct_session *session, const uint8_t *const *from,
                                size_t images, uint32_t height, uint32_t width, uint32_t *const *to,
                                float *const *encodings, struct vqct_error *fault) {
  used = session;
  ck_assert(height == 1 && width == 1);
  calls++;
  for (size_t i = 0; i < images; i++) {
    if (encodings)
      encodings[i][0] = (float)from[i][0];
    if (from[i][0] == 255) {
      *fault = (struct vqct_error){VQCT_NOT_FINITE, "255"};
      return VQCT_NOT_FINITE;
    }
    to[i][0] = from[i][0];
  }
  return VQCT_OK;
}

static enum vqct_status copy_out(struct vqct_session *session, const uint32_t *const *from,
                                 size_t images, uint32_t height, uint32_t width, uint8_t *const *to,
                                 struct vqct_error *fault) {
  (void)fault;
  used = session;
  ck_assert(height == 2 && width == 3);
  calls++;
  for (size_t i = 0; i < images; i++)
    to[i][0] = (uint8_t)from[i][0];
  return VQCT_OK;
}

static struct vqct_session *session_list[2] = {(struct vqct_session *)&sessions[0],
                                               (struct vqct_session *)&sessions[1]};
static struct engine engine = {.calls = {copy_in, copy_out},
                               .sessions = session_list,
                               .together = (struct vqct_session *)&sessions[2],
                               .workers = 2};

static void on_done(void *context, struct job *job) {
  ck_assert_ptr_eq(context, &loop);
  ck_assert_ptr_eq(job->owner, &loop);
  if (++done == wanted)
    workers_stop(workers);
}

static void push(size_t i, enum job_operation operation, uint64_t deadline) {
  jobs[i] = (struct job){.operation = operation,
                         .engine = &engine,
                         .height = 1,
                         .width = 1,
                         .grid_height = 2,
                         .grid_width = 3,
                         .pixels = &pixels[i],
                         .tokens = &tokens[i],
                         .deadline = deadline,
                         .owner = &loop};
  queue_push(queue, &jobs[i]);
}

/* All jobs are there before the worker is, so that the batches are certain. */
static void run(void) {
  static const struct batch_limits limits = {JOBS, 1000, 0};
  ck_assert_int_eq(workers_new(&loop, queue, &limits, 1, on_done, &loop, &workers, &error),
                   VQCT_OK);
  uv_run(&loop, UV_RUN_DEFAULT);
  ck_assert_uint_eq(done, wanted);
}

static void open_queue(unsigned for_workers) {
  static const struct batch_limits limits = {JOBS, 1000, 0};
  ck_assert_int_eq(queue_new(&limits, for_workers, &queue, &error), VQCT_OK);
}

static void set_up(void) {
  ck_assert_int_eq(uv_loop_init(&loop), 0);
  open_queue(1);
  wanted = JOBS;
  done = calls = 0;
}

static void tear_down(void) {
  workers_free(workers);
  queue_free(queue);
  ck_assert_int_eq(uv_loop_close(&loop), 0);
}

START_TEST(both_operations_are_computed) {
  for (size_t i = 0; i < JOBS; i++) {
    pixels[i] = i % 2 ? 0 : (uint8_t)(10 + i);
    tokens[i] = i % 2 ? (uint32_t)(20 + i) : 0;
    push(i, i % 2 ? JOB_DECODE : JOB_ENCODE, UINT64_MAX);
  }
  run();
  ck_assert_uint_eq(calls, 2);
  ck_assert_ptr_eq(used, engine.sessions[0]);
  for (size_t i = 0; i < JOBS; i++) {
    ck_assert_int_eq(jobs[i].error.status, VQCT_OK);
    ck_assert_uint_eq(jobs[i].batch, 3);
    ck_assert_uint_eq(pixels[i], tokens[i]);
    ck_assert_uint_eq(pixels[i], i % 2 ? 20 + i : 10 + i);
    ck_assert(jobs[i].queued <= jobs[i].ready && jobs[i].ready <= jobs[i].taken &&
              jobs[i].taken <= jobs[i].finished);
  }
}
END_TEST

START_TEST(a_picture_alone_gets_the_session_of_all_threads) {
  queue_free(queue);
  open_queue(2);
  wanted = 1;
  pixels[0] = 9;
  push(0, JOB_ENCODE, UINT64_MAX);
  run();
  ck_assert_ptr_eq(used, engine.together);
  ck_assert_uint_eq(tokens[0], 9);
}
END_TEST

START_TEST(one_that_fails_does_not_fail_its_batch) {
  for (size_t i = 0; i < JOBS; i++) {
    pixels[i] = i == 2 ? 255 : (uint8_t)(i + 1);
    push(i, JOB_ENCODE, UINT64_MAX);
  }
  run();
  ck_assert_uint_eq(calls, 1 + JOBS); /* together, then each alone */
  for (size_t i = 0; i < JOBS; i++) {
    ck_assert_int_eq(jobs[i].error.status, i == 2 ? VQCT_NOT_FINITE : VQCT_OK);
    if (i != 2)
      ck_assert_uint_eq(tokens[i], i + 1);
  }
  ck_assert_str_eq(jobs[2].error.message, "255");
}
END_TEST

START_TEST(what_expired_comes_back_without_being_computed) {
  for (size_t i = 0; i < JOBS; i++) {
    pixels[i] = 7;
    tokens[i] = 0;
    push(i, JOB_ENCODE, i < 4 ? 0 : UINT64_MAX);
  }
  run();
  ck_assert_uint_eq(calls, 1);
  for (size_t i = 0; i < JOBS; i++) {
    ck_assert(jobs[i].expired == (i < 4));
    ck_assert_uint_eq(tokens[i], i < 4 ? 0 : 7);
  }
}
END_TEST

START_TEST(the_average_and_the_idle_worker_are_reported) {
  struct workers_status status;
  for (size_t i = 0; i < JOBS; i++) {
    pixels[i] = 1;
    push(i, JOB_ENCODE, UINT64_MAX);
  }
  run();
  workers_read(workers, &status);
  ck_assert_uint_eq(status.busy, 0);
  ck_assert_uint_eq(status.longest, 0);
  ck_assert_uint_ge(status.last_turn, jobs[0].finished);
  ck_assert_double_gt(status.image_seconds, 0);
}
END_TEST

int main(void) {
  TCase *cases = tcase_create("worker");
  tcase_add_checked_fixture(cases, set_up, tear_down);
  tcase_add_test(cases, both_operations_are_computed);
  tcase_add_test(cases, a_picture_alone_gets_the_session_of_all_threads);
  tcase_add_test(cases, one_that_fails_does_not_fail_its_batch);
  tcase_add_test(cases, what_expired_comes_back_without_being_computed);
  tcase_add_test(cases, the_average_and_the_idle_worker_are_reported);
  return suite_run("worker", cases);
}
