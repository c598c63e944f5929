/* What a connection's bytes become on their way to libmicrohttpd: the same whether they come at
 * once or one by one, and into whatever room. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../suite.h"
#include "intake.h"

#define GET     "GET /v1/model HTTP/1.1\r\nHost:x\r\n"
#define POST    "POST /a HTTP/1.1\r\nHost:x\r\n"
#define CHUNKED "Transfer-Encoding:chunked\r\n\r\n"
#define REFUSED "POST ! HTTP/1.1\r\nHost: !\r\nContent-Length: 9223372036854775807\r\n\r\n"
#define CUT_OFF "7fffffffffffffff\r\n!"

/* Sends bytes in pieces and reads, after each, all that comes through, in small parts. */
static void take(const char *data, size_t size, size_t piece, size_t room, struct text *out,
                 struct intake *intake) {
  int ends[2];
  char buffer[4096];
  ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  ck_assert(intake_begin(intake, ends[1], false));
  for (size_t at = 0; at < size; at += piece) {
    size_t part = size - at < piece ? size - at : piece;
    ck_assert_int_eq(send(ends[0], data + at, part, 0), (ssize_t)part);
    ssize_t came;
    while ((came = recv(ends[1], buffer, room, MSG_DONTWAIT)) > 0)
      text_add(out, buffer, (size_t)came);
    ck_assert(came < 0 && errno == EAGAIN);
  }
  shutdown(ends[0], SHUT_WR);
  if (intake->heads && intake->state == INTAKE_HEAD) { /* its end is kept back until then */
    ck_assert_int_eq(recv(ends[1], buffer, room, MSG_DONTWAIT), -1);
    ck_assert_int_eq(errno, EAGAIN);
  }
  intake->answered = intake->heads;
  ck_assert_int_eq(recv(ends[1], buffer, room, MSG_DONTWAIT), 0);
  intake_end(intake, ends[1]);
  close(ends[0]);
  close(ends[1]);
}

/* The size of a literal with zero bytes in it. */
#define BYTES(text) text, sizeof(text) - 1

