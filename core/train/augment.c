#include "augment.h"

#include <string.h>

#include "rng.h"

#define STREAM    0x6175676D656E7400U /* of the seed, for these draws */
#define BRIGHTEST 0.5F                /* either way, where white is 1 and black -1 */
#define FARTHEST  8                   /* a side's share that a picture moves by, at most */
#define HOLE      2                   /* likewise of the hole */

/* How one picture is shown: its pixel (y + down, x + right) at (y, x). */
struct drawn {
  float light;
  int down, right;
  int top, bottom, left, rightmost; /* the hole, end exclusive */
};

struct augmenting {
  const struct augmentation *augmentation;
  const struct activation *pictures;
  const float *from;
  float *to;
  bool back;
};

static int draw_shift(struct rng *rng, int side) {
  int most = side / FARTHEST;
  return (int)rng_below(rng, 2 * (uint64_t)most + 1) - most;
}

/* A hole's begin and end; its middle may be anywhere, so that it may reach over the edge. */
static void draw_hole(struct rng *rng, int side, int *begin, int *end) {
  int middle = (int)rng_below(rng, (uint64_t)side), half = side / HOLE / 2;
  *begin = middle < half ? 0 : middle - half;
  *end = middle + half < side ? middle + half : side;
}

static struct drawn draw(const struct augmentation *augmentation, int height, int width,
                         size_t image) {
  struct rng rng;
  struct drawn drawn;
  rng_seed(&rng, augmentation->seed, STREAM + (augmentation->number << 20) + image);
  drawn.light = BRIGHTEST * (2 * rng_uniform(&rng) - 1);
  drawn.down = draw_shift(&rng, height);
  drawn.right = draw_shift(&rng, width);
  draw_hole(&rng, height, &drawn.top, &drawn.bottom);
  draw_hole(&rng, width, &drawn.left, &drawn.rightmost);
  return drawn;
}

/* Columns begin to end of a row, which show those of the picture `offset` numbers further on. */
static void pass_span(const struct augmenting *job, float light, ptrdiff_t row, ptrdiff_t offset,
                      int begin, int end) {
  int channels = job->pictures->channels;
  for (ptrdiff_t i = row + begin * channels; i < row + end * channels; i++)
    if (job->back)
      job->to[i + offset] = job->from[i];
    else
      job->to[i] = job->from[i + offset] + light;
}

static void augment_image(void *argument, size_t image, unsigned worker) {
  (void)worker;
  const struct augmenting *job = argument;
  const struct activation *p = job->pictures;
  const struct drawn d = draw(job->augmentation, p->height, p->width, image);
  ptrdiff_t stride = (ptrdiff_t)p->width * p->channels, size = stride * p->height;
  ptrdiff_t start = (ptrdiff_t)image * size;
  ptrdiff_t offset = d.down * stride + d.right * p->channels;
  int begin = d.right < 0 ? -d.right : 0, end = d.right > 0 ? p->width - d.right : p->width;
  memset(job->to + start, 0, (size_t)size * sizeof *job->to);
  for (int y = 0; y < p->height; y++) {
    ptrdiff_t row = start + y * stride;
    if (y + d.down < 0 || y + d.down >= p->height)
      continue;
    bool hole = y >= d.top && y < d.bottom;
    int left = hole && d.left < end ? d.left : end;
    pass_span(job, d.light, row, offset, begin, left);
    if (hole)
      pass_span(job, d.light, row, offset, d.rightmost > begin ? d.rightmost : begin, end);
  }
}

void augment_pictures(const struct augmentation *augmentation, const struct activation *pictures,
                      float *shown, const struct exec *exec) {
  struct augmenting job = {augmentation, pictures, pictures->data, shown, false};
  pool_run(exec->pool, (size_t)pictures->images, augment_image, &job);
}

void augment_gradient(const struct augmentation *augmentation, const struct activation *pictures,
                      const float *dshown, float *dx, const struct exec *exec) {
  struct augmenting job = {augmentation, pictures, dshown, dx, true};
  pool_run(exec->pool, (size_t)pictures->images, augment_image, &job);
}
