/* All ways to scale a picture give the same pixels, and read nothing behind it. That the pixels are
 * right is tested against Pillow in tests/reference. */
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../suite.h"
#include "resample.h"
#include "rng.h"

/* A picture of noise whose last byte is the last that may be read, and its memory. */
struct cornered {
  struct vqct_image image;
  uint8_t *memory;
  size_t size;
};

static struct cornered corner(uint32_t width, uint32_t height, uint32_t channels) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = (size_t)width * height * channels;
  size_t used = (bytes + page - 1) / page * page;
  struct cornered c = {.image = {NULL, width, height, channels}, .size = used + page};
  struct rng rng;
  c.memory = mmap(NULL, c.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ck_assert_ptr_ne(c.memory, MAP_FAILED);
  ck_assert_int_eq(mprotect(c.memory + used, page, PROT_NONE), 0);
  c.image.pixels = c.memory + used - bytes;
  rng_seed(&rng, bytes, 0);
  for (size_t i = 0; i < bytes; i++) /* half of it black and white, so that sums are clipped */
    c.image.pixels[i] =
        rng_below(&rng, 2) ? (uint8_t)rng_below(&rng, 256) : (uint8_t)(255 * rng_below(&rng, 2));
  return c;
}

static void compare(const struct vqct_image *image, const struct resample_target *target) {
  struct vqct_image expected, result;
  size_t bytes = (size_t)target->width * target->height * image->channels;
  ck_assert_int_eq(image_resample(image, target, CPU_BASELINE, &expected, NULL), VQCT_OK);
  for (enum cpu_isa isa = CPU_BASELINE + 1; isa <= cpu_best_isa(); isa++) {
    ck_assert_int_eq(image_resample(image, target, isa, &result, NULL), VQCT_OK);
    ck_assert_msg(memcmp(result.pixels, expected.pixels, bytes) == 0,
                  "%u x %u, %u channels to %u x %u of %u x %u: %s differs", image->width,
                  image->height, image->channels, target->width, target->height,
                  (unsigned)target->full_width, (unsigned)target->full_height, cpu_isa_name(isa));
    vqct_image_free(&result);
  }
  vqct_image_free(&expected);
}

static const uint32_t sides[] = {1, 2, 3, 5, 8, 17, 40, 131};

#define SIDES (sizeof sides / sizeof *sides)

/* Whole pictures, and the part that ends a pixel before the right and lower edge. */
START_TEST(all_ways_give_the_same_pixels) {
  for (size_t i = 0; i < SIDES * SIDES * SIDES * SIDES; i++) {
    uint32_t width = sides[i % SIDES], height = sides[i / SIDES % SIDES];
    uint32_t wide = sides[i / SIDES / SIDES % SIDES], high = sides[i / SIDES / SIDES / SIDES];
    struct cornered c = corner(width, height, _i ? 3 : 1);
    compare(&c.image, &(struct resample_target){wide, high, 0, 0, wide, high});
    uint32_t left = wide > 2, top = high > 2;
    compare(&c.image,
            &(struct resample_target){wide, high, left, top, wide - 2 * left, high - 2 * top});
    munmap(c.memory, c.size);
  }
}
END_TEST

int main(void) {
  TCase *cases = tcase_create("resample");
  tcase_set_timeout(cases, 300);
  tcase_add_loop_test(cases, all_ways_give_the_same_pixels, 0, 2);
  return suite_run("resample", cases);
}