static const struct {
  const char *in;
  size_t in_size;
  const char *out;
  size_t heads;
  unsigned status; /* of the problem; 0: sound */
} rows[] = {
    {BYTES(GET "\r\n"), GET "\r\n", 1, 0},
    {BYTES("\r\n\r\n" GET "\r\n\r\n" GET "\r\n"), GET "\r\n" GET "\r\n", 2, 0},
    {BYTES("GET / HTTP/1.0\r\n\r\n"), "GET / HTTP/1.0\r\n\r\n", 1, 0},
    {BYTES("OPTIONS * HTTP/1.1\r\nHost: \t x \t\r\n\r\n"), "OPTIONS * HTTP/1.1\r\nHost:x\r\n\r\n",
     1, 0},
    {BYTES(GET "X:\t a b \t\r\nCookie: c=d\r\nY:\r\n\r\n"), GET "X:a b\r\nY:\r\n\r\n", 1, 0},
    {BYTES(GET "Expect: 100-continue\r\n\r\n"), GET "\r\n", 1, 0},
    {BYTES(GET "Expect: a\r\nX:\r\nExpect: b\r\n\r\n"), GET "X:\r\n\r\n", 1, 0},
    {BYTES(GET), "", 0, 0}, /* not whole: nothing yet */

    {BYTES(POST "Content-Length: 3 \r\nExpect: 100-continue\r\n\r\nabc" GET "\r\n"),
     POST "Content-Length:3\r\nExpect:100-continue\r\n\r\nabc" GET "\r\n", 2, 0},
    {BYTES(POST "Content-Length: 5\r\n\r\nab"), POST "Content-Length:5\r\n\r\nab", 1, 0},
    {BYTES(POST "Content-Length: 0\r\n\r\n" GET "\r\n"), POST "Content-Length:0\r\n\r\n" GET "\r\n",
     2, 0},
    {BYTES(POST CHUNKED "3;a=\"b\"\r\na\nc\r\nA \r\n0123456789\r\n0\r\nX: y\r\n\r\n" GET "\r\n"),
     POST CHUNKED "3;a=\"b\"\r\na\nc\r\nA \r\n0123456789\r\n0\r\n\r\n" GET "\r\n", 2, 0},

    {BYTES("GET /\r\n\r\n"), REFUSED, 1, 400},
    {BYTES("GET /a b HTTP/1.1\r\nHost: x\r\n\r\n"), REFUSED, 1, 400},
    {BYTES("GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n"), REFUSED, 1, 400},
    {BYTES("GET ! HTTP/1.1\r\nHost: x\r\n\r\n"), REFUSED, 1, 400},
    {BYTES("GET / HTTP/2.0\r\nHost: x\r\n\r\n"), REFUSED, 1, 505},
    {BYTES("GET / HTTP/1.1\nHost: x\r\n\r\n"), REFUSED, 1, 400},
    {BYTES(GET "X: a\0b\r\n\r\n"), REFUSED, 1, 400},
    {BYTES(GET "X: a\rb\r\n\r\n"), REFUSED, 1, 400},
    {BYTES(GET "X: a\x7f\r\n\r\n"), REFUSED, 1, 400},
    {BYTES(GET "X : a\r\n\r\n"), REFUSED, 1, 400},
    {BYTES(GET "X: a\r\n b\r\n\r\n"), REFUSED, 1, 400},
    {BYTES(GET "X\r\n\r\n"), REFUSED, 1, 400},
    {BYTES(GET ": a\r\n\r\n"), REFUSED, 1, 400},
    {BYTES(GET "Host: y\r\n\r\n"), REFUSED, 1, 400},
    {BYTES("GET / HTTP/1.1\r\n\r\n"), REFUSED, 1, 400},
    {BYTES("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"), REFUSED, 1, 400},
    {BYTES(POST "Content-Length: 4 2\r\n\r\n"), REFUSED, 1, 400},
    {BYTES(POST "Content-Length: \r\n\r\n"), REFUSED, 1, 400},
    {BYTES(POST "Content-Length: +5\r\n\r\n"), REFUSED, 1, 400},
    {BYTES(POST "Content-Length: 18446744073709551616\r\n\r\n"), REFUSED, 1, 413},
    {BYTES(POST "Content-Length: 1\r\nContent-Length: 1\r\n\r\na"), REFUSED, 1, 400},
    {BYTES(POST "Content-Length: 1\r\n" CHUNKED "0\r\n\r\n"), REFUSED, 1, 400},
    {BYTES(POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), REFUSED, 1, 400},
    {BYTES("POST / HTTP/1.0\r\n" CHUNKED "0\r\n\r\n"), REFUSED, 1, 400},

    {BYTES(POST CHUNKED "3\nabc\r\n0\r\n\r\n"), POST CHUNKED CUT_OFF, 1, 400},
    {BYTES(POST CHUNKED "3\r\nabc\n0\r\n\r\n"), POST CHUNKED "3\r\nabc\r\n" CUT_OFF, 1, 400},
    {BYTES(POST CHUNKED "3\r\nabcd\r\n0\r\n\r\n"), POST CHUNKED "3\r\nabc\r\n" CUT_OFF, 1, 400},
    {BYTES(POST CHUNKED "3 4\r\nabc\r\n0\r\n\r\n"), POST CHUNKED CUT_OFF, 1, 400},
    {BYTES(POST CHUNKED "0x3\r\nabc\r\n0\r\n\r\n"), POST CHUNKED CUT_OFF, 1, 400},
    {BYTES(POST CHUNKED "8000000000000000\r\nabc"), POST CHUNKED CUT_OFF, 1, 400},
    {BYTES(POST CHUNKED "00000000000000001\r\nabc"), POST CHUNKED CUT_OFF, 1, 400},
    {BYTES(POST CHUNKED "0\r\nX\r\n\r\n"), POST CHUNKED CUT_OFF, 1, 400},
    {BYTES(POST CHUNKED "0\r\nX: y\n\r\n"), POST CHUNKED CUT_OFF, 1, 400},
    /* The fault is the second's. */
    {BYTES(GET "\r\n" GET "X\r\n\r\n" GET "\r\n"), GET "\r\n" REFUSED, 2, 400},
};

