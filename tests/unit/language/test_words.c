/* Words: the table that numbers them, UTF-8, lower case, and captions cut into words. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "../suite.h"
#include "tokenize.h"
#include "utf8.h"
#include "word_table.h"

START_TEST(a_table_numbers_words_in_order) {
  struct word_table table = {0};
  uint32_t id;
  ck_assert_uint_eq(word_table_find(&table, "dog", 3), WORD_NONE);
  for (uint32_t i = 0; i < 20000; i++) {
    char word[16];
    int length = snprintf(word, sizeof word, "w%u", (unsigned)i);
    ck_assert(word_table_add(&table, word, (size_t)length, &id));
    ck_assert_uint_eq(id, i);
  }
  for (uint32_t i = 0; i < 20000; i += 7) {
    char word[16];
    int length = snprintf(word, sizeof word, "w%u", (unsigned)i);
    ck_assert_uint_eq(word_table_find(&table, word, (size_t)length), i);
    ck_assert(word_table_add(&table, word, (size_t)length, &id));
    ck_assert_uint_eq(id, i);
    ck_assert_str_eq(word_table_text(&table, i), word);
  }
  ck_assert_uint_eq(table.count, 20000);
  ck_assert_uint_eq(word_table_find(&table, "w1", 1), WORD_NONE);
  ck_assert_uint_eq(word_table_find(&table, "w199999", 7), WORD_NONE);
  word_table_free(&table);
}
END_TEST

static const struct {
  const char *text;
  size_t length;
  bool good;
} encodings[] = {
    {"", 0, true},
    {"plain", 5, true},
    {"caf\xc3\xa9", 5, true},
    {"\xe2\x82\xac \xf0\x9f\x90\x95", 8, true},
    {"\xed\x9f\xbf", 3, true},
    {"\xf4\x8f\xbf\xbf", 4, true},
    {"a\0b", 3, false},
    {"\x80", 1, false},
    {"caf\xc3", 4, false},
    {"\xc3\x28", 2, false},
    {"\xc0\xaf", 2, false},         /* overlong / */
    {"\xe0\x80\xaf", 3, false},     /* overlong / */
    {"\xf0\x80\x80\xaf", 4, false}, /* overlong / */
    {"\xed\xa0\x80", 3, false},     /* a surrogate */
    {"\xf4\x90\x80\x80", 4, false}, /* over U+10FFFF */
    {"\xf5\x80\x80\x80", 4, false},
    {"\xff\xfe", 2, false},
    {"\xe2\x82", 2, false},
};

START_TEST(utf8_is_told_from_other_bytes) {
  ck_assert_msg(utf8_is_valid(encodings[_i].text, encodings[_i].length) == encodings[_i].good,
                "row %d", _i);
}
END_TEST

static const struct {
  const char *text, *lower;
} cases[] = {
    {"A Dog", "a dog"},
    {"\xc3\x89"
     "CLAIR \xc3\x97",
     "\xc3\xa9"
     "clair \xc3\x97"}, /* E acute; the times sign stays */
    {"\xc5\xa0koda \xc5\xbbuk \xc4\x8c", "\xc5\xa1koda \xc5\xbcuk \xc4\x8d"}, /* S, Z, C */
    {"\xc5\xb8", "\xc3\xbf"},      /* Y with two dots leaves Extended-A */
    {"man\xe2\x80\x99s", "man's"}, /* typographic apostrophe */
    {"\xce\xa9 \xf0\x9f\x90\x95 \xe2\x82\xac", "\xce\xa9 \xf0\x9f\x90\x95 \xe2\x82\xac"},
};

START_TEST(text_becomes_lower_case) {
  char text[64];
  size_t length = strlen(cases[_i].text);
  memcpy(text, cases[_i].text, length);
  length = utf8_lower(text, length);
  text[length] = '\0';
  ck_assert_str_eq(text, cases[_i].lower);
}
END_TEST

/* Words are divided by | here. */
static const struct {
  const char *text, *words;
} sentences[] = {
    {"a brown dog runs .", "a|brown|dog|runs|."},
    {"a brown dog runs.", "a|brown|dog|runs|."},
    {"  two\t dogs,one  cat \r", "two|dogs|,|one|cat"},
    {"a t-shirt, worn", "a|t-shirt|,|worn"},
    {"the man's hat isn't the dogs' hat", "the|man|'s|hat|is|n't|the|dogs|'|hat"},
    {"they're 'here'", "they|'re|'|here|'"},
    {"rock'n'roll", "rock'n'roll"},
    {"a u.s. flag at 3:30 p.m.", "a|u.s.|flag|at|3:30|p.m."},
    {"1,000 people, 3/4 or 2.5", "1,000|people|,|3/4|or|2.5"},
    {"tub/shower", "tub|/|shower"},
    {"off-camera. -- yes", "off-camera|.|-|-|yes"},
    {"(a \"dog\")", "(|a|\"|dog|\"|)"},
    {"caf\xc3\xa9 \xe2\x80\x9cx\xe2\x80\x9d", "caf\xc3\xa9|\xe2\x80\x9c|x|\xe2\x80\x9d"},
    {"12345", "12345"},
    {"...", ".|.|."},
    {"", ""},
    {" \t ", ""},
};

START_TEST(captions_are_cut_into_words) {
  struct word words[64];
  char joined[256] = "";
  const char *text = sentences[_i].text;
  size_t count = tokenize(text, strlen(text), words, 64), used = 0;
  for (size_t i = 0; i < count; i++) {
    if (i)
      joined[used++] = '|';
    memcpy(joined + used, words[i].text, words[i].length);
    used += words[i].length;
  }
  joined[used] = '\0';
  ck_assert_str_eq(joined, sentences[_i].words);
}
END_TEST

START_TEST(no_more_words_than_asked_for) {
  struct word words[3];
  ck_assert_uint_eq(tokenize("a b c d e", 9, words, 3), 3);
  ck_assert_uint_eq(tokenize("man's", 5, words, 1), 1);
}
END_TEST

#define ROWS(table) ((int)(sizeof(table) / sizeof *(table)))

int main(void) {
  TCase *tests = tcase_create("words");
  tcase_add_test(tests, a_table_numbers_words_in_order);
  tcase_add_loop_test(tests, utf8_is_told_from_other_bytes, 0, ROWS(encodings));
  tcase_add_loop_test(tests, text_becomes_lower_case, 0, ROWS(cases));
  tcase_add_loop_test(tests, captions_are_cut_into_words, 0, ROWS(sentences));
  tcase_add_test(tests, no_more_words_than_asked_for);
  return suite_run("words", tests);
}
