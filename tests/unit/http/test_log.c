/* A pipe that others fill as well: poll says that there is room, and then there is none. */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "../suite.h"
#include "log.h"

/* In place of the system's, as it answers a moment before another writes. */
int poll(struct pollfd *files, nfds_t count, int patience) {
  (void)patience;
  for (nfds_t i = 0; i < count; i++)
    files[i].revents = POLLOUT;
  return (int)count;
}

static int ends[2];

static void set_up(void) {
  static const char page[4096];
  ck_assert_int_eq(pipe(ends), 0);
  fcntl(ends[1], F_SETFL, O_NONBLOCK);
  while (write(ends[1], page, sizeof page) > 0)
    ;
  fcntl(ends[1], F_SETFL, 0); /* as others share it */
}

static void empty_pipe(void) {
  char page[4096];
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  while (read(ends[0], page, sizeof page) > 0)
    ;
}

START_TEST(a_full_pipe_is_not_waited_for) {
  struct log log;
  char text[4096];
  log_open(&log, ends[1], LOG_INFO, LOG_INFO);
  log_message(&log, LOG_INFO, "event", "first");
  ck_assert_uint_gt(log.kept.size, 0);
  ck_assert_int_eq(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0); /* theirs waits as before */
  empty_pipe();
  log_message(&log, LOG_INFO, "event", "second");
  log_close(&log);
  ssize_t size = read(ends[0], text, sizeof text - 1);
  ck_assert_int_gt(size, 0);
  text[size] = '\0';
  ck_assert_ptr_nonnull(strstr(text, "\"message\":\"first\"}\n{"));
  ck_assert_ptr_nonnull(strstr(text, "\"message\":\"second\"}\n"));
}
END_TEST

START_TEST(lines_that_do_not_fit_are_counted) {
  struct log log;
  log_open(&log, ends[1], LOG_INFO, LOG_INFO);
  for (int i = 0; i < 10000; i++)
    log_message(&log, LOG_INFO, "event", "number %d", i);
  ck_assert_uint_le(log.kept.size, 256u << 10);
  ck_assert_uint_gt(log.lost_total, 0);
  uint64_t lost = log.lost_total;
  log_message(&log, LOG_DEBUG, "event", "not asked for");
  ck_assert_uint_eq(log.lost_total, lost);
  log_close(&log);
}
END_TEST

int main(void) {
  TCase *cases = tcase_create("log");
  tcase_add_checked_fixture(cases, set_up, NULL);
  tcase_add_test(cases, a_full_pipe_is_not_waited_for);
  tcase_add_test(cases, lines_that_do_not_fit_are_counted);
  return suite_run("log", cases);
}
