/* What the older protocols of pickles say, as Python's own reader takes it. Whole files are
 * compared in tests/reference. */
#include <math.h>
#include <string.h>

#include "../suite.h"
#include "pickle.h"

static const struct {
  const char *stream;
  size_t size;
  const char *text; /* NULL: it is refused */
  size_t count;
} texts[] = {
#define STREAM(bytes) bytes, sizeof bytes - 1
    {STREAM("Va\xe9\\u65e5\\U0001f600\n."), STREAM("a\xc3\xa9\xe6\x97\xa5\xf0\x9f\x98\x80")},
    {STREAM("V\\\\u0041\\n\\\n."), STREAM("\\\\u0041\\n\\")}, /* not escapes */
    {STREAM("V\\u000a\\u005cu0041\\u0000\n."), STREAM("\n\\u0041\0")},
    {STREAM("V\\u12\n."), NULL, 0},
    {STREAM("V\\u12g4\n."), NULL, 0},
    {STREAM("V\\U00110000\n."), NULL, 0},
    {STREAM("S'a\\'\"\\\\\\n\\x00\\xFf'\n."), STREAM("a'\"\\\n\0\xff")},
    {STREAM("S\"it's\"\n."), STREAM("it's")},
    {STREAM("S'\\q'\n."), NULL, 0},
    {STREAM("S'\\xf'\n."), NULL, 0},
    {STREAM("S'a\\'\n."), NULL, 0},
    {STREAM("S'a\"\n."), NULL, 0},
    {STREAM("S'\n."), NULL, 0},
    {STREAM("c_codecs\nencode\n(V\\u0000\xff\x7f\nVlatin1\ntR."), STREAM("\0\xff\x7f")},
    {STREAM("c_codecs\nencode\n(V\\u0100\nVlatin1\ntR."), NULL, 0},
    {STREAM("c_codecs\nencode\n(X\x01\0\0\0\xc3Vlatin1\ntR."), NULL, 0},
};

START_TEST(text) {
  struct pickle pickle;
  struct vqct_error error;
  enum vqct_status status = pickle_read("p", texts[_i].stream, texts[_i].size, &pickle, &error);
  ck_assert_msg((status == VQCT_OK) == (texts[_i].text != NULL), "%s",
                status ? error.message : "it was not refused");
  if (!status) {
    ck_assert_int_eq(pickle.root->kind, PICKLE_TEXT);
    ck_assert_uint_eq(pickle.root->count, texts[_i].count);
    ck_assert_mem_eq(pickle.root->text, texts[_i].text, texts[_i].count + 1);
  }
  pickle_free(&pickle);
}
END_TEST

static const struct {
  const char *stream;
  enum pickle_kind kind; /* PICKLE_MARK: it is refused */
  double value;
} numbers[] = {
    {"I-5\n.", PICKLE_INTEGER, -5},
    {"L17L\n.", PICKLE_INTEGER, 17},
    {"I01\n.", PICKLE_BOOLEAN, 1},
    {"I00\n.", PICKLE_BOOLEAN, 0},
    {"I0\n.", PICKLE_INTEGER, 0},
    {"L9223372036854775807L\n.", PICKLE_INTEGER, 9223372036854775807.0},
    {"L9223372036854775808L\n.", PICKLE_LARGE, 0},
    {"L-1000000000000000000000000000000000000000000000000000000000000000000L\n.", PICKLE_LARGE, 0},
    {"F1.5e3\n.", PICKLE_REAL, 1500},
    {"F-inf\n.", PICKLE_REAL, -INFINITY},
    {"F1,5\n.", PICKLE_MARK, 0},
    {"F\n.", PICKLE_MARK, 0},
    {"I\n.", PICKLE_MARK, 0},
    {"I-\n.", PICKLE_MARK, 0},
    {"I 1\n.", PICKLE_MARK, 0},
    {"I1.5\n.", PICKLE_MARK, 0},
    {"(dp01\n.", PICKLE_MARK, 0}, /* a memo's number */
};

START_TEST(number) {
  struct pickle pickle;
  struct vqct_error error;
  enum vqct_status status =
      pickle_read("p", numbers[_i].stream, strlen(numbers[_i].stream), &pickle, &error);
  ck_assert_int_eq(status != VQCT_OK, numbers[_i].kind == PICKLE_MARK);
  if (!status) {
    ck_assert_int_eq(pickle.root->kind, numbers[_i].kind);
    double value = pickle.root->kind == PICKLE_REAL    ? pickle.root->real
                   : pickle.root->kind == PICKLE_LARGE ? 0
                                                       : (double)pickle.root->integer;
    ck_assert_double_eq(value, numbers[_i].value);
  }
  pickle_free(&pickle);
}
END_TEST

int main(void) {
  TCase *cases = tcase_create("pickle");
  tcase_add_loop_test(cases, text, 0, sizeof texts / sizeof *texts);
  tcase_add_loop_test(cases, number, 0, sizeof numbers / sizeof *numbers);
  return suite_run("pickle", cases);
}
