/* safetensors: hostile headers one by one, damage everywhere, and what is written. */
#define _DEFAULT_SOURCE /* mincore */

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../suite.h"
#include "safetensors.h"

/* A file of this header and `bytes` zeros. *size is its size; the caller frees it. */
static unsigned char *file_of(const char *header, size_t bytes, size_t *size) {
  uint64_t length = strlen(header);
  *size = 8 + length + bytes;
  unsigned char *data = calloc(1, *size);
  memcpy(data, &length, 8);
  memcpy(data + 8, header, length);
  return data;
}

#define T(name, type, shape, begin, end)                                                           \
  "\"" name "\":{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":[" begin "," end "]}"

static const struct {
  const char *header;
  size_t bytes;
  const char *message; /* NULL: the file is taken */
} headers[] = {
    {"{}", 0, NULL},
    {"{} \n  ", 0, NULL},
    {"{" T("a", "F32", "[2,3]", "0", "24") "}", 24, NULL},
    {"{" T("a", "F32", "[]", "0", "4") "}", 4, NULL},
    {"{" T("b", "F16", "[2]", "0", "4") "," T("a", "U8", "[3]", "4", "7") "}", 7, NULL},
    {"{" T("a", "F32", "[0,7]", "0", "0") "," T("b", "I64", "[1]", "0", "8") "}", 8, NULL},
    {"{" T("a", "F32", "[0]", "8", "8") "," T("b", "I64", "[1]", "0", "8") "}", 8, NULL},
    {"{\"__metadata__\":{\"k\":\"v\"}}", 0, NULL},
    {"", 0, "header, byte 0"},
    {"[]", 0, "not a JSON object"},
    {"{", 0, "header, byte 1"},
    {"{}{}", 0, "header, byte"},
    {"{\"a\":1,\"a\":2}", 0, "duplicate"},
    {"{\"__metadata__\":[]}", 0, "__metadata__ is not an object"},
    {"{\"__metadata__\":{\"k\":1}}", 0, "\"k\" is not a string"},
    {"{}", 1, "1 bytes after the last tensor"},
    {"{\"a\":7}", 0, "tensor \"a\": its entry is not an object"},
    {"{\"a\":{}}", 0, "\"a\": its dtype is missing"},
    {"{" T("a", "F31", "[1]", "0", "4") "}", 4, "\"a\": its dtype is missing or unknown"},
    {"{" T("a", "f32", "[1]", "0", "4") "}", 4, "unknown"},
    {"{" T("a", "F32", "3", "0", "4") "}", 4, "its shape is not a list"},
    {"{" T("a", "F32", "[1,1,1,1,1,1,1,1,1]", "0", "4") "}", 4, "its shape is not a list of at"},
    {"{" T("a", "F32", "[-1]", "0", "4") "}", 4, "not a size"},
    {"{" T("a", "F32", "[1.0]", "0", "4") "}", 4, "not a size"},
    {"{" T("a", "F32", "[\"1\"]", "0", "4") "}", 4, "not a size"},
    {"{" T("a", "F32", "[9223372036854775807,3]", "0", "4") "}", 4, "shape is too large"},
    {"{" T("a", "F32", "[4611686018427387905]", "0", "4") "}", 4, "shape is too large"},
    {"{" T("a", "F32", "[9223372036854775808]", "0", "4") "}", 4, "header, byte"},
    {"{" T("a", "F32", "[1]", "0", "8") "}", 8, "size is not that of its shape"},
    {"{" T("a", "F32", "[2]", "0", "4") "}", 4, "size is not that of its shape"},
    {"{" T("a", "F32", "[1]", "-4", "0") "}", 4, "not two sizes"},
    {"{" T("a", "F32", "[1]", "4", "0") "}", 4, "outside the file"},
    {"{" T("a", "F32", "[1]", "4", "8") "}", 4, "outside the file"},
    {"{" T("a", "F32", "[1]", "4", "8") "}", 8, "there is a gap before its data"},
    {"{" T("a", "F32", "[1]", "9223372036854775803", "9223372036854775807") "}", 4, "outside"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0]}}", 1, "not two sizes"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, "not two sizes"},
    {"{" T("a", "U8", "[4]", "0", "4") "," T("b", "U8", "[4]", "2", "6") "}", 6,
     "tensor \"b\": its data overlaps"},
    {"{" T("a", "U8", "[4]", "0", "4") "," T("b", "U8", "[4]", "0", "4") "}", 4, "overlaps"},
    {"{" T("a", "U8", "[2]", "0", "2") "," T("b", "U8", "[2]", "4", "6") "}", 6,
     "tensor \"b\": there is a gap"},
    {"{\"a\\u0000b\":{}}", 0, "header, byte"},
    {"{\"\xff\":{}}", 0, "header, byte"},
};

