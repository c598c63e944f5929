/* Weights from the order of files to the order in which products read them. A task packs one panel
 * of output channels and a few input channels, so that what it reads and writes stays in the first
 * cache although neighbours in one order are far apart in the other. */
#include <string.h>

#include "layer.h"

#define INPUT_CHANNELS 8 /* of one task */
#define TAPS_MAX       (CONV_KERNEL_MAX * CONV_KERNEL_MAX)

struct pack_job {
  const struct layer *layer;
  const struct weight_view *view;
  size_t input_blocks;
};

/* Some input channels of one panel; columns that do not exist are 0. */
struct patch {
  float taps[INPUT_CHANNELS][TAPS_MAX][PANEL_MAX];
};

/* Reads along the output channels last, as neighbours there are the furthest apart in memory. */
static void read_patch(const struct pack_job *job, size_t first, size_t count, size_t input,
                       size_t inputs, struct patch *patch) {
  const struct weight_view *view = job->view;
  ptrdiff_t rows = job->layer->kernel_rows, columns = job->layer->kernel_columns;
  if (count < PANEL_MAX)
    memset(patch, 0, sizeof *patch);
  for (size_t o = 0; o < count; o++)
    for (size_t i = 0; i < inputs; i++) {
      const float *from =
          view->first + (ptrdiff_t)(first + o) * view->out + (ptrdiff_t)(input + i) * view->in;
      for (ptrdiff_t row = 0; row < rows; row++)
        for (ptrdiff_t column = 0; column < columns; column++)
          patch->taps[i][row * columns + column][o] = from[row * view->row + column * view->column];
    }
}

static void pack_task(void *argument, size_t number, unsigned worker) {
  (void)worker;
  const struct pack_job *job = argument;
  const struct layer *layer = job->layer;
  const struct simd *simd = layer->simd;
  size_t panel = number / job->input_blocks, first = panel * simd->panel;
  size_t vectors = simd_panel_vectors(simd, layer->out_channels, panel);
  size_t width = vectors * simd->lanes, step = layer->in_channels * width;
  size_t count = layer->out_channels - first < width ? layer->out_channels - first : width;
  size_t input = number % job->input_blocks * INPUT_CHANNELS;
  size_t inputs = layer->in_channels - input;
  inputs = inputs < INPUT_CHANNELS ? inputs : INPUT_CHANNELS;
  float *to = layer->weights + first * layer_points(layer) * layer->in_channels + input * width;
  struct patch patch;
  read_patch(job, first, count, input, inputs, &patch);
  for (size_t i = 0; i < inputs; i++, to += width)
    if (layer->form == LAYER_WINOGRAD)
      simd->winograd_weight(patch.taps[i][0], PANEL_MAX, vectors, to, step);
    else
      for (size_t tap = 0; tap < layer_points(layer); tap++)
        memcpy(to + tap * step, patch.taps[i][tap], width * sizeof *to);
}

void layer_pack(const struct layer *layer, const struct weight_view *view, const float *bias,
                struct pool *pool) {
  struct pack_job job = {.layer = layer, .view = view};
  size_t panels = simd_panels(layer->simd, layer->out_channels);
  job.input_blocks = (layer->in_channels + INPUT_CHANNELS - 1) / INPUT_CHANNELS;
  pool_run(pool, panels * job.input_blocks, pack_task, &job);
  memset(layer->bias, 0, panels * layer->simd->panel * sizeof *layer->bias);
  if (bias)
    memcpy(layer->bias, bias, layer->out_channels * sizeof *bias);
}
