/* The queue's order, fairness and batches, and the bounds of admission. The queue is used from one
 * thread here, so that what is taken is certain; the service's own tests use it from many. */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "../suite.h"
#include "admission.h"
#include "queue.h"
#include "tasks.h"

#define JOBS 16

static struct vqct_error error;
static struct queue *queue;
static struct engine engines[2];
static struct job jobs[JOBS], *taken[JOBS];
static struct batch batch = {.jobs = taken};

static void open_queue_of(unsigned workers, size_t images, uint64_t pixels, uint64_t delay) {
  struct batch_limits limits = {images, pixels, delay};
  ck_assert_int_eq(queue_new(&limits, workers, &queue, &error), VQCT_OK);
}

static void open_queue(size_t images, uint64_t pixels, uint64_t delay) {
  open_queue_of(1, images, pixels, delay);
}

static void push_job(size_t engine, size_t i, unsigned urgency, enum job_operation operation,
                     uint32_t side, double cost) {
  jobs[i] = (struct job){.operation = operation,
                         .urgency = urgency,
                         .engine = &engines[engine],
                         .height = side,
                         .width = side,
                         .cost = cost,
                         .deadline = UINT64_MAX};
  queue_push(queue, &jobs[i]);
}

static void push_to(size_t engine, size_t i, enum job_operation operation, uint32_t side,
                    double cost) {
  push_job(engine, i, 3, operation, side, cost);
}

static void push(size_t i, enum job_operation operation, uint32_t side, double cost) {
  push_to(0, i, operation, side, cost);
}

static void push_class(size_t i, unsigned urgency) {
  push_job(0, i, urgency, JOB_ENCODE, 8, 1);
}

/* Takes one batch and writes its jobs' numbers as letters. */
static const char *begin(void) {
  static char names[JOBS + 1];
  bool more = queue_take(queue, &batch);
  ck_assert(more == (batch.count || batch.expired));
  for (size_t i = 0; i < batch.count; i++)
    names[i] = (char)('a' + (taken[i] - jobs));
  names[batch.count] = '\0';
  return names;
}

/* The same for a worker that has computed it, too. */
static const char *take(void) {
  const char *names = begin();
  if (batch.count)
    queue_done(queue, &batch);
  return names;
}

START_TEST(a_batch_is_of_one_shape_and_starts_from_the_oldest) {
  open_queue(3, UINT64_MAX, 0);
  const uint32_t sides[] = {8, 16, 8, 8, 16, 8};
  for (size_t i = 0; i < 6; i++)
    push(i, JOB_ENCODE, sides[i], 1);
  ck_assert_str_eq(take(), "acd");
  ck_assert_str_eq(take(), "be");
  ck_assert_str_eq(take(), "f");
}
END_TEST

START_TEST(a_batch_is_of_one_engine) {
  open_queue(8, UINT64_MAX, 0);
  for (size_t i = 0; i < 4; i++)
    push_to(i % 2, i, JOB_ENCODE, 8, 1);
  ck_assert_str_eq(take(), "ac");
  ck_assert_str_eq(take(), "bd");
}
END_TEST

START_TEST(a_batch_keeps_to_its_pixels_but_for_one_picture) {
  open_queue(8, 2 * 8 * 8, 0);
  const uint32_t sides[] = {8, 8, 8, 100};
  for (size_t i = 0; i < 4; i++)
    push(i, JOB_ENCODE, sides[i], 1);
  ck_assert_str_eq(take(), "ab");
  ck_assert_str_eq(take(), "c");
  ck_assert_str_eq(take(), "d");
}
END_TEST

START_TEST(operations_share_by_cost) {
  open_queue(1, UINT64_MAX, 0);
  for (size_t i = 0; i < 8; i++)
    push(i, JOB_ENCODE, 8, 1);
  for (size_t i = 8; i < 12; i++)
    push(i, JOB_DECODE, 8, 3);
  char order[13] = "";
  for (size_t i = 0; i < 12; i++)
    order[i] = take()[0] < 'i' ? 'e' : 'd';
  /* Three encodes cost what one decode does. */
  ck_assert_str_eq(order, "edeeedeeeded");
}
END_TEST