START_TEST(bytes_are_checked) {
  static const size_t pieces[] = {1, 2, 7, SIZE_MAX / 2}, rooms[] = {1, 3, 4096};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (size_t j = 0; j < 12; j++) {
      struct text out = {0}, problem = {0};
      struct intake intake;
      take(rows[i].in, rows[i].in_size, pieces[j % 4], rooms[j / 4], &out, &intake);
      const char *detail = intake.fault.detail;
      unsigned status = detail ? problem_write(&problem, intake.fault.problem, detail) : 0;
      ck_assert_msg(status == rows[i].status, "%s: %u", rows[i].in, status);
      ck_assert_msg(intake.heads == rows[i].heads, "%s", rows[i].in);
      /* What comes behind a fault is handed on, and dropped there. */
      size_t expected = strlen(rows[i].out);
      ck_assert_msg(out.size >= expected &&
                        !memcmp(out.data ? out.data : "", rows[i].out, expected) &&
                        (status || out.size == expected),
                    "%s became %s", rows[i].in, out.data);
      text_free(&out);
      text_free(&problem);
    }
}
END_TEST

/* Heads and lines without end take bounded memory. */
START_TEST(what_has_no_end_is_refused) {
  static const struct {
    const char *start, *more;
    enum problem problem;
  } endless[] = {
      {"GET /", "a", PROBLEM_TARGET_TOO_LONG},
      {"GET /?", "a=b&", PROBLEM_TARGET_TOO_LONG},
      {GET "X: ", "a", PROBLEM_HEADERS_TOO_LARGE},
      {GET, "X: a\r\n", PROBLEM_HEADERS_TOO_LARGE},
      {POST CHUNKED, "0", PROBLEM_BAD_REQUEST},
      {POST CHUNKED "1;", "a", PROBLEM_BAD_REQUEST},
      {POST CHUNKED "0\r\n", "X: a\r\n", PROBLEM_HEADERS_TOO_LARGE},
  };
  for (size_t i = 0; i < sizeof endless / sizeof *endless; i++) {
    struct text in = {0}, out = {0};
    struct intake intake;
    text_add(&in, endless[i].start, strlen(endless[i].start));
    while (in.size < 2 * HEAD_BYTES_MAX)
      text_add(&in, endless[i].more, strlen(endless[i].more));
    take(in.data, in.size, 1000, 4096, &out, &intake);
    ck_assert_msg(intake.fault.detail && intake.fault.problem == endless[i].problem, "%s",
                  endless[i].start);
    text_free(&in);
    text_free(&out);
  }
}
END_TEST

/* Of a whole head, too. */
START_TEST(a_head_has_bounds) {
  static const struct {
    const char *start, *more;
    size_t count;
    const char *end;
    unsigned status;
  } heads[] = {
      {GET "X: ", "a", 30000, "\r\n\r\n", 0},
      {GET "X: ", "a", 33000, "\r\n\r\n", 431},
      {GET "Cookie: ", "a", 33000, "\r\n\r\n", 431},
      {GET, "X: a\r\n", 400, "\r\n", 0},
      {GET, "X: a\r\n", 425, "\r\n", 431}, /* each takes memory beside its text */
      {"GET /", "a", 16000, " HTTP/1.1\r\nHost:x\r\n\r\n", 0},
      {"GET /", "a", 16400, " HTTP/1.1\r\nHost:x\r\n\r\n", 414},
      {"GET /?", "a&", 513, " HTTP/1.1\r\nHost:x\r\n\r\n", 414},
  };
  for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
    struct text in = {0}, out = {0}, problem = {0};
    struct intake intake;
    text_add(&in, heads[i].start, strlen(heads[i].start));
    for (size_t j = 0; j < heads[i].count; j++)
      text_add(&in, heads[i].more, strlen(heads[i].more));
    text_add(&in, heads[i].end, strlen(heads[i].end));
    take(in.data, in.size, 1000, 4096, &out, &intake);
    const char *detail = intake.fault.detail;
    unsigned status = detail ? problem_write(&problem, intake.fault.problem, detail) : 0;
    ck_assert_msg(status == heads[i].status, "%zu: %u", i, status);
    text_free(&in);
    text_free(&out);
    text_free(&problem);
  }
}
END_TEST

int main(void) {
  TCase *cases = tcase_create("intake");
  tcase_add_test(cases, bytes_are_checked);
  tcase_add_test(cases, what_has_no_end_is_refused);
  tcase_add_test(cases, a_head_has_bounds);
  return suite_run("intake", cases);
}
