/* What a step takes, from the settings alone: from late_start on, other crops in other batches. */
#include "run_inner.h"

static bool is_late(const struct run_settings *s, uint64_t step) {
  return step >= s->late_start;
}

int run_batch_at(const struct run_settings *s, uint64_t step) {
  return is_late(s, step) ? s->late_batch : s->batch;
}

int run_crop_at(const struct run_settings *s, uint64_t step) {
  return is_late(s, step) ? s->late_crop : s->crop;
}

uint64_t run_samples_before(const struct run_settings *s, uint64_t step) {
  uint64_t late = is_late(s, step) ? step - s->late_start : 0;
  return ((step - late) * (uint64_t)s->batch + late * (uint64_t)s->late_batch) *
         (uint64_t)s->accumulate;
}
