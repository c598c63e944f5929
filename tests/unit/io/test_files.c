/* Atomic files, .npy files and the conversion of numbers. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../suite.h"
#include "atomic_file.h"
#include "npy.h"

static char directory[] = "/tmp/vqct-test-XXXXXX", path[64];

static void set_up(void) {
  strcpy(directory, "/tmp/vqct-test-XXXXXX");
  ck_assert_ptr_nonnull(mkdtemp(directory));
  snprintf(path, sizeof path, "%s/file", directory);
}

static void tear_down(void) {
  unlink(path);
  ck_assert_int_eq(rmdir(directory), 0); /* so no temporary file was left */
}

static void check_content(const char *content) {
  char read_back[64];
  FILE *stream = fopen(path, "rb");
  ck_assert_ptr_nonnull(stream);
  size_t size = fread(read_back, 1, sizeof read_back, stream);
  fclose(stream);
  ck_assert_uint_eq(size, strlen(content));
  ck_assert_mem_eq(read_back, content, size);
}

START_TEST(test_commit_and_discard) {
  struct atomic_file file;
  ck_assert_int_eq(atomic_file_save(path, "old", 3, NULL), VQCT_OK);
  ck_assert_int_eq(atomic_file_open(path, &file, NULL), VQCT_OK);
  ck_assert_int_eq(atomic_file_write(&file, "new", 3, NULL), VQCT_OK);
  check_content("old");
  atomic_file_discard(&file);
  atomic_file_discard(&file);
  check_content("old");
  ck_assert_int_eq(atomic_file_save(path, "newer", 5, NULL), VQCT_OK);
  check_content("newer");
}
END_TEST

START_TEST(test_relative_path) {
  char here[4096];
  ck_assert_ptr_nonnull(getcwd(here, sizeof here));
  ck_assert_int_eq(chdir(directory), 0);
  ck_assert_int_eq(atomic_file_save("file", "x", 1, NULL), VQCT_OK);
  check_content("x");
  ck_assert_int_eq(chdir(here), 0);
}
END_TEST

/* A limit on the size of files stands in for a full disk: write fails in the same way, half-way. */
START_TEST(test_full_disk) {
  struct rlimit limit, small = {.rlim_cur = 5000};
  static char data[8192];
  struct vqct_error error;
  signal(SIGXFSZ, SIG_IGN);
  ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
  small.rlim_max = limit.rlim_max;
  ck_assert_int_eq(atomic_file_save(path, "old", 3, NULL), VQCT_OK);
  ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
  enum vqct_status status = atomic_file_save(path, data, sizeof data, &error);
  ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
  ck_assert_int_eq(status, VQCT_WRITE);
  ck_assert_ptr_nonnull(strstr(error.message, strerror(EFBIG)));
  check_content("old");
}
END_TEST

static void make_file(const char *name) {
  FILE *stream = fopen(name, "w");
  ck_assert_ptr_nonnull(stream);
  fclose(stream);
}

/* What a killed process leaves is removed, and nothing that only looks like it. */
START_TEST(test_sweep) {
  static const char *const names[] = {".file.12.0ab.tmp",  ".file.12.abg.tmp", ".file..abc.tmp",
                                      ".file.12..tmp",     ".file.12.abc.tm",  ".file.12.abc.tmp2",
                                      ".file2.12.abc.tmp", "file.12.abc.tmp",  ".file.tmp"};
  char here[4096];
  ck_assert_ptr_nonnull(getcwd(here, sizeof here));
  ck_assert_int_eq(chdir(directory), 0);
  for (int relative = 0; relative < 2; relative++) {
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
      make_file(names[i]);
    struct atomic_file file; /* its own name is of the form that is looked for */
    ck_assert_int_eq(atomic_file_open(path, &file, NULL), VQCT_OK);
    atomic_file_sweep(relative ? "file" : path);
    ck_assert_int_ne(access(file.temporary, F_OK), 0);
    atomic_file_discard(&file);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
      ck_assert_msg((access(names[i], F_OK) == 0) == (i > 0), "%s", names[i]);
    for (size_t i = 1; i < sizeof names / sizeof *names; i++)
      ck_assert_int_eq(unlink(names[i]), 0);
  }
  atomic_file_sweep("/nonexistent/file");
  ck_assert_int_eq(chdir(here), 0);
}
END_TEST

START_TEST(test_refused_paths) {
  static const char *const paths[] = {"/dev/full", "/tmp", "/nonexistent/file", ""};
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    struct vqct_error error = {VQCT_OK, ""};
    ck_assert_int_eq(atomic_file_save(paths[i], "x", 1, &error), VQCT_WRITE);
    ck_assert_int_eq(strncmp(error.message, paths[i], strlen(paths[i])), 0);
  }
}
END_TEST

#define NPY_1 "\x93NUMPY\1\0"

