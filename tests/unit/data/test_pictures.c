/* Files of pictures, and what lies beside them, that are shortened while they are read: a process
 * that had them mapped would end. */
#define _GNU_SOURCE /* syscall */
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../folder.h"
#include "../suite.h"
#include "beside.h"
#include "pictures.h"

/* What is shortened to nothing: at the first read of it, or when its reader has closed it. */
static const char *at_read, *at_close;

ssize_t pread(int descriptor, void *data, size_t size, off_t offset) {
  if (at_read)
    ck_assert_int_eq(truncate(at_read, 0), 0);
  return syscall(SYS_pread64, descriptor, data, size, offset);
}

int close(int descriptor) {
  if (at_close)
    ck_assert_int_eq(truncate(at_close, 0), 0);
  return (int)syscall(SYS_close, descriptor);
}

static struct pictures *pictures;
static struct path photo, label;

static void write_file(const char *name, const void *data, size_t size) {
  FILE *file = folder_create(name);
  ck_assert_uint_eq(fwrite(data, 1, size, file), size);
  fclose(file);
}

static void set_up(void) {
  const struct vqct_image grey = {(uint8_t[]){1, 2, 3, 4}, 2, 2, 1};
  struct vqct_bytes png;
  struct vqct_error error;
  folder_make();
  photo = in_folder("0.png");
  label = in_folder("0.cls");
  ck_assert_int_eq(vqct_image_encode_png(&grey, &png, &error), VQCT_OK);
  write_file("0.png", png.data, png.size);
  write_file("0.cls", "7", 1);
  free(png.data);
  pictures = pictures_new();
  ck_assert_int_eq(pictures_add_file(pictures, strdup(photo.text), 0, &error), VQCT_OK);
}

static void tear_down(void) {
  static const char *const names[] = {"0.png", "0.cls"};
  at_read = at_close = NULL;
  pictures_close(pictures);
  folder_remove(names, 2);
}

static void expect_shortened(const struct vqct_error *error, const struct path *file) {
  char message[128];
  snprintf(message, sizeof message, "%s: it was shortened while it was read", file->text);
  ck_assert_str_eq(error->message, message);
}

START_TEST(a_picture_is_read_before_it_is_decoded) {
  struct vqct_image image;
  struct vqct_error error;
  at_close = photo.text;
  ck_assert_int_eq(pictures_decode(pictures, 0, NULL, &image, &error), VQCT_OK);
  ck_assert_uint_eq(image.pixels[0], 1);
  vqct_image_free(&image);
}
END_TEST

START_TEST(a_picture_that_is_shortened_is_named) {
  struct vqct_image image;
  struct vqct_error error;
  at_read = photo.text;
  ck_assert_int_eq(pictures_decode(pictures, 0, NULL, &image, &error), VQCT_READ);
  ck_assert_ptr_null(image.pixels);
  expect_shortened(&error, &photo);
}
END_TEST

START_TEST(a_picture_over_the_limit_is_not_read) {
  struct vqct_image image;
  struct vqct_error error;
  ck_assert_int_eq(truncate(photo.text, ((off_t)64 << 20) + 1), 0);
  at_read = photo.text; /* which would be another error */
  ck_assert_int_eq(pictures_decode(pictures, 0, NULL, &image, &error), VQCT_LIMIT);
  ck_assert_ptr_nonnull(strstr(error.message, "67108865 bytes are over the limit of 67108864"));
}
END_TEST

START_TEST(what_lies_beside_is_read_too) {
  struct beside *beside;
  struct beside_bytes bytes;
  struct vqct_error error;
  ck_assert_int_eq(beside_open(pictures, &beside, &error), VQCT_OK);
  at_close = label.text;
  ck_assert_int_eq(beside_read(beside, 0, ".cls", 8, &bytes, &error), VQCT_OK);
  ck_assert(bytes.found && bytes.size == 1 && bytes.data[0] == '7');
  beside_release(&bytes);
  at_close = NULL;
  write_file("0.cls", "7", 1);
  at_read = label.text;
  ck_assert_int_eq(beside_read(beside, 0, ".cls", 8, &bytes, &error), VQCT_READ);
  expect_shortened(&error, &label);
  beside_close(beside);
}
END_TEST

int main(void) {
  TCase *tests = tcase_create("pictures");
  tcase_add_checked_fixture(tests, set_up, tear_down);
  tcase_add_test(tests, a_picture_is_read_before_it_is_decoded);
  tcase_add_test(tests, a_picture_that_is_shortened_is_named);
  tcase_add_test(tests, a_picture_over_the_limit_is_not_read);
  tcase_add_test(tests, what_lies_beside_is_read_too);
  return suite_run("pictures", tests);
}
