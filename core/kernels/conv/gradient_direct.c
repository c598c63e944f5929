/* The gradient for the weights as a product of dy and the windows of x, a band of output rows after
 * another, so that both stay in the cache. Windows are gathered once a band for all tasks.
 */
#include "gather.h"
#include "gradient.h"
#include "size.h"

#define BAND_PIXELS 1024 /* of output in a band, which then stays in the second or third cache */
/* Output channels of one task, so that a tile of the gradient stays in the first cache. */
#define OUT_CHANNELS 128

/* A band is some output rows of one image. The window of a row of taps, taps * channels numbers
 * that lie side by side, is cut into panels; a task computes one panel for some output channels. */
struct band_job {
  const struct gradient *gradient;
  size_t image, in, out, line; /* line: floats of a gathered row */
  int row, rows;               /* of output */
  size_t panels, slices;       /* of a window; of the output channels */
  float *pixels;
  float *sums; /* row of taps, panel, output channel, panel's columns */
};

static size_t window(const struct band_job *job) {
  return (size_t)job->gradient->shape->kernel * job->in;
}

static void read_row(void *argument, size_t number, unsigned worker) {
  (void)worker;
  const struct band_job *job = argument;
  const struct conv_shape *s = job->gradient->shape;
  struct region region = {
      .row = job->row * s->stride - s->pad_before + (int)number,
      .column = -s->pad_before,
      .rows = 1,
      .columns = (job->gradient->width - 1) * s->stride + s->kernel,
      .channels = job->in,
  };
  gather(job->gradient->simd, job->gradient->input, job->in, job->image, &region, job->in,
         job->pixels + number * job->line);
}

static void multiply_part(void *argument, size_t number, unsigned worker) {
  (void)worker;
  const struct band_job *job = argument;
  const struct gradient *g = job->gradient;
  const struct simd *simd = g->simd;
  size_t first = number % job->slices * OUT_CHANNELS;
  size_t panel = number / job->slices % job->panels, tap_row = number / job->slices / job->panels;
  size_t stride = (size_t)g->shape->stride;
  size_t rows = job->out - first < OUT_CHANNELS ? job->out - first : OUT_CHANNELS;
  size_t line = (job->image * (size_t)g->height + (size_t)job->row) * (size_t)g->width;
  struct product product = {
      .rows = rows,
      .runs = (size_t)job->rows,
      .depth = (size_t)g->width,
      .vectors = simd_panel_vectors(simd, window(job), panel),
      .a = g->dy + line * job->out + first,
      .a_row = 1,
      .a_step = job->out,
      .a_run = (size_t)g->width * job->out,
      .b = job->pixels + tap_row * job->line + panel * simd->panel,
      .b_row = stride * job->in,
      .b_run = stride * job->line,
      .c = job->sums + ((tap_row * job->panels + panel) * job->out + first) * simd->panel,
      .c_row = simd->panel,
      .accumulate = true,
  };
  simd->product(&product);
}

/* Adds the sums of one output channel, which lie in the order of windows, to dweight. */
static void add_output_channel(void *argument, size_t o, unsigned worker) {
  (void)worker;
  const struct band_job *job = argument;
  size_t kernel = (size_t)job->gradient->shape->kernel, panel = job->gradient->simd->panel;
  float *dweight = job->gradient->dweight + o * job->in * kernel * kernel;
  for (size_t row = 0; row < kernel; row++) {
    size_t tap = row * kernel, input = 0;
    for (size_t column = 0; column < window(job); column += panel) {
      size_t left = window(job) - column;
      const float *sums = job->sums + ((row * job->panels + column / panel) * job->out + o) * panel;
      for (size_t c = 0; c < panel && c < left; c++) {
        dweight[input * kernel * kernel + tap] += sums[c];
        if (++input == job->in) {
          input = 0;
          tap++;
        }
      }
    }
  }
}

static void run_bands(struct band_job *job, int band_rows, const struct exec *exec) {
  const struct gradient *g = job->gradient;
  size_t parts = (size_t)g->shape->kernel * job->panels * job->slices;
  for (job->image = 0; job->image < (size_t)g->input->images; job->image++)
    for (job->row = 0; job->row < g->height; job->row += band_rows) {
      job->rows = g->height - job->row < band_rows ? g->height - job->row : band_rows;
      size_t lines = (size_t)((job->rows - 1) * g->shape->stride + g->shape->kernel);
      pool_run(exec->pool, lines, read_row, job);
      exec_run(exec, parts, multiply_part, job);
    }
  pool_run(exec->pool, job->out, add_output_channel, job);
}

enum vqct_status gradient_direct(const struct gradient *g, const struct exec *exec) {
  const struct conv_shape *s = g->shape;
  struct band_job job = {
      .gradient = g,
      .in = (size_t)s->in_channels,
      .out = (size_t)s->out_channels,
  };
  job.panels = simd_panels(g->simd, window(&job));
  job.slices = (job.out + OUT_CHANNELS - 1) / OUT_CHANNELS;
  job.line = (size_t)((g->width - 1) * s->stride + s->kernel) * job.in;
  int band_rows = BAND_PIXELS / g->width < 1 ? 1 : BAND_PIXELS / g->width;
  band_rows = band_rows > g->height ? g->height : band_rows;
  size_t lines = (size_t)((band_rows - 1) * s->stride + s->kernel), floats, sums;
  struct arena_mark mark = arena_mark(exec->arena);
  enum vqct_status status = VQCT_MEMORY;
  /* The last panel of the last window reads up to a panel beyond it, into columns nobody uses. */
  if (!size_multiply(lines, job.line, &floats) || !size_add(floats, g->simd->panel, &floats) ||
      !(job.pixels = arena_calloc(exec->arena, floats, sizeof(float))) ||
      !size_multiply((size_t)s->kernel * job.panels * g->simd->panel, job.out, &sums) ||
      !(job.sums = arena_calloc(exec->arena, sums, sizeof(float))))
    goto done;
  run_bands(&job, band_rows, exec);
  status = VQCT_OK;
done:
  arena_release(exec->arena, mark);
  return status;
}
