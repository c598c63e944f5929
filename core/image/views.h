/* Several views of a picture, all of one size, for a model that learns from its tokens:
 *
 *   center    what fit_picture makes
 *   ten       torchvision's TenCrop of what is 1.1 times as large: the four corners (top left, top
 *             right, bottom left, bottom right) and the centre, and the same of the mirrored
 *             picture
 *   random:N  N windows of a picture scaled so that the target covers some part of it, such as 0.8
 *             to 1, on the side that fits first, anywhere in it; settled by the seed, the picture's
 *             name and the view's number alone
 *
 * With flip each view comes a second time, mirrored, after all of them. A picture may be fitted to
 * the one of several sizes whose aspect is nearest to its own.
 */
#ifndef IMAGE_VIEWS_H
#define IMAGE_VIEWS_H

#include "fit.h"

#define VIEWS_SIZES_MAX  64
#define VIEWS_RANDOM_MAX 1000
#define VIEWS_PART_LEAST 0.05 /* pictures are scaled to 1 / part of the size */

enum views_kind { VIEWS_CENTER, VIEWS_TEN, VIEWS_RANDOM };

struct views_size {
  uint32_t width, height; /* pixels, 1 to 65,535 */
};

struct views {
  enum views_kind kind;
  unsigned windows;   /* of VIEWS_RANDOM */
  double least, most; /* of VIEWS_RANDOM: the part that a window covers, VIEWS_PART_LEAST to 1 */
  bool flip;
  uint64_t seed;
  struct views_size size[VIEWS_SIZES_MAX];
  size_t sizes; /* 0: that of the fit */
};

/** Where a view lies in its picture, in pixels from the left and top. */
struct view_box {
  double left, top, right, bottom;
  bool mirrored;
};

/** "center", "ten" or "random:N" into kind and windows. False where it is none of them. */
bool views_read_crops(struct views *views, const char *text);

/** "0.8:1" into least and most. False where it is not such a range. */
bool views_read_range(struct views *views, const char *text);

/** "256x256,320x192" into size and sizes. False where it is not such a list. */
bool views_read_sizes(struct views *views, const char *text);

/** How many views a picture has. */
unsigned views_count(const struct views *views);

/** Where view `view`, 0 to count - 1, lies in a picture of this size. */
struct view_box views_box(const struct views *views, const struct fit *fit, const char *name,
                          uint32_t width, uint32_t height, unsigned view);

/** All views of a picture of 3 channels, one below the other in one image, which the caller frees.
 * fit gives the size, by VQCT_RESIZE_COVER, and the channels. Errors: those of fit_picture; MEMORY
 * also where that is more than 4 GiB; the image is then empty. */
enum vqct_status views_make(const struct views *views, const struct fit *fit, const char *name,
                            const struct vqct_image *picture, struct vqct_image *result,
                            struct vqct_error *error);

#endif