START_TEST(an_operation_that_did_not_wait_has_saved_nothing_up) {
  open_queue(1, UINT64_MAX, 0);
  for (size_t i = 0; i < 4; i++) {
    push(i, JOB_ENCODE, 8, 1);
    ck_assert_int_eq(take()[0], 'a' + (int)i);
  }
  for (size_t i = 4; i < 7; i++)
    push(i, JOB_ENCODE, 8, 1);
  for (size_t i = 7; i < 10; i++)
    push(i, JOB_DECODE, 8, 1);
  char order[7] = "";
  for (size_t i = 0; i < 6; i++)
    order[i] = take()[0];
  ck_assert_str_eq(order, "ehfigj");
}
END_TEST

/* The first model's pictures cost a third of the second's, which has two operations: those share
 * what is that model's. */
START_TEST(models_share_by_cost_and_their_operations_within_that) {
  open_queue(1, UINT64_MAX, 0);
  for (size_t i = 0; i < 9; i++)
    push_to(0, i, JOB_ENCODE, 8, 1);
  for (size_t i = 9; i < 12; i++)
    push_to(1, i, i == 10 ? JOB_DECODE : JOB_ENCODE, 8, 3);
  char order[13] = "";
  for (size_t i = 0; i < 12; i++)
    order[i] = take()[0];
  ck_assert_str_eq(order, "ajbcdkefglhi");
}
END_TEST

START_TEST(who_worked_alone_does_not_owe_that_to_who_comes_later) {
  open_queue(1, UINT64_MAX, 0);
  for (size_t i = 0; i < 4; i++) {
    push_to(0, i, JOB_ENCODE, 8, 1);
    ck_assert_int_eq(take()[0], 'a' + (int)i);
  }
  for (size_t i = 4; i < 7; i++) /* nothing waits when the second comes */
    push_to(1, i, JOB_ENCODE, 8, 1);
  for (size_t i = 7; i < 10; i++)
    push_to(0, i, JOB_ENCODE, 8, 1);
  char order[7] = "";
  for (size_t i = 0; i < 6; i++)
    order[i] = take()[0];
  ck_assert_str_eq(order, "ehfigj");
}
END_TEST

/* Whatever waits, and whenever it came: the most urgent class, and within it the oldest. */
START_TEST(the_most_urgent_class_is_served_first) {
  open_queue(1, UINT64_MAX, 0);
  const unsigned urgencies[] = {7, 3, 0, 7, 3, 1, 0};
  for (size_t i = 0; i < 7; i++)
    push_class(i, urgencies[i]);
  char order[8] = "";
  for (size_t i = 0; i < 7; i++)
    order[i] = take()[0];
  ck_assert_str_eq(order, "cgfbead");
}
END_TEST

START_TEST(bulk_delays_what_is_urgent_by_the_batch_that_runs_alone) {
  open_queue(2, UINT64_MAX, 0);
  for (size_t i = 0; i < 6; i++)
    push_class(i, 7);
  ck_assert_str_eq(begin(), "ab"); /* runs; now two that are urgent come, */
  push_class(6, 0);
  push_class(7, 3);
  queue_done(queue, &batch);
  ck_assert_str_eq(take(), "g"); /* and no batch of bulk is before them or part of theirs */
  ck_assert_str_eq(take(), "h");
  ck_assert_str_eq(take(), "cd");
  push_class(8, 3);
  ck_assert_str_eq(take(), "i");
  ck_assert_str_eq(take(), "ef");
}
END_TEST

START_TEST(bulk_that_waits_for_a_batch_gives_way) {
  open_queue(2, UINT64_MAX, UINT64_MAX / 4); /* a batch of bulk would wait for ever, */
  push_class(0, 7);
  push_class(1, 2);
  push_class(2, 2);
  ck_assert_str_eq(take(), "bc"); /* and does not hold up a full one */
  push_class(3, 7);
  ck_assert_str_eq(take(), "ad");
}
END_TEST

