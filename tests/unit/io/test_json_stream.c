/* Documents against the pieces that RFC 8259 makes of them, written as one line of text:
 * { } [ ] for containers, k:TEXT s:TEXT n:TEXT for keys, strings and numbers, t f 0 for words. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decimal.h"
#include "json_stream.h"

static const char marks[] = {
    [JSON_EVENT_OBJECT_BEGIN] = '{', [JSON_EVENT_OBJECT_END] = '}', [JSON_EVENT_ARRAY_BEGIN] = '[',
    [JSON_EVENT_ARRAY_END] = ']',    [JSON_EVENT_KEY] = 'k',        [JSON_EVENT_STRING] = 's',
    [JSON_EVENT_NUMBER] = 'n',       [JSON_EVENT_TRUE] = 't',       [JSON_EVENT_FALSE] = 'f',
    [JSON_EVENT_NULL] = '0'};

/* Reads a document of `size` bytes and writes its pieces; returns how the reading ended. */
static enum vqct_status pieces_of(const char *document, size_t size, char *pieces, size_t capacity,
                                  struct vqct_error *error) {
  struct byte_stream *bytes;
  struct json_stream *json;
  ck_assert_int_eq(byte_stream_open_memory("doc", document, size, 1, &bytes, error), VQCT_OK);
  ck_assert_int_eq(json_stream_open(bytes, &json, error), VQCT_OK);
  size_t used = 0;
  enum json_event event;
  enum vqct_status status;
  pieces[0] = '\0';
  while ((status = json_stream_next(json, &event, error)) == VQCT_OK && event != JSON_EVENT_END) {
    size_t length;
    const char *text = json_stream_text(json, &length);
    bool has_text =
        event == JSON_EVENT_KEY || event == JSON_EVENT_STRING || event == JSON_EVENT_NUMBER;
    int wrote = snprintf(pieces + used, capacity - used, "%c%s%s ", marks[event],
                         has_text ? ":" : "", has_text ? text : "");
    ck_assert_int_gt((int)(capacity - used), wrote);
    used += (size_t)wrote;
  }
  if (status == VQCT_OK) /* the end stays the end */
    ck_assert(json_stream_next(json, &event, error) == VQCT_OK && event == JSON_EVENT_END);
  json_stream_close(json);
  byte_stream_close(bytes);
  return status;
}

