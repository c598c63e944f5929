/* How alike two pictures are: PSNR, and SSIM (Wang, Bovik, Sheikh, Simoncelli 2004). */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "size.h"
#include "vqct/image.h"

static enum vqct_status check_shapes(const struct vqct_image *a, const struct vqct_image *b,
                                     struct vqct_error *error) {
  if (!a->pixels || !b->pixels)
    return error_set(error, VQCT_INVALID, "a picture without pixels cannot be compared");
  if (a->width != b->width || a->height != b->height || a->channels != b->channels)
    return error_set(error, VQCT_INVALID,
                     "pictures of different shapes cannot be compared: %" PRIu32 " x %" PRIu32
                     " x %" PRIu32 " and %" PRIu32 " x %" PRIu32 " x %" PRIu32,
                     a->width, a->height, a->channels, b->width, b->height, b->channels);
  return VQCT_OK;
}

enum vqct_status vqct_image_psnr(const struct vqct_image *a, const struct vqct_image *b,
                                 double *decibels, struct vqct_error *error) {
  enum vqct_status status = check_shapes(a, b, error);
  if (status != VQCT_OK)
    return status;
  size_t count = (size_t)a->width * a->height * a->channels;
  uint64_t sum = 0; /* exact: 2^64 / 255^2 is more samples than memory holds */
  for (size_t i = 0; i < count; i++) {
    int difference = a->pixels[i] - b->pixels[i];
    sum += (uint64_t)(difference * difference);
  }
  *decibels = sum ? 10 * log10(255.0 * 255.0 * (double)count / (double)sum) : (double)INFINITY;
  return VQCT_OK;
}

/* ---- SSIM ------------------------------------------------------------------------------------ */

enum { WINDOW = 11, MOMENTS = 5 };

/* Weights of one axis of the window, which sum to 1. */
static void gaussian_window(double *window) {
  const double sigma = 1.5;
  double sum = 0;
  for (int i = 0; i < WINDOW; i++) {
    double x = i - WINDOW / 2;
    window[i] = exp(-x * x / (2 * sigma * sigma));
    sum += window[i];
  }
  for (int i = 0; i < WINDOW; i++)
    window[i] /= sum;
}

/* Sums of the five moments (a, b, aa, bb, ab) over a column of WINDOW rows, for each sample of a
 * row of `samples`: columns[sample][moment]. */
static void sum_columns(const uint8_t *a, const uint8_t *b, size_t samples, const double *window,
                        double (*columns)[MOMENTS]) {
  memset(columns, 0, samples * sizeof *columns);
  for (int r = 0; r < WINDOW; r++, a += samples, b += samples)
    for (size_t i = 0; i < samples; i++) {
      double left = a[i], right = b[i], weight = window[r];
      columns[i][0] += weight * left;
      columns[i][1] += weight * right;
      columns[i][2] += weight * left * left;
      columns[i][3] += weight * right * right;
      columns[i][4] += weight * left * right;
    }
}

/* The similarity of one window, whose first column of moments is given; the next one of the same
 * channel is `step` further. */
static double window_similarity(double (*columns)[MOMENTS], size_t step, const double *window) {
  const double c1 = 0.01 * 255 * 0.01 * 255, c2 = 0.03 * 255 * 0.03 * 255;
  double m[MOMENTS] = {0};
  for (size_t i = 0; i < WINDOW; i++)
    for (int k = 0; k < MOMENTS; k++)
      m[k] += window[i] * columns[i * step][k];
  double variance_a = m[2] - m[0] * m[0], variance_b = m[3] - m[1] * m[1];
  double covariance = m[4] - m[0] * m[1];
  return (2 * m[0] * m[1] + c1) * (2 * covariance + c2) /
         ((m[0] * m[0] + m[1] * m[1] + c1) * (variance_a + variance_b + c2));
}

enum vqct_status vqct_image_ssim(const struct vqct_image *a, const struct vqct_image *b,
                                 double *similarity, struct vqct_error *error) {
  double window[WINDOW], sum = 0;
  enum vqct_status status = check_shapes(a, b, error);
  if (status != VQCT_OK)
    return status;
  if (a->width < WINDOW || a->height < WINDOW)
    return error_set(error, VQCT_INVALID,
                     "a picture of %" PRIu32 " x %" PRIu32
                     " pixels is smaller than the window of %d that SSIM needs",
                     a->width, a->height, WINDOW);
  size_t channels = a->channels, samples = a->width * channels, bytes;
  double(*columns)[MOMENTS] =
      size_multiply(samples, sizeof *columns, &bytes) ? malloc(bytes) : NULL;
  if (!columns)
    return error_set(error, VQCT_MEMORY, "no memory to compare two pictures");
  gaussian_window(window);
  size_t rows = a->height - WINDOW + 1, places = samples - (WINDOW - 1) * channels;
  for (size_t y = 0; y < rows; y++) {
    sum_columns(a->pixels + y * samples, b->pixels + y * samples, samples, window, columns);
    for (size_t i = 0; i < places; i++)
      sum += window_similarity(columns + i, channels, window);
  }
  *similarity = sum / ((double)rows * (double)places);
  free(columns);
  return VQCT_OK;
}