/* Costs count within a class only: a model that did much bulk work is not behind in another. */
START_TEST(classes_share_apart) {
  open_queue(1, UINT64_MAX, 0);
  for (size_t i = 0; i < 4; i++) {
    push_job(0, i, 7, JOB_ENCODE, 8, 100);
    ck_assert_int_eq(take()[0], 'a' + (int)i);
  }
  push_job(0, 4, 3, JOB_ENCODE, 8, 1);
  push_job(1, 5, 3, JOB_ENCODE, 8, 1);
  push_job(0, 6, 3, JOB_ENCODE, 8, 1);
  push_job(1, 7, 3, JOB_ENCODE, 8, 1);
  char order[5] = "";
  for (size_t i = 0; i < 4; i++)
    order[i] = take()[0];
  ck_assert_str_eq(order, "efgh");
}
END_TEST

START_TEST(an_urgent_picture_has_all_threads_however_much_bulk_waits) {
  open_queue_of(3, 1, UINT64_MAX, 0);
  for (size_t i = 0; i < 5; i++)
    push_class(i, 7);
  push_class(5, 3);
  ck_assert_str_eq(take(), "f");
  ck_assert(batch.together);
  ck_assert_str_eq(take(), "a");
  ck_assert(!batch.together);
}
END_TEST

START_TEST(every_class_is_seen_by_who_asks_what_waits) {
  struct queue_status status;
  open_queue(1, UINT64_MAX, 0);
  push_class(0, 7);
  push_class(1, 0);
  queue_read(queue, &status);
  ck_assert_uint_eq(status.images, 2);
  ck_assert_uint_eq(status.oldest, jobs[0].queued);
  jobs[0].deadline = uv_hrtime();
  ck_assert_str_eq(take(), ""); /* bulk expires while what is urgent waits */
  ck_assert_ptr_eq(batch.expired, &jobs[0]);
  ck_assert(queue_remove(queue, &jobs[1]));
  queue_read(queue, &status);
  ck_assert_uint_eq(status.images, 0);
  ck_assert_uint_eq(status.oldest, 0);
}
END_TEST

START_TEST(what_expired_is_given_apart) {
  open_queue(8, UINT64_MAX, 0);
  for (size_t i = 0; i < 3; i++)
    push(i, JOB_ENCODE, 8, 1);
  jobs[1].deadline = uv_hrtime();
  ck_assert_str_eq(take(), "");
  ck_assert_ptr_eq(batch.expired, &jobs[1]);
  ck_assert_ptr_null(batch.expired->next);
  ck_assert(jobs[1].expired);
  ck_assert_str_eq(take(), "ac");
}
END_TEST

START_TEST(a_waiting_job_can_be_removed_and_a_taken_one_not) {
  struct queue_status status;
  open_queue(1, UINT64_MAX, 0);
  for (size_t i = 0; i < 4; i++)
    push(i, JOB_ENCODE, 8, 1);
  ck_assert(queue_remove(queue, &jobs[0])); /* the first, */
  ck_assert(queue_remove(queue, &jobs[2])); /* one in the middle, */
  ck_assert(queue_remove(queue, &jobs[3])); /* and the last */
  queue_read(queue, &status);
  ck_assert_uint_eq(status.images, 1);
  ck_assert_uint_eq(status.pixels, 64);
  ck_assert_uint_eq(status.oldest, jobs[1].queued);
  ck_assert_str_eq(take(), "b");
  ck_assert(!queue_remove(queue, &jobs[1]));
  queue_read(queue, &status);
  ck_assert_uint_eq(status.images, 0);
  ck_assert_uint_eq(status.oldest, 0);
}
END_TEST