static const struct {
  const char *data;
  size_t size;
  const char *message; /* NULL: taken, as 2 x 3 uint16 */
} npys[] = {
#define NPY(text, message)                                                                         \
  { text, sizeof text - 1, message }
    NPY(NPY_1 "\x3c\0{'descr': '<u2', 'fortran_order': False, 'shape': (2, 3), }\n123456789012",
        NULL),
    NPY(NPY_1 "\x36\0{'shape':(2,3),'fortran_order':False,'descr':'<u2'}   123456789012", NULL),
    NPY("\x93NUMPY\2\0\x33\0\0\0{'shape':(2,3),'fortran_order':False,'descr':'<u2'}123456789012",
        NULL),
    NPY("", "not a .npy file"),
    NPY("\x93NUMPX\1\0\2\0{}", "not a .npy file"),
    NPY("\x93NUMPY\4\0\2\0{}", "version"),
    NPY("\x93NUMPY\1\1\2\0{}", "version"),
    NPY("\x93NUMPY\2\0\2\0{", "version"),
    NPY(NPY_1 "\3\0{}", "truncated within its header"),
    NPY("\x93NUMPY\2\0\xff\xff\xff\xff{}", "truncated within its header"),
    NPY(NPY_1 "\2\0{}", "incomplete"),
    NPY(NPY_1 "\2\0[]", "not a dictionary"),
    NPY(NPY_1 "\x33\0{'shape':(2,3),'fortran_order':False,'descr':'<u2'}12345678901", "truncated"),
    NPY(NPY_1 "\x33\0{'shape':(2,3),'fortran_order':False,'descr':'<u2'}1234567890123",
        "something follows"),
    NPY(NPY_1 "\x33\0{'shape':(2,3),'fortran_order':False,'descr':'>u2'}123456789012", "type"),
    NPY(NPY_1 "\x33\0{'shape':(2,3),'fortran_order':False,'descr':'|O8'}123456789012", "type"),
    NPY(NPY_1 "\x32\0{'shape':(2,3),'fortran_order':True,'descr':'<u2'}123456789012", "C order"),
    NPY(NPY_1 "\x35\0{'shape':(2,,3),'fortran_order':False,'descr':'<u2'} 123456789012", "shape"),
    NPY(NPY_1 "\x34\0{'shape':(-2,3),'fortran_order':False,'descr':'<u2'}123456789012", "shape"),
    NPY(NPY_1 "\x0d\0{'shape':(2,3", "shape is damaged"),
    NPY(NPY_1 "\x14\0{'shape':(2,3),'x':1", "unknown key"),
    NPY(NPY_1 "\x1e\0{'shape':(2,3),'shape':(2,3),}", "one twice"),
    NPY(NPY_1 "\x45\0{'shape':(1,1,1,1,1,1,1,1,1),'fortran_order':False,'descr':'<u2'}     12",
        "shape"),
    NPY(NPY_1 "\x48\0{'shape':(99999999999999999999,2),'fortran_order':False,'descr':'<u2'}  ",
        "shape"),
    NPY(NPY_1 "\x49\0{'shape':(4611686018427387904,8),'fortran_order':False,'descr':'<u2'}     ",
        "too large"),
};

START_TEST(test_npy_headers) {
  struct tensor tensor;
  struct vqct_error error = {VQCT_OK, ""};
  unsigned char *copy = malloc(npys[_i].size + 1);
  memcpy(copy, npys[_i].data, npys[_i].size);
  enum vqct_status status = npy_parse("F", copy, npys[_i].size, &tensor, &error);
  if (npys[_i].message) {
    ck_assert_int_eq(status, VQCT_DATA);
    ck_assert_msg(strstr(error.message, npys[_i].message) != NULL, "%s", error.message);
  } else {
    ck_assert_msg(status == VQCT_OK, "%s", error.message);
    ck_assert(tensor.type == TENSOR_U16 && tensor_has_shape(&tensor, 2, (size_t[]){2, 3}));
    ck_assert_mem_eq(tensor.data, "123456789012", 12);
  }
  free(copy);
}
END_TEST

START_TEST(test_npy_round_trip) {
  const uint32_t numbers[6] = {1, 2, 3, 4, 5, UINT32_MAX};
  const struct tensor saved = {.type = TENSOR_U32, .dims = 3, .shape = {1, 3, 2}};
  struct npy npy;
  char file[NPY_HEADER_SIZE + sizeof numbers];
  npy_header(saved.type, saved.dims, saved.shape, file);
  memcpy(file + NPY_HEADER_SIZE, numbers, sizeof numbers);
  ck_assert_int_eq(atomic_file_save(path, file, sizeof file, NULL), VQCT_OK);
  ck_assert_int_eq(npy_open(path, &npy, NULL), VQCT_OK);
  ck_assert(npy.tensor.type == TENSOR_U32 && tensor_has_shape(&npy.tensor, 3, saved.shape));
  ck_assert_mem_eq(npy.tensor.data, numbers, sizeof numbers);
  npy_close(&npy);
}
END_TEST