START_TEST(test_headers) {
  size_t size;
  unsigned char *data = file_of(headers[_i].header, headers[_i].bytes, &size);
  struct safetensors *file;
  struct vqct_error error = {VQCT_OK, ""};
  enum vqct_status status = safetensors_parse("F", data, size, &file, &error);
  if (headers[_i].message) {
    ck_assert_int_eq(status, VQCT_MODEL);
    ck_assert_msg(strstr(error.message, headers[_i].message) != NULL, "%s", error.message);
    ck_assert_int_eq(strncmp(error.message, "F: ", 3), 0);
    ck_assert_ptr_null(file);
  } else {
    ck_assert_msg(status == VQCT_OK, "%s", error.message);
  }
  safetensors_close(file);
  free(data);
}
END_TEST

START_TEST(test_lengths) {
  static const uint64_t lengths[] = {3,          16u << 20,  (16u << 20) + 1,
                                     1ull << 63, UINT64_MAX, UINT64_MAX - 7};
  for (size_t size = 0; size < 8; size++) {
    struct safetensors *file;
    ck_assert_int_eq(safetensors_parse("F", "\2\0\0\0\0\0\0", size, &file, NULL), VQCT_MODEL);
  }
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    unsigned char data[10];
    struct safetensors *file;
    memcpy(data, &lengths[i], 8);
    memcpy(data + 8, "{}", 2);
    ck_assert_int_eq(safetensors_parse("F", data, sizeof data, &file, NULL), VQCT_MODEL);
  }
}
END_TEST

/* A million brackets must end as an error, not as an exhausted stack. */
START_TEST(test_deep_header) {
  size_t size, depth = 1000000;
  char *header = malloc(depth + 1);
  memset(header, '[', depth);
  header[depth] = '\0';
  unsigned char *data = file_of(header, 0, &size);
  struct safetensors *file;
  ck_assert_int_eq(safetensors_parse("F", data, size, &file, NULL), VQCT_MODEL);
  free(header);
  free(data);
}
END_TEST

/* Reads all that a parsed file offers, so that a sanitizer sees any view outside the data. */
static void touch(const struct safetensors *file) {
  unsigned sum = 0;
  for (size_t i = 0; i < safetensors_count(file); i++) {
    const struct tensor *tensor = safetensors_tensor(file, i);
    const unsigned char *bytes = tensor->data;
    for (size_t n = 0; n < tensor->count * tensor_type_size(tensor->type); n++)
      sum += bytes[n];
    ck_assert_ptr_eq(safetensors_find(file, tensor->name), tensor);
  }
  ck_assert_uint_eq(sum, 0);
}

START_TEST(test_damage) {
  size_t size;
  unsigned char *data =
      file_of("{\"__metadata__\":{\"k\":\"v\"}," T("b", "F16", "[2]", "0", "4") "," T(
                  "a", "U8", "[3,1]", "4", "7") "," T("c", "U8", "[0]", "7", "7") "}",
              7, &size);
  struct safetensors *file;
  for (size_t cut = 0; cut < size; cut++) {
    unsigned char *part = malloc(cut ? cut : 1); /* so that a sanitizer knows its end */
    memcpy(part, data, cut);
    ck_assert_int_eq(safetensors_parse("F", part, cut, &file, NULL), VQCT_MODEL);
    free(part);
  }
  for (size_t bit = 0; bit < 8 * (size - 7); bit++) {
    data[bit / 8] ^= (unsigned char)(1 << bit % 8);
    if (safetensors_parse("F", data, size, &file, NULL) == VQCT_OK)
      touch(file);
    safetensors_close(file);
    data[bit / 8] ^= (unsigned char)(1 << bit % 8);
  }
  free(data);
}
END_TEST

