/* A task packs one panel of output channels and a few input channels, so that what it reads and
 * writes stays in the first cache although neighbours in one order are far apart in the other. */
#include "filter_pack.h"

#include <string.h>

#include "conv.h"

#define INPUT_CHANNELS 8 /* of one task */
#define TAPS_MAX       (CONV_KERNEL_MAX * CONV_KERNEL_MAX)

struct pack_job {
  const struct filter *filter;
  const struct weight_view *view;
  size_t taps;
  ptrdiff_t tap[TAPS_MAX]; /* where each lies, from the first one of its channels */
  size_t input_blocks;
};

/* Some input channels of one panel; columns within its width that do not exist are 0. */
struct patch {
  float taps[INPUT_CHANNELS][TAPS_MAX][PANEL_MAX];
};

/* Reads along the output channels last, as neighbours there are the furthest apart in memory. */
static void read_patch(const struct pack_job *job, size_t first, size_t count, size_t width,
                       size_t input, size_t inputs, struct patch *patch) {
  const struct weight_view *view = job->view;
  if (count < width)
    memset(patch, 0, sizeof *patch);
  for (size_t o = 0; o < count; o++)
    for (size_t i = 0; i < inputs; i++) {
      const float *from =
          view->first + (ptrdiff_t)(first + o) * view->out + (ptrdiff_t)(input + i) * view->in;
      for (size_t tap = 0; tap < job->taps; tap++)
        patch->taps[i][tap][o] = from[job->tap[tap]];
    }
}

static void pack_task(void *argument, size_t number, unsigned worker) {
  (void)worker;
  const struct pack_job *job = argument;
  const struct filter *filter = job->filter;
  const struct simd *simd = filter->simd;
  size_t panel = number / job->input_blocks, first = panel * simd->panel;
  size_t vectors = simd_panel_vectors(simd, filter->out_channels, panel);
  size_t width = vectors * simd->lanes, step = filter->in_channels * width;
  size_t count = filter->out_channels - first < width ? filter->out_channels - first : width;
  size_t input = number % job->input_blocks * INPUT_CHANNELS;
  size_t inputs = filter->in_channels - input;
  inputs = inputs < INPUT_CHANNELS ? inputs : INPUT_CHANNELS;
  float *to = filter->weights + first * filter_points(filter) * filter->in_channels + input * width;
  struct patch patch;
  read_patch(job, first, count, width, input, inputs, &patch);
  for (size_t i = 0; i < inputs; i++, to += width)
    if (filter->form == FILTER_WINOGRAD)
      filter->winograd->weight(patch.taps[i][0], PANEL_MAX, vectors, to, step);
    else
      for (size_t tap = 0; tap < filter_points(filter); tap++)
        memcpy(to + tap * step, patch.taps[i][tap], width * sizeof *to);
}

void filter_pack(const struct filter *filter, const struct weight_view *view, const float *bias,
                 struct pool *pool) {
  struct pack_job job = {.filter = filter, .view = view};
  for (int row = 0; row < filter->kernel_rows; row++)
    for (int column = 0; column < filter->kernel_columns; column++)
      job.tap[job.taps++] = row * view->row + column * view->column;
  size_t panels = simd_panels(filter->simd, filter->out_channels);
  job.input_blocks = (filter->in_channels + INPUT_CHANNELS - 1) / INPUT_CHANNELS;
  pool_run(pool, panels * job.input_blocks, pack_task, &job);
  memset(filter->bias, 0, panels * filter->simd->panel * sizeof *filter->bias);
  if (bias)
    memcpy(filter->bias, bias, filter->out_channels * sizeof *bias);
}
