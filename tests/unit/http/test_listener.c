/* A port at its end, step by step: whoever has sent something is answered. */
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <netinet/in.h>
#include <uv.h>

#include "../suite.h"
#include "exchange.h"
#include "listener.h"

static const char request[] = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";

static uv_loop_t loop;
static struct listener listener;

static void answer(void *context, struct exchange *exchange) {
  (void)context;
  reply_problem(&exchange->reply, PROBLEM_INTERNAL, "said");
}

static void finished(void *context, const struct exchange *exchange) {
  (void)context;
  (void)exchange;
}

static void set_up(void) {
  static const struct route routes[] = {{"GET", "/a", ROUTE_OPEN, NULL, NULL, answer}};
  static struct keys *const no_keys = NULL;
  const struct listener_options options = {
      .address = "127.0.0.1:0",
      .routes = routes,
      .route_count = 1,
      .limits = {.connections = 8,
                 .body_bytes = 1,
                 .header_time = 60,
                 .body_time = 60,
                 .idle_time = 60,
                 .write_time = 60,
                 .request_time = 60,
                 .request_time_max = 60},
      .keys = &no_keys,
      .finished = finished,
  };
  struct vqct_error error;
  ck_assert_int_eq(uv_loop_init(&loop), 0);
  ck_assert_msg(listener_start(&listener, &loop, &options, &error) == VQCT_OK, "%s", error.message);
}

static void tear_down(void) {
  listener_stop(&listener);
  uv_run(&loop, UV_RUN_DEFAULT);
  ck_assert_int_eq(uv_loop_close(&loop), 0);
}

static int connect_client(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)listener.port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int client = socket(AF_INET, SOCK_STREAM, 0);
  ck_assert_int_eq(connect(client, (const struct sockaddr *)&address, sizeof address), 0);
  return client;
}

static void ask(int client) {
  ck_assert_int_eq(send(client, request, sizeof request - 1, 0), (ssize_t)sizeof request - 1);
}

/* Runs the loop until there is something to read: an answer, whose text is given, or the end. */
static const char *hear(int client) {
  static char text[4096];
  struct pollfd readable = {.fd = client, .events = POLLIN};
  while (poll(&readable, 1, 1) < 1)
    uv_run(&loop, UV_RUN_NOWAIT);
  ssize_t size = recv(client, text, sizeof text - 1, 0);
  ck_assert_int_ge(size, 0);
  text[size] = '\0';
  return text;
}

static void hear_answer(int client, bool closes) {
  const char *text = hear(client);
  ck_assert_ptr_nonnull(strstr(text, "\"said\""));
  ck_assert_int_eq(strstr(text, "Connection: close") != NULL, closes);
}

/* A kept connection, long since idle. */
static int keep_client(void) {
  int client = connect_client();
  ask(client);
  hear_answer(client, false);
  for (struct connection *one = listener.connections; one; one = one->next)
    one->since = 0;
  return client;
}

START_TEST(idle_connections_are_shut) {
  int client = keep_client();
  listener_close(&listener);
  listener_drain(&listener);
  ck_assert_str_eq(hear(client), "");
  while (!listener_drain(&listener))
    uv_run(&loop, UV_RUN_NOWAIT);
  close(client);
}
END_TEST

START_TEST(what_has_come_is_answered) {
  int client = keep_client();
  ask(client); /* which the loop has no time to see */
  listener_close(&listener);
  listener_drain(&listener);
  hear_answer(client, true);
  ck_assert_str_eq(hear(client), "");
  close(client);
}
END_TEST

/* A pool uses again at once what it has just used, maybe while it is being shut. */
START_TEST(what_was_just_used_is_kept_for_a_while) {
  int client = connect_client();
  ask(client);
  hear_answer(client, false);
  listener_close(&listener);
  ck_assert(!listener_drain(&listener));
  ask(client);
  hear_answer(client, true);
  close(client);
}
END_TEST

START_TEST(who_has_connected_is_answered) {
  int client = connect_client(); /* not accepted yet */
  listener_close(&listener);
  listener_drain(&listener);
  ask(client);
  hear_answer(client, true);
  close(client);
}
END_TEST

/* libmicrohttpd holds no more than so many, and accepts the next when one has ended. */
START_TEST(who_waits_for_a_place_gets_it) {
  unsigned most = listener_most(listener.options.limits.connections);
  int clients[128];
  ck_assert_uint_lt(most, 128);
  for (unsigned i = 0; i < most; i++)
    clients[i] = connect_client();
  while (listener.connection_count < most)
    uv_run(&loop, UV_RUN_NOWAIT);
  int last = connect_client();
  ask(last);
  close(clients[0]);
  ck_assert_ptr_nonnull(strstr(hear(last), "HTTP/1.1 503 "));
  ck_assert_uint_ge(listener.connection_count, most - 1); /* it waited for no other to end */
  for (unsigned i = 1; i < most; i++)
    close(clients[i]);
  close(last);
}
END_TEST

int main(void) {
  TCase *cases = tcase_create("listener");
  tcase_add_checked_fixture(cases, set_up, tear_down);
  tcase_add_test(cases, idle_connections_are_shut);
  tcase_add_test(cases, what_has_come_is_answered);
  tcase_add_test(cases, what_was_just_used_is_kept_for_a_while);
  tcase_add_test(cases, who_has_connected_is_answered);
  tcase_add_test(cases, who_waits_for_a_place_gets_it);
  return suite_run("listener", cases);
}
