/* Plain and gzip files written with zlib itself, read in lines and in blocks. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "byte_stream.h"

static char path[] = "/tmp/vqct-byte-stream-XXXXXX";

static void make_file(void) {
  int file = mkstemp(path);
  ck_assert_int_ge(file, 0);
  close(file);
}

static void remove_file(void) {
  unlink(path);
}

static void write_file(const void *bytes, size_t size, bool gzip) {
  gzFile file = gzopen(path, gzip ? "wb" : "wbT");
  ck_assert(file && gzwrite(file, bytes, (unsigned)size) == (int)size && gzclose(file) == Z_OK);
}

static const struct {
  const char *bytes;
  size_t size;
  const char *lines; /* each line, then '|', with '!' before it where the line was cut at 8 bytes */
} tables[] = {
    {"", 0, ""},
    {"\n", 1, "|"},
    {"one", 3, "one|"},
    {"one\ntwo\n", 8, "one|two|"},
    {"one\r\n\r\ntwo", 10, "one||two|"},
    {"12345678\n123456789\nx\n", 21, "12345678|12345678!|x|"},
    {"a\0b\n", 4, "a#b|"}, /* NUL is a byte like any other; shown as '#' */
};

START_TEST(lines_come_one_by_one) {
  for (int gzip = 0; gzip < 2; gzip++) {
    write_file(tables[_i].bytes, tables[_i].size, gzip);
    struct byte_stream *stream;
    struct vqct_error error;
    struct text_line line;
    char seen[256];
    size_t used = 0;
    uint64_t number = 0;
    ck_assert_int_eq(byte_stream_open(path, 8, &stream, &error), VQCT_OK);
    while (byte_stream_line(stream, &line, &error) == VQCT_OK && line.text) {
      ck_assert_uint_eq(line.number, ++number);
      ck_assert_int_eq(line.text[line.length], 0);
      for (size_t i = 0; i < line.length; i++)
        seen[used++] = line.text[i] ? line.text[i] : '#';
      if (line.cut)
        seen[used++] = '!';
      seen[used++] = '|';
    }
    seen[used] = '\0';
    ck_assert_str_eq(seen, tables[_i].lines);
    if (tables[_i].size)
      ck_assert_double_eq_tol(byte_stream_progress(stream), 1, 0.05);
    byte_stream_close(stream);
  }
}
END_TEST

/* 3 MB of lines whose lengths cross every block border. */
START_TEST(long_files_are_whole) {
  size_t size = 3000000;
  char *bytes = malloc(size);
  ck_assert_ptr_nonnull(bytes);
  for (size_t i = 0; i < size; i++)
    bytes[i] = i % 977 == 976 ? '\n' : (char)('a' + i % 26);
  for (int gzip = 0; gzip < 2; gzip++) {
    write_file(bytes, size, gzip);
    struct byte_stream *stream;
    struct vqct_error error;
    struct text_line line;
    size_t at = 0;
    ck_assert_int_eq(byte_stream_open(path, 1000, &stream, &error), VQCT_OK);
    while (byte_stream_line(stream, &line, &error) == VQCT_OK && line.text) {
      ck_assert(!line.cut && !memcmp(line.text, bytes + at, line.length));
      at += line.length + 1;
    }
    ck_assert_uint_eq(at, size + 1); /* the last line has no newline */
    byte_stream_close(stream);
    at = 0;
    const char *block;
    size_t got;
    ck_assert_int_eq(byte_stream_open(path, 1, &stream, &error), VQCT_OK);
    while (byte_stream_block(stream, &block, &got, &error) == VQCT_OK && got) {
      ck_assert(!memcmp(block, bytes + at, got));
      at += got;
    }
    ck_assert_uint_eq(at, size);
    byte_stream_close(stream);
  }
  free(bytes);
}
END_TEST

/* Reads to the end or the first error. */
static enum vqct_status read_all(struct vqct_error *error) {
  struct byte_stream *stream;
  struct text_line line;
  enum vqct_status status = byte_stream_open(path, 100, &stream, error);
  while (status == VQCT_OK) {
    status = byte_stream_line(stream, &line, error);
    if (!line.text)
      break;
  }
  byte_stream_close(stream);
  return status;
}

START_TEST(damaged_gzip_is_an_error) {
  char text[20000];
  for (size_t i = 0; i < sizeof text; i++)
    text[i] = i % 50 == 49 ? '\n' : (char)(33 + i * i % 90);
  write_file(text, sizeof text, true);
  FILE *file = fopen(path, "rb");
  unsigned char packed[30000];
  size_t size = fread(packed, 1, sizeof packed, file);
  fclose(file);
  struct vqct_error error;
  for (size_t cut = 3; cut < size; cut += 7) { /* 2 bytes are not gzip yet */
    file = fopen(path, "wb");
    fwrite(packed, 1, cut, file);
    fclose(file);
    ck_assert_msg(read_all(&error) == VQCT_READ, "%zu of %zu bytes", cut, size);
    ck_assert_msg(strstr(error.message, path) == error.message, "%s", error.message);
  }
  packed[size - 6] ^= 1; /* the checksum */
  file = fopen(path, "wb");
  fwrite(packed, 1, size, file);
  fclose(file);
  ck_assert_int_eq(read_all(&error), VQCT_READ);
}
END_TEST

START_TEST(missing_files_and_folders_are_named) {
  struct byte_stream *stream;
  struct vqct_error error;
  ck_assert_int_eq(byte_stream_open("/nonexistent/file", 1, &stream, &error), VQCT_READ);
  ck_assert_str_eq(error.message, "/nonexistent/file: No such file or directory");
  ck_assert_ptr_null(stream);
  ck_assert_int_eq(byte_stream_open("/tmp", 1, &stream, &error), VQCT_READ);
  ck_assert_str_eq(error.message, "/tmp: is a folder, not a file");
}
END_TEST

int main(void) {
  Suite *suite = suite_create("byte_stream");
  TCase *tests = tcase_create("byte_stream");
  suite_add_tcase(suite, tests);
  tcase_add_unchecked_fixture(tests, make_file, remove_file);
  tcase_add_loop_test(tests, lines_come_one_by_one, 0, sizeof tables / sizeof *tables);
  tcase_add_test(tests, long_files_are_whole);
  tcase_add_test(tests, damaged_gzip_is_an_error);
  tcase_add_test(tests, missing_files_and_folders_are_named);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed != 0;
}
