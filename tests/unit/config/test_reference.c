/* The reference page in docs/ says what the table of options says. With VQCT_WRITE_DOCS in the
 * environment the page is written instead (`make docs`). */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../suite.h"
#include "serve_options.h"

#define PAGE  "docs/configuration.md"
#define BEGIN "<!-- options -->\n"
#define END   "<!-- end -->\n"

static char *read_page(void) {
  FILE *file = fopen(PAGE, "r");
  ck_assert_ptr_nonnull(file);
  char *text = calloc(1, 1 << 16);
  ck_assert_uint_lt(fread(text, 1, (1 << 16) - 1, file), (1 << 16) - 1);
  fclose(file);
  return text;
}

static char *make_page(const char *page) {
  char *text;
  size_t size;
  const char *begin = strstr(page, BEGIN), *end = strstr(page, END);
  ck_assert(begin && end && begin < end);
  FILE *out = open_memstream(&text, &size);
  fwrite(page, 1, (size_t)(begin - page) + strlen(BEGIN), out);
  options_reference(&serve_option_table, out);
  fputs(end, out);
  fclose(out);
  return text;
}

START_TEST(the_page_is_the_table) {
  char *page = read_page(), *expected = make_page(page);
  if (getenv("VQCT_WRITE_DOCS")) {
    FILE *file = fopen(PAGE, "w");
    ck_assert_ptr_nonnull(file);
    fputs(expected, file);
    ck_assert_int_eq(fclose(file), 0);
  } else {
    ck_assert_str_eq(page, expected);
  }
  free(page);
  free(expected);
}
END_TEST

/* Every default is a value that the table itself allows. */
START_TEST(defaults_are_allowed) {
  struct serve_options options;
  struct options_found found;
  struct vqct_error error = {VQCT_OK, ""};
  struct arena arena;
  arena_init(&arena, 0);
  char *arguments[] = {"--model", "m"};
  ck_assert_msg(options_read(&serve_option_table, 2, arguments, &options, &found, &arena, &error) ==
                    VQCT_OK,
                "%s", error.message);
  ck_assert_str_eq(options.listen, "127.0.0.1:8080");
  ck_assert_int_le(options.max_body, options.queue_bytes);
  ck_assert_double_le(options.request_timeout, options.request_timeout_max);
  arena_free(&arena);
}
END_TEST

START_TEST(the_example_file_is_read) {
  struct serve_options options;
  struct options_found found;
  struct vqct_error error = {VQCT_OK, ""};
  struct arena arena;
  arena_init(&arena, 0);
  char *arguments[] = {"--config", "config/vqct.json"};
  ck_assert_msg(options_read(&serve_option_table, 2, arguments, &options, &found, &arena, &error) ==
                    VQCT_OK,
                "%s", error.message);
  ck_assert_uint_eq(options.model.count, 1);
  arena_free(&arena);
}
END_TEST

int main(void) {
  TCase *cases = tcase_create("reference");
  tcase_add_test(cases, the_page_is_the_table);
  tcase_add_test(cases, defaults_are_allowed);
  tcase_add_test(cases, the_example_file_is_read);
  return suite_run("reference", cases);
}