static const struct {
  const char *document, *pieces;
} good[] = {
    {"{}", "{ } "},
    {" [ ] \n", "[ ] "},
    {"null", "0 "},
    {"\"\"", "s: "},
    {"-0.5e+10", "n:-0.5e+10 "},
    {"[1,2 , 3]", "[ n:1 n:2 n:3 ] "},
    {"{\"a\":{\"b\":[true,false,null]},\"c\":\"d\"}", "{ k:a { k:b [ t f 0 ] } k:c s:d } "},
    {"[[],{},[[]]]", "[ [ ] { } [ [ ] ] ] "},
    {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "s:\"\\/\b\f\n\r\t "},
    {"\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\"", "s:A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 "},
    {"\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"", "s:\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 "},
    {"{\"a\":1,\"a\":2}", "{ k:a n:1 k:a n:2 } "},
};

START_TEST(documents_give_their_pieces) {
  char pieces[512];
  struct vqct_error error;
  ck_assert_int_eq(
      pieces_of(good[_i].document, strlen(good[_i].document), pieces, sizeof pieces, &error),
      VQCT_OK);
  ck_assert_str_eq(pieces, good[_i].pieces);
}
END_TEST

static const struct {
  const char *document, *message;
} bad[] = {
    {"", "doc:1: byte 1: expected a value"},
    {"{", "doc:1: byte 2: expected a key in quotes"},
    {"[1", "doc:1: byte 3: expected \",\" or \"]\""},
    {"[1}", "doc:1: byte 3: expected \",\" or \"]\""},
    {"{\"a\":1]", "doc:1: byte 7: expected \",\" or \"}\""},
    {"[1,]", "doc:1: byte 4: expected a value"},
    {"{\"a\":1,}", "doc:1: byte 8: expected a key in quotes"},
    {"{\"a\" 1}", "doc:1: byte 6: expected \":\" after a key"},
    {"{a:1}", "doc:1: byte 2: expected a key in quotes"},
    {"[\n1,\n 2\n3]", "doc:4: byte 1: expected \",\" or \"]\""},
    {"1 2", "doc:1: byte 3: expected the end of the file"},
    {"tru", "doc:1: byte 4: expected true, false or null"},
    {"nul1", "doc:1: byte 4: expected true, false or null"},
    {"01", "doc:1: byte 3: expected a number"},
    {"1.", "doc:1: byte 3: expected a number"},
    {".5", "doc:1: byte 1: expected a value"},
    {"1e", "doc:1: byte 3: expected a number"},
    {"--1", "doc:1: byte 4: expected a number"},
    {"NaN", "doc:1: byte 1: expected a value"},
    {"\"abc", "doc:1: byte 5: expected the end of a string"},
    {"\"a\nb\"", "doc:1: byte 3: expected no control character in a string"},
    {"\"\\x\"", "doc:1: byte 3: expected an escape such as \\n or \\u00e9"},
    {"\"\\u12g4\"", "doc:1: byte 6: expected four hexadecimal digits"},
    {"\"\\udc00\"", "doc:1: byte 8: expected a first surrogate before a second one"},
    {"\"\\ud83d\"", "doc:1: byte 8: expected a second surrogate"},
    {"\"\\ud83d\\u0041\"", "doc:1: byte 14: expected a second surrogate"},
    {"\"\xff\"", "doc:1: byte 2: expected valid UTF-8"},
    {"\"\xc0\x80\"", "doc:1: byte 2: expected valid UTF-8"},
    {"\"\xe0\x80\x80\"", "doc:1: byte 5: expected valid UTF-8"},
    {"\"\xed\xa0\x80\"", "doc:1: byte 5: expected valid UTF-8"},
    {"\"\xf4\x90\x80\x80\"", "doc:1: byte 6: expected valid UTF-8"},
    {"\"\xc3\"", "doc:1: byte 3: expected valid UTF-8"},
};

START_TEST(faults_are_named_with_their_place) {
  char pieces[512];
  struct vqct_error error;
  ck_assert_int_eq(
      pieces_of(bad[_i].document, strlen(bad[_i].document), pieces, sizeof pieces, &error),
      VQCT_DATA);
  ck_assert_str_eq(error.message, bad[_i].message);
}
END_TEST

START_TEST(depth_and_length_are_bounded) {
  struct vqct_error error;
  char deep[2 * JSON_DEPTH_MAX + 2], pieces[1024];
  memset(deep, '[', JSON_DEPTH_MAX);
  memset(deep + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
  ck_assert_int_eq(pieces_of(deep, 2 * JSON_DEPTH_MAX, pieces, sizeof pieces, &error), VQCT_OK);
  memset(deep, '[', JSON_DEPTH_MAX + 1);
  ck_assert_int_eq(pieces_of(deep, JSON_DEPTH_MAX + 1, pieces, sizeof pieces, &error), VQCT_LIMIT);
  ck_assert_str_eq(error.message, "doc:1: more than 64 levels of JSON");

  char *longest = malloc(JSON_TEXT_MAX + 3);
  ck_assert_ptr_nonnull(longest);
  memset(longest, 'x', JSON_TEXT_MAX + 3);
  longest[0] = longest[JSON_TEXT_MAX + 2] = '"';
  ck_assert_int_eq(pieces_of(longest, JSON_TEXT_MAX + 3, pieces, sizeof pieces, &error),
                   VQCT_LIMIT);
  memset(longest, '1', DECIMAL_LENGTH_MAX + 1);
  ck_assert_int_eq(pieces_of(longest, DECIMAL_LENGTH_MAX, pieces, sizeof pieces, &error), VQCT_OK);
  ck_assert_int_eq(pieces_of(longest, DECIMAL_LENGTH_MAX + 1, pieces, sizeof pieces, &error),
                   VQCT_LIMIT);
  ck_assert_str_eq(error.message, "doc:1: a number of over 512 bytes");
  free(longest);
}
END_TEST

START_TEST(skip_passes_whole_values) {
  static const char document[] = "{\"a\":[1,{\"b\":[2]}],\"c\":3,\"d\":4}";
  struct byte_stream *bytes;
  struct json_stream *json;
  struct vqct_error error;
  enum json_event event;
  byte_stream_open_memory("doc", document, sizeof document - 1, 1, &bytes, &error);
  json_stream_open(bytes, &json, &error);
  double found = 0;
  ck_assert_int_eq(json_stream_next(json, &event, &error), VQCT_OK);
  while (json_stream_next(json, &event, &error) == VQCT_OK && event == JSON_EVENT_KEY) {
    if (!json_stream_text_is(json, "c")) {
      ck_assert_int_eq(json_stream_skip(json, &error), VQCT_OK);
      continue;
    }
    ck_assert_int_eq(json_stream_next(json, &event, &error), VQCT_OK);
    found = json_stream_number(json);
  }
  ck_assert_int_eq(event, JSON_EVENT_OBJECT_END);
  ck_assert_double_eq(found, 3);
  json_stream_close(json);
  byte_stream_close(bytes);
}
END_TEST

static const struct {
  const char *text;
  double value;
} numbers[] = {
    {"0", 0.0},
    {"-0", -0.0},
    {"1", 1.0},
    {"+1.5", 1.5},
    {".5", .5},
    {"5.", 5.0},
    {"0.1", 0.1},
    {"-0.038194", -0.038194},
    {"2.95153011", 2.95153011},
    {"9007199254740993", 9007199254740993.0}, /* 2^53 + 1 */
    {"1e22", 1e22},
    {"1e23", 1e23}, /* not exact: the slow way */
    {"1.7976931348623157e308", 0x1.fffffffffffffp+1023},
    {"4.9406564584124654e-324", 0x1p-1074},
    {"123456789012345678901234567890", 123456789012345678901234567890.0},
    {"0.00000000000000000000000000000123", 1.23e-30},
    {"1e-99999999999", 0.0},
    {"1e99999999999", INFINITY},
};

START_TEST(decimal_is_the_nearest_double) {
  double value;
  ck_assert(decimal_parse(numbers[_i].text, strlen(numbers[_i].text), &value));
  ck_assert(!memcmp(&value, &numbers[_i].value, sizeof value));
}
END_TEST

START_TEST(decimal_refuses_other_text) {
  static const char *const texts[] = {"",    "-",   ".",  "+.", "1e",  "1e+", "1.2.3", "nan",
                                      "inf", "0x1", "1 ", " 1", "1,5", "e5",  "1e5x",  "--1"};
  double value;
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    ck_assert_msg(!decimal_parse(texts[i], strlen(texts[i]), &value), "'%s'", texts[i]);
  char digits[DECIMAL_LENGTH_MAX + 1];
  memset(digits, '1', sizeof digits);
  ck_assert(decimal_parse(digits, 300, &value));
  ck_assert(!decimal_parse(digits, sizeof digits, &value));
}
END_TEST

int main(void) {
  Suite *suite = suite_create("json_stream");
  TCase *tests = tcase_create("json_stream");
  suite_add_tcase(suite, tests);
  tcase_add_loop_test(tests, documents_give_their_pieces, 0, sizeof good / sizeof *good);
  tcase_add_loop_test(tests, faults_are_named_with_their_place, 0, sizeof bad / sizeof *bad);
  tcase_add_test(tests, depth_and_length_are_bounded);
  tcase_add_test(tests, skip_passes_whole_values);
  tcase_add_loop_test(tests, decimal_is_the_nearest_double, 0, sizeof numbers / sizeof *numbers);
  tcase_add_test(tests, decimal_refuses_other_text);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed != 0;
}
