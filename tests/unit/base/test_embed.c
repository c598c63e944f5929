/* An embedded file is the file, byte for byte. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../suite.h"
#include "embed.h"

EMBED_FILE(licence, "LICENSE")

START_TEST(embedded_bytes_are_the_file) {
  FILE *file = fopen("LICENSE", "rb");
  ck_assert_ptr_nonnull(file);
  char text[65536];
  size_t size = fread(text, 1, sizeof text, file);
  fclose(file);
  ck_assert_uint_eq(size, embed_size(licence));
  ck_assert_int_eq(memcmp(text, licence_data, size), 0);
  ck_assert_int_eq(licence_end[0], 0);
}
END_TEST

int main(void) {
  TCase *cases = tcase_create("embed");
  tcase_add_test(cases, embedded_bytes_are_the_file);
  return suite_run("embed", cases);
}