START_TEST(a_job_pushed_again_has_the_times_of_its_new_operation) {
  open_queue(1, UINT64_MAX, 0);
  push(0, JOB_ENCODE, 8, 1);
  ck_assert_str_eq(take(), "a");
  jobs[0].finished = jobs[0].taken + 1;
  jobs[0].operation = JOB_DECODE;
  queue_push(queue, &jobs[0]);
  ck_assert(queue_remove(queue, &jobs[0]));
  ck_assert_uint_eq(jobs[0].ready, 0);
  ck_assert_uint_eq(jobs[0].finished, 0);
}
END_TEST

static void *push_later(void *argument) {
  (void)argument;
  struct timespec pause = {0, 20000000};
  nanosleep(&pause, NULL);
  push(1, JOB_ENCODE, 8, 1);
  return NULL;
}

START_TEST(a_delay_ends_when_the_batch_is_full) {
  pthread_t thread;
  open_queue(2, UINT64_MAX, UINT64_MAX / 4);
  push(0, JOB_ENCODE, 8, 1);
  pthread_create(&thread, NULL, push_later, NULL);
  ck_assert_str_eq(take(), "ab");
  ck_assert_uint_ge(jobs[0].taken, jobs[1].queued);
  pthread_join(thread, NULL);
}
END_TEST

START_TEST(a_delay_ends) {
  open_queue(2, UINT64_MAX, 30000000);
  push(0, JOB_ENCODE, 8, 1);
  ck_assert_str_eq(take(), "a");
  ck_assert_uint_ge(jobs[0].taken - jobs[0].queued, 30000000);
}
END_TEST

START_TEST(few_pictures_are_computed_together_and_many_apart) {
  open_queue_of(3, 1, UINT64_MAX, 0);
  push(0, JOB_ENCODE, 8, 1);
  push(1, JOB_ENCODE, 8, 1);
  ck_assert_str_eq(take(), "a");
  ck_assert(batch.together);
  for (size_t i = 2; i < 6; i++)
    push(i, JOB_ENCODE, 8, 1);
  struct batch apart[3];
  for (size_t i = 0; i < 3; i++) { /* three workers; the last two could not share all threads */
    begin();
    apart[i] = batch;
    ck_assert_ptr_eq(taken[0], &jobs[1 + i]);
    ck_assert(!batch.together);
  }
  queue_done(queue, &apart[0]);
  ck_assert_str_eq(begin(), "e");
  ck_assert(!batch.together); /* others compute */
  for (size_t i = 0; i < 3; i++)
    queue_done(queue, &apart[i]);
  ck_assert_str_eq(take(), "f");
  ck_assert(batch.together);
}
END_TEST

/* What another worker takes while one computes with all threads. */
static void *take_meanwhile(void *argument) {
  struct job *job;
  struct batch *other = argument;
  other->jobs = &job;
  ck_assert(queue_take(queue, other));
  ck_assert_ptr_eq(job, &jobs[1]);
  queue_done(queue, other);
  return NULL;
}

START_TEST(no_other_worker_computes_beside_all_threads) {
  pthread_t thread;
  struct batch other;
  struct timespec pause = {0, 20000000};
  open_queue_of(2, 1, UINT64_MAX, 0);
  push(0, JOB_ENCODE, 8, 1);
  ck_assert_str_eq(begin(), "a");
  push(1, JOB_ENCODE, 8, 1);
  pthread_create(&thread, NULL, take_meanwhile, &other);
  nanosleep(&pause, NULL);
  uint64_t before = uv_hrtime();
  queue_done(queue, &batch);
  pthread_join(thread, NULL);
  ck_assert_uint_ge(jobs[1].taken, before);
  ck_assert_uint_ge(jobs[1].ready, before);
}
END_TEST

START_TEST(stopping_gives_out_what_waits_and_then_nothing) {
  open_queue(2, UINT64_MAX, UINT64_MAX / 4);
  push(0, JOB_ENCODE, 8, 1);
  queue_stop(queue);
  ck_assert_str_eq(take(), "a");
  ck_assert_str_eq(take(), "");
  ck_assert_ptr_null(batch.expired);
}
END_TEST

/* ---- tasks ----------------------------------------------------------------------------------- */