/* The largest header that can be asked for must fit, and every number of dimensions be read. */
START_TEST(test_npy_shapes) {
  char file[NPY_HEADER_SIZE];
  size_t shape[TENSOR_DIMS_MAX];
  for (int dims = 0; dims <= TENSOR_DIMS_MAX; dims++) {
    struct tensor tensor;
    for (int i = 0; i < dims; i++)
      shape[i] = i ? SIZE_MAX : 0;
    npy_header(TENSOR_F64, dims, shape, file);
    enum vqct_status status = npy_parse("F", file, sizeof file, &tensor, NULL);
    ck_assert_int_eq(tensor.dims, dims);
    ck_assert_int_eq(status, dims ? VQCT_OK : VQCT_DATA); /* a single number would need 8 bytes */
  }
}
END_TEST

/* The bits were taken from numpy's float16 and from torch's bfloat16. */
static const struct {
  float value;
  uint16_t half, bfloat;
} roundings[] = {
    {0.0f, 0x0000, 0x0000},
    {-0.0f, 0x8000, 0x8000},
    {1.0f, 0x3c00, 0x3f80},
    {-2.5f, 0xc100, 0xc020},
    {0.1f, 0x2e66, 0x3dcd},
    {1.00048828125f, 0x3c00, 0x3f80}, /* half-way between two halves: to even, down */
    {1.00146484375f, 0x3c02, 0x3f80}, /* to even, up */
    {65504.0f, 0x7bff, 0x4780},
    {65519.0f, 0x7bff, 0x4780},
    {65520.0f, 0x7c00, 0x4780},
    {-1e10f, 0xfc00, 0xd015},
    {6.103515625e-05f, 0x0400, 0x3880}, /* the least normal half */
    {6.1e-05f, 0x03ff, 0x3880},
    {5.9604645e-08f, 0x0001, 0x3380}, /* the least subnormal */
    {2.9802322e-08f, 0x0000, 0x3300}, /* half of it: to even, zero */
    {3.1e-08f, 0x0001, 0x3305},
    {1e-40f, 0x0000, 0x0001},
    {INFINITY, 0x7c00, 0x7f80},
    {-INFINITY, 0xfc00, 0xff80},
};

START_TEST(test_roundings) {
  for (size_t i = 0; i < sizeof roundings / sizeof *roundings; i++) {
    uint16_t half, bfloat;
    tensor_from_float(&roundings[i].value, 1, TENSOR_F16, &half);
    tensor_from_float(&roundings[i].value, 1, TENSOR_BF16, &bfloat);
    ck_assert_msg(half == roundings[i].half && bfloat == roundings[i].bfloat, "%g: %04x %04x",
                  (double)roundings[i].value, half, bfloat);
  }
}
END_TEST

/* Every half but the NaNs survives the way through float. */
START_TEST(test_all_halves) {
  for (uint32_t bits = 0; bits < 65536; bits++) {
    for (int kind = 0; kind < 2; kind++) {
      enum tensor_type type = kind ? TENSOR_BF16 : TENSOR_F16;
      uint16_t before = (uint16_t)bits, after;
      struct tensor tensor = {.type = type, .count = 1, .data = &before};
      float value;
      tensor_to_float(&tensor, &value);
      tensor_from_float(&value, 1, type, &after);
      unsigned exponent = kind ? 0x7f80 : 0x7c00, fraction = ~exponent & 0x7fff;
      bool nan = (bits & exponent) == exponent && (bits & fraction);
      ck_assert_int_eq(isnan(value) != 0, nan);
      ck_assert(nan ? (after & exponent) == exponent && (after & fraction) : after == before);
      ck_assert_uint_eq(tensor_first_not_finite(&tensor), isfinite(value) ? 1 : 0);
    }
  }
}
END_TEST

START_TEST(test_first_not_finite) {
  enum { COUNT = 10000 };
  static float values[COUNT];
  struct tensor tensor = {.type = TENSOR_F32, .count = COUNT, .data = values};
  ck_assert_uint_eq(tensor_first_not_finite(&tensor), COUNT);
  values[9999] = NAN;
  ck_assert_uint_eq(tensor_first_not_finite(&tensor), 9999);
  values[4096] = -INFINITY;
  ck_assert_uint_eq(tensor_first_not_finite(&tensor), 4096);
  /* Numbers that lie askew in a file are read like others. */
  static char askew[sizeof values + 1];
  memcpy(askew + 1, values, sizeof values);
  ck_assert_ptr_eq(tensor_floats(&tensor), values);
  tensor.data = askew + 1;
  ck_assert_ptr_null(tensor_floats(&tensor));
  ck_assert_uint_eq(tensor_first_not_finite(&tensor), 4096);
}
END_TEST

int main(void) {
  TCase *cases = tcase_create("files");
  tcase_add_checked_fixture(cases, set_up, tear_down);
  tcase_add_test(cases, test_commit_and_discard);
  tcase_add_test(cases, test_relative_path);
  tcase_add_test(cases, test_full_disk);
  tcase_add_test(cases, test_sweep);
  tcase_add_test(cases, test_refused_paths);
  tcase_add_loop_test(cases, test_npy_headers, 0, sizeof npys / sizeof *npys);
  tcase_add_test(cases, test_npy_round_trip);
  tcase_add_test(cases, test_npy_shapes);
  tcase_add_test(cases, test_roundings);
  tcase_add_test(cases, test_all_halves);
  tcase_add_test(cases, test_first_not_finite);
  return suite_run("files", cases);
}
