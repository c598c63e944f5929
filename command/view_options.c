#include "view_options.h"

#include <inttypes.h>
#include <string.h>

#include "error.h"

static enum vqct_status check_buckets(const struct views *views,
                                      const struct vqct_model_info *model,
                                      struct vqct_error *error) {
  for (size_t i = 0; i < views->sizes; i++) {
    const struct views_size *size = &views->size[i];
    if (size->width % model->downsampling || size->height % model->downsampling)
      return error_set(error, VQCT_INVALID,
                       "--buckets: %" PRIu32 "x%" PRIu32
                       ": both sides must be multiples of %" PRIu32 ", the model's downsampling",
                       size->width, size->height, model->downsampling);
    for (size_t j = 0; j < i; j++)
      if (views->size[j].width == size->width && views->size[j].height == size->height)
        return error_set(error, VQCT_INVALID, "--buckets: %" PRIu32 "x%" PRIu32 " stands twice",
                         size->width, size->height);
  }
  return VQCT_OK;
}

enum vqct_status view_options_read(const struct view_options *options,
                                   const struct preparation *preparation,
                                   const struct vqct_model_info *model, struct views *views,
                                   bool *used, struct vqct_error *error) {
  *views = (struct views){.flip = options->flip, .seed = (uint64_t)options->seed};
  if (!views_read_crops(views, options->crops))
    return error_set(error, VQCT_INVALID,
                     "--crops '%s': it must be center, ten or random:N with N from 1 to %d",
                     options->crops, VIEWS_RANDOM_MAX);
  if (!views_read_range(views, options->range))
    return error_set(error, VQCT_INVALID,
                     "--crop-range '%s': it must be MIN:MAX, two numbers from %g to 1 such as "
                     "0.8:1, the smaller first",
                     options->range, VIEWS_PART_LEAST);
  if (views->kind != VIEWS_RANDOM && strcmp(options->range, VIEW_RANGE) != 0)
    return error_set(error, VQCT_INVALID, "--crop-range: it goes with --crops random:N");
  if (options->buckets && !views_read_sizes(views, options->buckets))
    return error_set(error, VQCT_INVALID,
                     "--buckets '%s': it must be 1 to %d sizes such as 256x256,320x192",
                     options->buckets, VIEWS_SIZES_MAX);
  *used = views->kind != VIEWS_CENTER || views->flip || views->sizes;
  if (views->kind == VIEWS_TEN && views->flip)
    return error_set(error, VQCT_INVALID, "--flip: --crops ten has each view mirrored already");
  if (*used && preparation->resize != VQCT_RESIZE_COVER)
    return error_set(error, VQCT_INVALID, "--crops, --flip and --buckets go with --resize cover");
  return check_buckets(views, model, error);
}