static struct tasks tasks;
static struct task many[6];
static char ran[16];
static size_t again; /* times that the first submits itself once more when it is done */

static void note_run(struct task *task) {
  ran[strlen(ran)] = (char)('a' + (task - many));
}

static void note_done(struct task *task) {
  if (task == many && again) {
    again--;
    tasks_submit(&tasks, task, 0, note_run, note_done);
  }
}

/* With one thread what runs is certain: the first is started at once, and the others wait until the
 * loop runs. */
START_TEST(tasks_run_by_class_and_then_in_order) {
  uv_loop_t loop;
  const unsigned urgencies[] = {7, 7, 3, 0, 3, 7};
  uv_loop_init(&loop);
  tasks_init(&tasks, &loop, 1);
  again = 1;
  for (size_t i = 0; i < 6; i++)
    tasks_submit(&tasks, &many[i], urgencies[i], note_run, note_done);
  ck_assert_uint_eq(tasks.running, 1);
  uv_run(&loop, UV_RUN_DEFAULT);
  /* The first comes back with another class once the next has begun. */
  ck_assert_str_eq(ran, "adacebf");
  ck_assert_uint_eq(tasks.running, 0);
  uv_loop_close(&loop);
}
END_TEST

static void close_queue(void) {
  queue_free(queue);
  memset(engines, 0, sizeof engines);
}