START_TEST(test_save) {
  char directory[] = "/tmp/vqct-test-XXXXXX", path[64];
  ck_assert_ptr_nonnull(mkdtemp(directory));
  snprintf(path, sizeof path, "%s/m.safetensors", directory);
  const unsigned char bytes[3] = {1, 2, 3};
  const uint16_t halves[2] = {0x3c00, 0xc000};
  const float floats[6] = {1, 2, 3, 4, 5, 6};
  const uint64_t longs[1] = {1ull << 40};
  const struct tensor tensors[] = {
      {.name = "bytes", .type = TENSOR_U8, .dims = 1, .shape = {3}, .data = bytes},
      {.name = "halves", .type = TENSOR_F16, .dims = 1, .shape = {2}, .data = halves},
      {.name = "floats", .type = TENSOR_F32, .dims = 2, .shape = {2, 3}, .data = floats},
      {.name = "longs", .type = TENSOR_U64, .dims = 0, .data = longs},
      {.name = "none", .type = TENSOR_F32, .dims = 1, .shape = {0}, .data = floats}};
  const struct safetensors_text texts[] = {{"a", "1"}, {"quote", "\"\\\n\xc3\xa9"}};
  struct vqct_error error;
  ck_assert_msg(safetensors_save(path, tensors, 5, texts, 2, &error) == VQCT_OK, "%s",
                error.message);
  struct safetensors *file;
  ck_assert_msg(safetensors_open(path, &file, &error) == VQCT_OK, "%s", error.message);
  ck_assert_uint_eq(safetensors_count(file), 5);
  for (size_t i = 0; i < 5; i++) {
    const struct tensor *read = safetensors_find(file, tensors[i].name);
    ck_assert_ptr_nonnull(read);
    ck_assert(read->type == tensors[i].type &&
              tensor_has_shape(read, tensors[i].dims, tensors[i].shape));
    ck_assert_mem_eq(read->data, tensors[i].data, read->count * tensor_type_size(read->type));
    ck_assert_uint_eq((uintptr_t)read->data % tensor_type_size(read->type), 0);
  }
  ck_assert_ptr_null(safetensors_find(file, "byte"));
  ck_assert_str_eq(safetensors_metadata(file, "quote"), texts[1].value);
  ck_assert_ptr_null(safetensors_metadata(file, "b"));
  safetensors_close(file);

  const struct tensor twice[] = {tensors[0], tensors[0]};
  ck_assert_int_eq(safetensors_save(path, twice, 2, NULL, 0, &error), VQCT_INVALID);
  struct tensor unnamable = tensors[0];
  unnamable.name = "\xff";
  ck_assert_int_eq(safetensors_save(path, &unnamable, 1, NULL, 0, &error), VQCT_INVALID);
  unlink(path);
  ck_assert_int_eq(rmdir(directory), 0); /* so no temporary file was left */
}
END_TEST

static size_t resident_pages(const void *data, size_t size) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE), count = 0;
  uintptr_t first = ((uintptr_t)data + page - 1) / page * page;
  size_t pages = ((uintptr_t)data + size - first) / page;
  unsigned char *resident = malloc(pages);
  ck_assert_ptr_nonnull(resident);
  ck_assert_int_eq(mincore((void *)first, pages * page, resident), 0);
  for (size_t i = 0; i < pages; i++)
    count += resident[i] & 1;
  free(resident);
  return count;
}

/* A copy needs its file no more, and gives back what is discarded and nothing else. */
START_TEST(test_copy) {
  enum { SIZE = 100000 };
  char path[] = "/tmp/vqct-test-XXXXXX";
  int descriptor = mkstemp(path);
  unsigned char *bytes = malloc(SIZE);
  ck_assert(descriptor >= 0 && bytes);
  for (size_t i = 0; i < SIZE; i++)
    bytes[i] = (unsigned char)(i * 7919 >> 4);
  struct tensor tensors[3];
  for (size_t i = 0; i < 3; i++)
    tensors[i] = (struct tensor){.name = (const char *[]){"a", "b", "c"}[i],
                                 .type = TENSOR_U8,
                                 .dims = 1,
                                 .shape = {SIZE},
                                 .data = bytes};
  ck_assert_int_eq(safetensors_save(path, tensors, 3, NULL, 0, NULL), VQCT_OK);
  struct safetensors *file;
  ck_assert_int_eq(safetensors_copy(path, &file, NULL), VQCT_OK);
  ck_assert_int_eq(truncate(path, 0), 0);
  ck_assert_uint_gt(resident_pages(safetensors_find(file, "b")->data, SIZE), 20);
  for (size_t i = 0; i < 2; i++) { /* the last one's end is the file's */
    const struct tensor *tensor = safetensors_find(file, i ? "c" : "b");
    safetensors_discard(file, tensor->data, SIZE);
    ck_assert_uint_eq(resident_pages(tensor->data, SIZE), 0);
    ck_assert_mem_eq(safetensors_find(file, "a")->data, bytes, SIZE);
    if (!i)
      ck_assert_mem_eq(safetensors_find(file, "c")->data, bytes, SIZE);
  }
  safetensors_close(file);
  close(descriptor);
  unlink(path);
  free(bytes);
}
END_TEST

START_TEST(test_unreadable) {
  static const struct {
    const char *path, *message;
  } paths[] = {{"/nonexistent/m", "No such file"},
               {"/tmp", "not a regular file"},
               {"/dev/zero", "not a regular file"},
               {"/proc/self/status", "has 0 bytes"}};
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    struct safetensors *file;
    struct vqct_error error;
    ck_assert_int_ne(safetensors_open(paths[i].path, &file, &error), VQCT_OK);
    ck_assert_msg(strstr(error.message, paths[i].message) != NULL, "%s", error.message);
  }
}
END_TEST

int main(void) {
  TCase *cases = tcase_create("safetensors");
  tcase_add_loop_test(cases, test_headers, 0, sizeof headers / sizeof *headers);
  tcase_add_test(cases, test_lengths);
  tcase_add_test(cases, test_deep_header);
  tcase_add_test(cases, test_damage);
  tcase_add_test(cases, test_save);
  tcase_add_test(cases, test_copy);
  tcase_add_test(cases, test_unreadable);
  return suite_run("safetensors", cases);
}
