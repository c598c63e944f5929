/* Every allocation of the image room fails once: the result is MEMORY and nothing is left. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../failing_memory.h"
#include "codec.h"

static struct vqct_image picture;

static void make_picture(void) {
  ck_assert_int_eq(image_new(300, 200, 3, &picture, NULL), VQCT_OK);
  for (size_t i = 0; i < 300 * 200 * 3; i++)
    picture.pixels[i] = (uint8_t)(i * i);
}

static void free_picture(void) {
  vqct_image_free(&picture);
}

enum operation {
  ENCODE_PNG,
  ENCODE_JPEG,
  ENCODE_WEBP,
  DECODE_PNG,
  DECODE_JPEG,
  DECODE_WEBP,
  SCALE,
  CROP,
  SSIM
};

struct outcome {
  struct vqct_image image;
  struct vqct_bytes file;
  double similarity;
};

static enum vqct_status perform(enum operation operation, const struct vqct_bytes *file,
                                struct outcome *outcome, struct vqct_error *error) {
  static const struct vqct_image_limits limits = VQCT_IMAGE_LIMITS_DEFAULT;
  *outcome = (struct outcome){.similarity = 0};
  switch (operation) {
  case ENCODE_PNG:
    return vqct_image_encode_png(&picture, &outcome->file, error);
  case ENCODE_JPEG:
    return vqct_image_encode_jpeg(&picture, 95, &outcome->file, error);
  case ENCODE_WEBP:
    return vqct_image_encode_webp_lossless(&picture, &outcome->file, error);
  case DECODE_PNG:
  case DECODE_JPEG:
  case DECODE_WEBP:
    return vqct_image_decode(file->data, file->size, &limits, &outcome->image, error);
  case SCALE:
    return vqct_image_resize(&picture, VQCT_RESIZE_COVER, 64, 64, &outcome->image, error);
  case CROP:
    return vqct_image_crop_to_multiple(&picture, 16, &outcome->image, error);
  default:
    return vqct_image_ssim(&picture, &picture, &outcome->similarity, error);
  }
}

START_TEST(each_failure_is_reported) {
  static const size_t least[] = {
      [ENCODE_PNG] = 5,  [ENCODE_JPEG] = 2, [ENCODE_WEBP] = 1, [DECODE_PNG] = 4, [DECODE_JPEG] = 1,
      [DECODE_WEBP] = 1, [SCALE] = 11,      [CROP] = 1,        [SSIM] = 1};
  enum operation operation = (enum operation)_i;
  struct vqct_bytes file = {0};
  if (operation == DECODE_PNG)
    ck_assert_int_eq(vqct_image_encode_png(&picture, &file, NULL), VQCT_OK);
  if (operation == DECODE_JPEG)
    ck_assert_int_eq(vqct_image_encode_jpeg(&picture, 95, &file, NULL), VQCT_OK);
  if (operation == DECODE_WEBP)
    ck_assert_int_eq(vqct_image_encode_webp(&picture, 95, &file, NULL), VQCT_OK);
  size_t failures = 0;
  for (;; failures++) {
    struct vqct_error error = {.message = ""};
    struct outcome outcome;
    failing_memory_arm(failures);
    enum vqct_status status = perform(operation, &file, &outcome, &error);
    bool failed = failing_memory_disarm();
    if (!failed) {
      ck_assert_int_eq(status, VQCT_OK);
      vqct_image_free(&outcome.image);
      free(outcome.file.data);
      break;
    }
    ck_assert_msg(status == VQCT_MEMORY, "allocation %zu: %s: %s", failures,
                  vqct_status_name(status), error.message);
    ck_assert_int_eq(error.status, VQCT_MEMORY);
    ck_assert_uint_gt(strlen(error.message), 0);
    ck_assert_ptr_null(outcome.image.pixels);
    ck_assert_ptr_null(outcome.file.data);
  }
  ck_assert_msg(failures >= least[operation], "%zu", failures);
  free(file.data);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("image memory");
  TCase *tests = tcase_create("failures");
  tcase_add_checked_fixture(tests, make_picture, free_picture);
  tcase_add_loop_test(tests, each_failure_is_reported, ENCODE_PNG, SSIM + 1);
  suite_add_tcase(suite, tests);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
