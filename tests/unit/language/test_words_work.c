/* The work of reading 200,000 words grows with them and not with their square: counted are the
 * comparisons of texts, which the linker sends here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../suite.h"
#include "prior_convert.h"

#define WORDS 100000 /* of each part of speech */
#define EACH  20     /* comparisons that a word may take */

int __real_memcmp(const void *a, const void *b, size_t size);
int __wrap_memcmp(const void *a, const void *b, size_t size);
int __real_strcmp(const char *a, const char *b);
int __wrap_strcmp(const char *a, const char *b);

static size_t comparisons;

/* Ends the test at once: the square would take hours. */
static void count_comparison(void) {
  if (++comparisons > 2 * WORDS * (size_t)EACH)
    abort();
}

int __wrap_memcmp(const void *a, const void *b, size_t size) {
  count_comparison();
  return __real_memcmp(a, b, size);
}

int __wrap_strcmp(const char *a, const char *b) {
  count_comparison();
  return __real_strcmp(a, b);
}

static void write_part(FILE *file, const char *part, const char *word) {
  fprintf(file, "V%s_code_book_num\n(d", part);
  for (int i = 0; i < WORDS; i++)
    fprintf(file, "V%s%06d\nI20\ns", word, i);
  fprintf(file, "sV%s_code_book_vec\n(d", part);
  for (int i = WORDS; i-- > 0;) /* in another order */
    fprintf(file, "V%s%06d\n(lI%d\nas", word, i, i);
  fputs("s", file);
}

START_TEST(a_word_takes_no_more_work_among_many) {
  char path[] = "/tmp/vqct-words-XXXXXX";
  FILE *file = fdopen(mkstemp(path), "wb");
  struct prior prior;
  struct vqct_error error;
  fputs("(d", file);
  write_part(file, "adj", "a");
  write_part(file, "noun", "n");
  fputs("Vadj_noun_edges\n(l", file);
  for (int i = 0; i < WORDS; i++)
    fprintf(file, "(Va%06d\nVn%06d\nta", i, WORDS - 1 - i);
  fputs("s.", file);
  fclose(file);
  comparisons = 0;
  enum vqct_status status = prior_convert(path, &prior, &error);
  ck_assert_msg(status == VQCT_OK, "%s", error.message);
  ck_assert_uint_eq(prior.words, 2 * WORDS);
  ck_assert_uint_eq(prior.edge_count, WORDS);
  ck_assert_float_eq(prior.embeddings[WORDS + 7], 7);
  ck_assert_uint_ge(comparisons, 2 * WORDS); /* or they are counted elsewhere */
  prior_free(&prior);
  unlink(path);
}
END_TEST

int main(void) {
  TCase *cases = tcase_create("work");
  tcase_set_timeout(cases, 60);
  tcase_add_test(cases, a_word_takes_no_more_work_among_many);
  return suite_run("words", cases);
}