START_TEST(each_bound_refuses_by_its_name) {
  struct admission admission;
  const struct reservation limit = {4, 100, 1000};
  admission_init(&admission, &limit);
  struct reservation first = {0}, second = {0};
  ck_assert_int_eq(admission_reserve(&admission, 3, &first, (struct reservation){3, 60, 600}),
                   REFUSAL_NONE);
  static const struct {
    struct reservation more;
    enum refusal refusal;
  } rows[] = {
      {{2, 0, 0}, REFUSAL_IMAGES},         {{1, 41, 0}, REFUSAL_BYTES},
      {{1, 0, 401}, REFUSAL_PIXELS},       {{SIZE_MAX, 0, 0}, REFUSAL_IMAGES},
      {{0, UINT64_MAX, 0}, REFUSAL_BYTES}, {{0, 0, UINT64_MAX}, REFUSAL_PIXELS},
      {{1, 40, 400}, REFUSAL_NONE},        {{0, 1, 0}, REFUSAL_BYTES},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    ck_assert_int_eq(admission_reserve(&admission, 3, &second, rows[i].more), rows[i].refusal);
  struct reservation held = admission_held(&admission);
  ck_assert(held.images == 4 && held.bytes == 100 && held.pixels == 1000);
  ck_assert(second.images == 1 && second.bytes == 40 && second.pixels == 400);
  admission_return(&admission, &first, first);
  ck_assert(first.images == 0 && first.bytes == 0 && first.pixels == 0);
  held = admission_held(&admission);
  ck_assert(held.images == 1 && held.bytes == 40 && held.pixels == 400);
}
END_TEST

/* Each class in turn is refused as the bounds fill: the least urgent first, at half of them. */
START_TEST(the_lowest_class_is_refused_first) {
  static const size_t most[JOB_CLASSES] = {80, 80, 80, 80, 70, 60, 50, 40};
  const struct reservation limit = {80, 8000, 800000}, one = {1, 100, 10000};
  struct admission admission;
  struct reservation reserved = {0}, other = {0};
  admission_init(&admission, &limit);
  ck_assert_int_eq(admission_reserve(&admission, 0, &other, one), REFUSAL_NONE);
  for (unsigned urgency = JOB_CLASSES; urgency--;) {
    while (admission_reserve(&admission, urgency, &reserved, one) == REFUSAL_NONE)
      ;
    struct reservation held = admission_held(&admission);
    ck_assert_uint_eq(held.images, most[urgency]);
    ck_assert_uint_eq(held.bytes, 100 * most[urgency]);
    ck_assert_uint_eq(held.pixels, 10000 * most[urgency]);
    ck_assert_int_eq(admission_reserve(&admission, urgency, &reserved, (struct reservation){0}),
                     REFUSAL_NONE); /* nothing more is nothing to refuse */
  }
  ck_assert_int_eq(admission_reserve(&admission, 7, &other, (struct reservation){.bytes = 1}),
                   REFUSAL_BYTES);
}
END_TEST

START_TEST(lower_bounds_are_neither_none_nor_beyond) {
  static const struct {
    uint64_t bound, least;
  } rows[] = {{1, 1}, {2, 1}, {3, 2}, {7, 4}, {256, 128}, {UINT64_MAX, UINT64_MAX / 2 + 1}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct admission admission;
    const struct reservation limit = {4, rows[i].bound, 4};
    admission_init(&admission, &limit);
    ck_assert_uint_eq(admission_limit(&admission, 7).bytes, rows[i].least);
    ck_assert_uint_eq(admission_limit(&admission, 3).bytes, rows[i].bound);
  }
}
END_TEST

START_TEST(who_is_alone_is_never_refused) {
  struct admission admission;
  const struct reservation limit = {1, 1, 1};
  admission_init(&admission, &limit);
  struct reservation only = {0}, other = {0};
  ck_assert_int_eq(admission_reserve(&admission, 3, &only, (struct reservation){2, 50, 0}),
                   REFUSAL_NONE);
  ck_assert_int_eq(admission_reserve(&admission, 3, &only, (struct reservation){0, 0, 50}),
                   REFUSAL_NONE);
  ck_assert_int_eq(admission_reserve(&admission, 3, &other, (struct reservation){1, 0, 0}),
                   REFUSAL_IMAGES);
}
END_TEST

int main(void) {
  TCase *cases = tcase_create("sched");
  tcase_add_checked_fixture(cases, NULL, close_queue);
  tcase_add_test(cases, a_batch_is_of_one_shape_and_starts_from_the_oldest);
  tcase_add_test(cases, a_batch_is_of_one_engine);
  tcase_add_test(cases, a_batch_keeps_to_its_pixels_but_for_one_picture);
  tcase_add_test(cases, operations_share_by_cost);
  tcase_add_test(cases, an_operation_that_did_not_wait_has_saved_nothing_up);
  tcase_add_test(cases, models_share_by_cost_and_their_operations_within_that);
  tcase_add_test(cases, who_worked_alone_does_not_owe_that_to_who_comes_later);
  tcase_add_test(cases, the_most_urgent_class_is_served_first);
  tcase_add_test(cases, bulk_delays_what_is_urgent_by_the_batch_that_runs_alone);
  tcase_add_test(cases, bulk_that_waits_for_a_batch_gives_way);
  tcase_add_test(cases, classes_share_apart);
  tcase_add_test(cases, an_urgent_picture_has_all_threads_however_much_bulk_waits);
  tcase_add_test(cases, every_class_is_seen_by_who_asks_what_waits);
  tcase_add_test(cases, what_expired_is_given_apart);
  tcase_add_test(cases, a_waiting_job_can_be_removed_and_a_taken_one_not);
  tcase_add_test(cases, a_job_pushed_again_has_the_times_of_its_new_operation);
  tcase_add_test(cases, a_delay_ends_when_the_batch_is_full);
  tcase_add_test(cases, a_delay_ends);
  tcase_add_test(cases, few_pictures_are_computed_together_and_many_apart);
  tcase_add_test(cases, no_other_worker_computes_beside_all_threads);
  tcase_add_test(cases, stopping_gives_out_what_waits_and_then_nothing);
  tcase_add_test(cases, tasks_run_by_class_and_then_in_order);
  tcase_add_test(cases, each_bound_refuses_by_its_name);
  tcase_add_test(cases, the_lowest_class_is_refused_first);
  tcase_add_test(cases, lower_bounds_are_neither_none_nor_beyond);
  tcase_add_test(cases, who_is_alone_is_never_refused);
  return suite_run("sched", cases);
}
