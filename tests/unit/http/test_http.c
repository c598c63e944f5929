/* The parts of HTTP that work on text alone. */
#include <check.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../suite.h"
#include "accept.h"
#include "base64.h"
#include "compress.h"
#include "keys.h"
#include "multipart.h"
#include "priority.h"
#include "router.h"

START_TEST(accept_chooses_the_best_offer) {
  static const char *const offers[] = {"application/json", "application/x-npy", "image/png"};
  static const struct {
    const char *accept;
    int chosen;
  } rows[] = {
      {NULL, 0},
      {"", 0},
      {"*/*", 0},
      {"image/*", 2},
      {"IMAGE/PNG", 2},
      {"application/x-npy", 1},
      {"application/*", 0},
      {"text/html, */*;q=0.1", 0},
      {"application/json;q=0.2, application/x-npy;q=0.9", 1},
      {"application/json;q=0.2, */*;q=0.9", 1},
      {"*/*, application/json;q=0", 1},
      {"application/json; charset=utf-8 ; q=0.3 , image/png;q=0.4", 2},
      {"text/html", -1},
      {"application/jso", -1},
      {"application", -1},
      {"image/png;q=0", -1},
      {"image/png;q=junk", -1},
      {",,;;,", -1},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    ck_assert_msg(accept_choose(rows[i].accept, offers, 3) == rows[i].chosen, "%s",
                  rows[i].accept ? rows[i].accept : "none");
}
END_TEST

START_TEST(gzip_is_given_to_who_likes_it) {
  static const struct {
    const char *accept;
    bool gzip;
  } rows[] = {
      {NULL, false},
      {"", false},
      {"gzip", true},
      {"GZip", true},
      {"deflate, gzip;q=0.5", true},
      {"*", true},
      {"*;q=0", false},
      {"gzip;q=0, *", false},
      {"*, gzip;q=0", false},
      {"*;q=0, gzip", true},
      {"gzip;q=0", false},
      {"gzip;q=junk", false},
      {"gzip;q=0.5, identity;q=0.6", false},
      {"gzip;q=0.5, identity;q=0.5", true},
      {"identity", false},
      {"identity;q=0", false},
      {"gzippy", false},
      {"gz", false},
      {"br, x-gzip", false},
      {",,;;,", false},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    ck_assert_msg(compress_accepted(rows[i].accept) == rows[i].gzip, "%s",
                  rows[i].accept ? rows[i].accept : "none");
}
END_TEST

START_TEST(what_is_no_smaller_stays_as_it_is) {
  struct reply reply = {.status = 200, .type = "application/json"};
  uint32_t state = 1;
  for (int i = 0; i < 4096; i++) {
    state = state * 1664525 + 1013904223;
    unsigned char byte = (unsigned char)(state >> 24);
    text_add(&reply.body, &byte, 1);
  }
  ck_assert(compress_worthwhile(&reply));
  const char *data = reply.body.data;
  compress_reply(&reply);
  ck_assert_ptr_null(reply.coding);
  ck_assert_ptr_eq(reply.body.data, data);
  ck_assert_uint_eq(reply.body.size, 4096);
  memset(reply.body.data, 'x', 4096);
  compress_reply(&reply);
  ck_assert_str_eq(reply.coding, "gzip");
  ck_assert(!compress_worthwhile(&reply)); /* not twice */
  ck_assert_uint_lt(reply.body.size, 100);
  reply_problem(&reply, PROBLEM_INTERNAL, "instead");
  ck_assert_ptr_null(reply.coding);
  reply_free(&reply);
}
END_TEST

START_TEST(a_bucket_gives_a_second_at_once_and_then_its_rate) {
  const uint64_t second = 1000000000, start = 5 * second;
  struct bucket bucket = {0};
  ck_assert_double_eq_tol(bucket_left(&bucket, 4, start), 4, 1e-9);
  for (int i = 0; i < 4; i++) {
    ck_assert_uint_eq(bucket_wait(&bucket, 4, 1, start), 0);
    bucket_take(&bucket, 4, 1, start);
  }
  ck_assert_double_eq_tol(bucket_left(&bucket, 4, start), 0, 1e-9);
  ck_assert_uint_eq(bucket_wait(&bucket, 4, 1, start), 1);
  ck_assert_double_eq_tol(bucket_left(&bucket, 4, start + second / 2), 2, 1e-9);
  ck_assert_uint_eq(bucket_wait(&bucket, 4, 4, start + second / 2), 1);
  ck_assert_double_eq_tol(bucket_left(&bucket, 4, start + 100 * second), 4, 1e-9); /* no more */
  bucket_take(&bucket, 4, 42, start + second); /* a debt of 38 */
  ck_assert_double_eq_tol(bucket_left(&bucket, 4, start + second), -38, 1e-9);
  ck_assert_uint_eq(bucket_wait(&bucket, 4, 1, start + second), 10);
  ck_assert_uint_eq(bucket_wait(&bucket, 4, 1, start + 10 * second), 1);
  ck_assert_uint_eq(bucket_wait(&bucket, 4, 1, start + 11 * second), 0);
  bucket_take(&bucket, 1e-300, 1e300, start + 12 * second);
  ck_assert_uint_eq(bucket_wait(&bucket, 1e-300, 1, start + 12 * second), INT_MAX);
}
END_TEST

/* The dictionaries of RFC 8941, section 3.2, with what RFC 9218, section 4, says of their members.
 */
START_TEST(priority_gives_the_urgency_or_is_ignored) {
  static const struct {
    const char *value;
    unsigned urgency;
  } rows[] = {
      {"u=0", 0},
      {"u=7", 7},
      {" u=5 ", 5},
      {"i, u=6", 6},
      {"u=2,i", 2},
      {"u=2 \t,\t i=?0", 2},
      {"u=1;x;y=2; z=\"u=7\"", 1},
      {"a=(1 u;u=6 \"u=7\");u=4, u=2", 2},
      {"a=:dT03:, b=tok/en:en, c=*u, d=-1.5, e=\"\\\"u=1\\\\\", *f=?1, u=1", 1},
      {"u=-0", 0},
      {"u=007", 7},
      {"u=1, u=6", 6}, /* the last of a key counts, */
      {"u=1, u", 3},   /* whatever it is */
      {"u=8", 3},      /* out of range, or of another type: ignored alone, */
      {"u=-1", 3},
      {"u=5.0", 3},
      {"u=?1", 3},
      {"u=\"1\"", 3},
      {"u=(1)", 3},
      {"u;v=1", 3},
      {"u=999999999999999", 3},
      {"", 3},
      {"   ", 3},
      {"i", 3},
      {"U=1", 3}, /* and what is no dictionary as a whole */
      {"u=1,", 3},
      {"u=1,,i", 3},
      {"u=1 i", 3},
      {"u =1", 3},
      {"u= 1", 3},
      {"u=", 3},
      {"u=1;", 3},
      {"u=1;X", 3},
      {"\tu=1", 3},
      {"u=1, a=\"", 3},
      {"u=1, a=\"\\", 3},
      {"u=1, a=\"\x7f\"", 3},
      {"u=1, a=\"\xc3\xa4\"", 3},
      {"u=1, a=:", 3},
      {"u=1, a=:_:", 3},
      {"u=1, a=(", 3},
      {"u=1, a=(1", 3},
      {"u=1, a=(1,2)", 3},
      {"u=1, a=(1\"b\")", 3},
      {"u=1, a=?2", 3},
      {"u=1, a=1.", 3},
      {"u=1, a=1.2345", 3},
      {"u=1, a=1234567890123.1", 3},
      {"u=1, a=1234567890123456", 3},
      {"u=1, a=-", 3},
      {"u=1, a=@1", 3},
      {"u=1\n", 3},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    ck_assert_msg(priority_urgency(rows[i].value) == rows[i].urgency, "%s", rows[i].value);
}
END_TEST

START_TEST(content_type_is_read) {
  static const struct {
    const char *type, *boundary; /* NULL: none */
  } rows[] = {
      {"multipart/form-data; boundary=abc", "abc"},
      {"Multipart/Form-Data ;Boundary=\"a b\"; x=y", "a b"},
      {"multipart/form-data; x=\"boundary=no\"; boundary=yes", "yes"},
      {"multipart/form-data; boundary=", NULL},
      {"multipart/form-data; boundary=\"open", NULL},
      {"multipart/form-data; boundary=123456789012345", NULL}, /* longer than the room */
      {"multipart/form-data", NULL},
      {"multipart/form-data; boundaryx=1", NULL},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char value[12];
    ck_assert(content_type_is(rows[i].type, "multipart/form-data"));
    bool found = content_type_parameter(rows[i].type, "boundary", value, sizeof value);
    ck_assert_msg(found == (rows[i].boundary != NULL), "%s", rows[i].type);
    if (found)
      ck_assert_str_eq(value, rows[i].boundary);
  }
  ck_assert(!content_type_is("multipart/form-data2", "multipart/form-data"));
  ck_assert(!content_type_is("multipart/form", "multipart/form-data"));
}
END_TEST

/* Writes each part as "name:filename=data|" and how the body ended. */
static const char *parse(const char *boundary, const char *body) {
  static char out[512];
  struct multipart multipart;
  struct multipart_part part;
  enum multipart_step step = MULTIPART_BROKEN;
  /* A copy of the exact size, so that reading past it shows under ASan. */
  size_t size = strlen(body);
  char *copy = malloc(size ? size : 1);
  memcpy(copy, body, size);
  out[0] = '\0';
  if (multipart_begin(&multipart, boundary, copy, size))
    while ((step = multipart_next(&multipart, &part)) == MULTIPART_PART)
      sprintf(out + strlen(out), "%s:%s=%.*s|", part.name, part.filename, (int)part.size,
              part.data);
  free(copy);
  return strcat(out, step == MULTIPART_END ? "end" : "broken");
}

START_TEST(multipart_is_taken_apart) {
#define DISPOSITION "Content-Disposition: form-data; name=\"n\"; filename=\"f\"\r\n\r\n"
  static const struct {
    const char *body, *parts;
  } rows[] = {
      {"--B\r\n" DISPOSITION "data\r\n--B--\r\n", "n:f=data|end"},
      {"--B\r\n" DISPOSITION "\r\n--B--", "n:f=|end"},
      {"--B\r\n" DISPOSITION "a\r\n--B\r\nContent-Type: x\r\ncontent-disposition: form-data;"
       "name=\"m\"\r\nX: y\r\n\r\nb\r\nc\r\n--B--",
       "n:f=a|m:=b\r\nc|end"},
      {"--B\r\n\r\nbare\r\n--B--", ":=bare|end"},
      {"--B--", "end"},
      {"\r\n--B\r\n" DISPOSITION "a\r\n--B--", "n:f=a|end"},
      {"before--B\r\nit\r\n--B \t\r\n" DISPOSITION "a\r\n--B \r\n\r\nb\r\n--B--\r\nafter",
       "n:f=a|:=b|end"},
      {"before\r\n--", "broken"},
      {"--B ", "broken"},
      {"--B x\r\n" DISPOSITION "a\r\n--B--", "broken"},
      {"", "broken"},
      {"--B", "broken"},
      {"--C\r\n", "broken"},
      {"--B\r\n", "broken"},
      {"--B\r\n" DISPOSITION "data", "broken"},
      {"--B\r\n" DISPOSITION "data\r\n--B", "n:f=data|broken"},
      {"--B\r\n" DISPOSITION "data\r\n--B\r\nContent-Disp", "n:f=data|broken"},
      {"--B\r\nContent-Disposition: form-data; name=\"n\r\n\r\nx\r\n--B--", ":=x|end"},
      {"--B\r\nContent-Disposition:;;;name=;name=\"\r\n\r\nx\r\n--B--", ":=x|end"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    ck_assert_str_eq(parse("B", rows[i].body), rows[i].parts);
  char longest[72];
  memset(longest, 'b', 71);
  longest[71] = '\0';
  ck_assert_str_eq(parse(longest, "x"), "broken");
  ck_assert_str_eq(parse("", "--\r\n"), "broken");
}
END_TEST

START_TEST(base64_goes_there_and_back) {
  static const struct {
    const char *plain, *coded;
  } rows[] = {{"", ""},
              {"f", "Zg=="},
              {"fo", "Zm8="},
              {"foo", "Zm9v"},
              {"foob", "Zm9vYg=="},
              {"fooba", "Zm9vYmE="},
              {"foobar", "Zm9vYmFy"},
              {"\xfb\xff\xbf", "+/+/"}}; /* RFC 4648, section 10 */
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct text text = {0};
    unsigned char data[16];
    size_t size;
    base64_add(&text, rows[i].plain, strlen(rows[i].plain));
    ck_assert_str_eq(text.data, rows[i].coded);
    ck_assert(base64_decode(rows[i].coded, strlen(rows[i].coded), data, &size));
    ck_assert_uint_eq(size, strlen(rows[i].plain));
    ck_assert_int_eq(memcmp(data, rows[i].plain, size), 0);
    text_free(&text);
  }
  static const struct {
    const char *coded, *plain;
  } variants[] = {{"Zg", "f"},
                  {"Zm8", "fo"},
                  {"Zm9v\nYg==\n", "foob"},
                  {"Zm 9\r\nv", "foo"},
                  {"-_-_", "\xfb\xff\xbf"},
                  {"Zg=\n=", "f"}};
  for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
    unsigned char data[16];
    size_t size;
    ck_assert(base64_decode(variants[i].coded, strlen(variants[i].coded), data, &size));
    ck_assert_uint_eq(size, strlen(variants[i].plain));
    ck_assert_int_eq(memcmp(data, variants[i].plain, size), 0);
  }
  static const char *const wrong[] = {"Z",        "Zg=",  "Z===",  "====",  "=",
                                      "Zg==Zg==", "Zg=a", "Zm9v=", "Zm9vY", "\xff\xff\xff\xff"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    unsigned char data[16];
    size_t size;
    ck_assert_msg(!base64_decode(wrong[i], strlen(wrong[i]), data, &size), "%s", wrong[i]);
  }
}
END_TEST

START_TEST(routes_are_found) {
  static const struct route routes[] = {{.method = "GET", .path = "/a"},
                                        {.method = "POST", .path = "/a"},
                                        {.method = "GET", .path = "/a/{id}"},
                                        {.method = "GET", .path = "/a/{id}/b"}};
  static const struct {
    const char *method, *path;
    int route; /* -1: none */
    const char *parameter, *allow;
  } rows[] = {
      {"GET", "/a", 0, "", "GET, HEAD, POST, OPTIONS"},
      {"HEAD", "/a", 0, "", "GET, HEAD, POST, OPTIONS"},
      {"POST", "/a", 1, "", "GET, HEAD, POST, OPTIONS"},
      {"get", "/a", -1, "", "GET, HEAD, POST, OPTIONS"},
      {"PUT", "/a", -1, "", "GET, HEAD, POST, OPTIONS"},
      {"GET", "/a/12", 2, "12", "GET, HEAD, OPTIONS"},
      {"POST", "/a/12", -1, "", "GET, HEAD, OPTIONS"},
      {"GET", "/a/12/b", 3, "12", "GET, HEAD, OPTIONS"},
      {"GET", "/a/", -1, "", ""},
      {"GET", "/a/12/", -1, "", ""},
      {"GET", "/a/12/c", -1, "", ""},
      {"GET", "", -1, "", ""},
      {"GET", "/A", -1, "", ""},
#define DIGITS_32 "12345678901234567890123456789012"
      {"GET", "/a/" DIGITS_32 DIGITS_32 DIGITS_32, 2, DIGITS_32 DIGITS_32 DIGITS_32,
       "GET, HEAD, OPTIONS"},
      {"GET", "/a/" DIGITS_32 DIGITS_32 DIGITS_32 "3", -1, "", ""},
#undef DIGITS_32
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct route_match match;
    router_match(routes, 4, rows[i].method, rows[i].path, &match);
    ck_assert_msg(match.route == (rows[i].route < 0 ? NULL : &routes[rows[i].route]), "%s %s",
                  rows[i].method, rows[i].path);
    ck_assert_str_eq(match.parameter, rows[i].parameter);
    ck_assert_str_eq(match.allow, rows[i].allow);
    ck_assert(match.path_known == (*rows[i].allow != '\0'));
  }
}
END_TEST

static enum vqct_status read_keys(const char *text, struct keys **keys, struct vqct_error *error) {
  char path[] = "/tmp/vqct-keys-XXXXXX";
  int file = mkstemp(path);
  ck_assert_int_ge(file, 0);
  ck_assert_int_eq(write(file, text, strlen(text)), (ssize_t)strlen(text));
  close(file);
  enum vqct_status status = keys_read(path, keys, error);
  unlink(path);
  return status;
}

START_TEST(keys_are_found_by_their_hash) {
  /* printf %s alpha | sha256sum; printf %s beta | sha256sum */
  static const char text[] =
      "# who may\n\n"
      "8ed3f6ad685b959ead7022518e1af76cd816f8e8ec7ccdda1ed4018e8f2223f8\tfirst one \r\n"
      "F44E64E75F3948E9F73F8DFA94721C4CE8CBB4F265C4790C702B2D41CFBF2753\n";
  struct keys *keys;
  struct vqct_error error;
  ck_assert_int_eq(read_keys(text, &keys, &error), VQCT_OK);
  ck_assert_str_eq(keys_find(keys, "alpha")->name, "first one");
  ck_assert_str_eq(keys_find(keys, "beta")->name, "");
  struct key copy = *keys_find(keys, "beta");
  ck_assert_ptr_eq(keys_of_hash(keys, copy.hash), keys_find(keys, "beta"));
  copy.hash[KEY_HASH_BYTES - 1] ^= 1;
  ck_assert_ptr_null(keys_of_hash(keys, copy.hash));
  ck_assert_ptr_null(keys_find(keys, "gamma"));
  ck_assert_ptr_null(keys_find(keys, ""));
  keys_free(keys);
}
END_TEST

START_TEST(bad_key_files_are_refused) {
#define HASH "8ed3f6ad685b959ead7022518e1af76cd816f8e8ec7ccdda1ed4018e8f2223f8"
  static const char *const rows[] = {
      "",
      "# none\n",
      "short\n",
      "g" HASH "\n",
      HASH "0 too long\n",
      HASH "\n" HASH "x\n",
      HASH " a name of more than sixty-three characters, which the log has no room for\n",
      HASH "                                                                             "
           "                                                                             "
           "                                                                             x\n"};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct keys *keys;
    struct vqct_error error;
    ck_assert_int_eq(read_keys(rows[i], &keys, &error), VQCT_DATA);
    ck_assert_ptr_null(keys);
  }
}
END_TEST

START_TEST(any_bytes_become_json) {
  static const struct {
    const char *bytes, *json;
  } rows[] = {
      {"plain", "\"plain\""},
      {"\"\\/", "\"\\\"\\\\/\""},
      {"\x01\n\x7f", "\"\\u0001\\u000a\\u007f\""},
      {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
      {"\xff", "\"?\""},
      {"\xc3", "\"?\""},
      {"a\xe2\x82", "\"a??\""},
      {"\xc0\xaf", "\"??\""},           /* overlong */
      {"\xed\xa0\x80", "\"???\""},      /* a surrogate */
      {"\xf4\x90\x80\x80", "\"????\""}, /* beyond Unicode */
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct text text = {0};
    text_add_json(&text, rows[i].bytes);
    ck_assert_str_eq(text.data, rows[i].json);
    text_free(&text);
  }
}
END_TEST

int main(void) {
  TCase *cases = tcase_create("http");
  tcase_add_test(cases, accept_chooses_the_best_offer);
  tcase_add_test(cases, a_bucket_gives_a_second_at_once_and_then_its_rate);
  tcase_add_test(cases, gzip_is_given_to_who_likes_it);
  tcase_add_test(cases, what_is_no_smaller_stays_as_it_is);
  tcase_add_test(cases, priority_gives_the_urgency_or_is_ignored);
  tcase_add_test(cases, content_type_is_read);
  tcase_add_test(cases, multipart_is_taken_apart);
  tcase_add_test(cases, base64_goes_there_and_back);
  tcase_add_test(cases, routes_are_found);
  tcase_add_test(cases, keys_are_found_by_their_hash);
  tcase_add_test(cases, bad_key_files_are_refused);
  tcase_add_test(cases, any_bytes_become_json);
  return suite_run("http", cases);
}
