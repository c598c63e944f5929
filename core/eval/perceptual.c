/* Both pictures of a pair travel through the network in one batch, x in the first half and y in the
 * second; only y's half has a backward pass. Every stage's output is kept until the end. */
#include "perceptual.h"

#include <math.h>
#include <string.h>

#include "error.h"
#include "max_pool.h"
#include "network_file.h"
#include "perceptual_network.h"

#define LANES          8      /* every compared depth of both networks has a multiple of channels */
#define LENGTH_EPSILON 1e-10F /* added to the length that activations are divided by */

/* The published means and deviations of the pictures' channels, for values in [-1,1]. */
static const float input_shift[3] = {-.030F, -.088F, -.188F};
static const float input_scale[3] = {.458F, .448F, .450F};

/* Activations of one stage: images,height,width,channels for x and y together. */
struct kept {
  float *data, *squeezed; /* squeezed: of a fire module, what expand reads */
  int height, width, channels;
};

struct perceptual_pass {
  const struct perceptual *network;
  const struct exec *exec;
  int images;                                  /* pairs */
  struct kept kept[PERCEPTUAL_STAGES_MAX + 1]; /* kept[0] is what the network reads */
};

static size_t positions(const struct kept *kept) {
  return (size_t)kept->height * (size_t)kept->width;
}

static size_t image_size(const struct kept *kept) {
  return positions(kept) * (size_t)kept->channels;
}

/* Numbers of y's half. */
static size_t half(const struct perceptual_pass *pass, const struct kept *kept) {
  return (size_t)pass->images * image_size(kept);
}

static float *take(const struct perceptual_pass *pass, size_t count) {
  return arena_alloc(pass->exec->arena, count * sizeof(float));
}

/* ---- elementwise steps, row by row ----------------------------------------------------------- */

/* Forward (value NULL): wide = relu(first | second), rows of both next to each other. Backward:
 * first and second get their parts of wide where value, which has wide's shape, is above 0. */
struct relu_job {
  float *wide, *first, *second; /* second NULL: wide is first alone, and may be the same memory */
  const float *value;
  size_t width; /* numbers of a row of first (and of second) */
  size_t count; /* rows */
};

#define ROWS_A_TASK 64

static void relu_rows(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct relu_job *rows = argument;
  size_t end = (task + 1) * ROWS_A_TASK < rows->count ? (task + 1) * ROWS_A_TASK : rows->count;
  size_t parts = rows->second ? 2 : 1;
  for (size_t part = task * ROWS_A_TASK * parts; part < end * parts; part++) {
    float *narrow = (part % parts ? rows->second : rows->first) + part / parts * rows->width;
    float *wide = rows->wide + part * rows->width;
    const float *value = rows->value ? rows->value + part * rows->width : NULL;
    if (value)
      for (size_t i = 0; i < rows->width; i++)
        narrow[i] = value[i] > 0 ? wide[i] : 0;
    else
      for (size_t i = 0; i < rows->width; i++)
        wide[i] = narrow[i] > 0 ? narrow[i] : 0;
  }
}

static void relu(const struct perceptual_pass *pass, struct relu_job rows) {
  pool_run(pass->exec->pool, (rows.count + ROWS_A_TASK - 1) / ROWS_A_TASK, relu_rows, &rows);
}

/* ---- forward --------------------------------------------------------------------------------- */

static enum vqct_status convolve(const struct perceptual_pass *pass,
                                 const struct perceptual_convolution *convolution, const float *x,
                                 int height, int width, float *y) {
  const struct conv_input input = {
      .x = x, .images = 2 * pass->images, .height = height, .width = width};
  const struct conv_output output = {.y = y};
  return conv_forward(convolution->conv, &input, &output, pass->exec);
}

static enum vqct_status fire_forward(const struct perceptual_pass *pass, const struct stage *stage,
                                     const struct kept *in, struct kept *out) {
  const struct perceptual_convolution *convolution = stage->convolution;
  size_t rows = 2 * (size_t)pass->images * positions(in);
  size_t squeeze = (size_t)convolution[FIRE_SQUEEZE].shape.out_channels;
  size_t expand = (size_t)stage->channels / 2;
  int height = in->height, width = in->width;
  if (!(out->squeezed = take(pass, rows * squeeze)))
    return VQCT_MEMORY;
  struct arena_mark mark = arena_mark(pass->exec->arena);
  float *expanded = take(pass, 2 * rows * expand);
  enum vqct_status status = VQCT_MEMORY;
  if (!expanded)
    goto done;
  status = convolve(pass, &convolution[FIRE_SQUEEZE], in->data, height, width, out->squeezed);
  if (status != VQCT_OK)
    goto done;
  relu(pass, (struct relu_job){out->squeezed, out->squeezed, NULL, NULL, squeeze, rows});
  status = convolve(pass, &convolution[FIRE_EXPAND1], out->squeezed, height, width, expanded);
  if (status != VQCT_OK)
    goto done;
  status = convolve(pass, &convolution[FIRE_EXPAND3], out->squeezed, height, width,
                    expanded + rows * expand);
  if (status != VQCT_OK)
    goto done;
  relu(pass, (struct relu_job){out->data, expanded, expanded + rows * expand, NULL, expand, rows});
done:
  arena_release(pass->exec->arena, mark);
  return status;
}

static struct max_pool stage_pool(const struct perceptual_pass *pass, const struct kept *in,
                                  int images) {
  return (struct max_pool){pass->network->pool_kernel,
                           pass->network->pool_ceiling,
                           images,
                           in->height,
                           in->width,
                           in->channels};
}

/* Sets the shape of what a stage writes; a height or width of 0 where its input is too small. */
static void shape_after(const struct perceptual_pass *pass, const struct stage *stage,
                        const struct kept *in, struct kept *out) {
  out->channels = stage->channels;
  if (stage->kind == STAGE_POOL) {
    struct max_pool pool = stage_pool(pass, in, 1);
    out->height = max_pool_output_size(&pool, in->height);
    out->width = max_pool_output_size(&pool, in->width);
  } else {
    const struct conv_shape *shape = &stage->convolution[FIRE_SQUEEZE].shape;
    out->height = conv_output_size(shape, in->height);
    out->width = conv_output_size(shape, in->width);
  }
}

static enum vqct_status stage_forward(struct perceptual_pass *pass, int index) {
  const struct stage *stage = &pass->network->stage[index];
  const struct kept *in = &pass->kept[index];
  struct kept *out = &pass->kept[index + 1];
  if (!(out->data = take(pass, 2 * half(pass, out))))
    return VQCT_MEMORY;
  if (stage->kind == STAGE_FIRE)
    return fire_forward(pass, stage, in, out);
  if (stage->kind == STAGE_POOL) {
    struct max_pool pool = stage_pool(pass, in, 2 * pass->images);
    max_pool_forward(&pool, in->data, out->data, pass->exec);
    return VQCT_OK;
  }
  enum vqct_status status =
      convolve(pass, &stage->convolution[0], in->data, in->height, in->width, out->data);
  if (status != VQCT_OK)
    return status;
  relu(pass, (struct relu_job){out->data, out->data, NULL, NULL, (size_t)out->channels,
                               2 * (size_t)pass->images * positions(out)});
  return VQCT_OK;
}

/* Says of what size the pictures were, where a pass did not end well. */
static enum vqct_status failed(const struct perceptual_pass *pass, enum vqct_status status,
                               struct vqct_error *error) {
  return error_set(error, status, "no memory for LPIPS of %d pictures of %d x %d", pass->images,
                   pass->kept[0].width, pass->kept[0].height);
}

static enum vqct_status forward(struct perceptual_pass *pass, const float *x, const float *y,
                                struct vqct_error *error) {
  struct kept *in = &pass->kept[0];
  for (int i = 0; i < pass->network->stages; i++) {
    shape_after(pass, &pass->network->stage[i], &pass->kept[i], &pass->kept[i + 1]);
    if (!pass->kept[i + 1].height || !pass->kept[i + 1].width)
      return error_set(error, VQCT_INVALID, "%d x %d pixels are too few for the perceptual network",
                       in->width, in->height);
  }
  size_t count = half(pass, in);
  if (!(in->data = take(pass, 2 * count)))
    return failed(pass, VQCT_MEMORY, error);
  for (size_t i = 0; i < count; i++) {
    in->data[i] = (x[i] - input_shift[i % 3]) / input_scale[i % 3];
    in->data[count + i] = (y[i] - input_shift[i % 3]) / input_scale[i % 3];
  }
  for (int i = 0; i < pass->network->stages; i++) {
    enum vqct_status status = stage_forward(pass, i);
    if (status != VQCT_OK)
      return failed(pass, status, error);
  }
  return VQCT_OK;
}

/* ---- comparing ------------------------------------------------------------------------------- */

struct tap {
  const struct kept *kept;
  const float *head;
  size_t images;
  float scale;  /* of the gradient of one position; unused without dy */
  float *dy;    /* added to; NULL: only the distance is wanted */
  double *sums; /* one a task: a row of positions of one image */
};

/* A sum in LANES parts, which the compiler can keep in vectors. */
struct lanes {
  double part[LANES];
};

static double lanes_sum(const struct lanes *lanes) {
  double sum = 0;
  for (size_t i = 0; i < LANES; i++)
    sum += lanes->part[i];
  return sum;
}

static float length_of(const float *v, size_t channels) {
  struct lanes lanes = {{0}};
  for (size_t c = 0; c < channels; c += LANES)
    for (size_t i = 0; i < LANES; i++)
      lanes.part[i] += (double)v[c + i] * (double)v[c + i];
  return (float)sqrt(lanes_sum(&lanes));
}

/* The gradient of one position: first for the vector of length 1, then through the scaling. */
static void tap_backward(const float *restrict x, const float *restrict y, float inverse_x,
                         float length_y, const struct tap *tap, float *restrict dy) {
  size_t channels = (size_t)tap->kept->channels;
  float inverse_y = 1 / (length_y + LENGTH_EPSILON);
  const float *restrict head = tap->head;
  float twice = 2 * tap->scale;
  struct lanes along = {{0}};
  for (size_t c = 0; c < channels; c += LANES)
    for (size_t i = 0; i < LANES; i++) {
      float gradient = twice * head[c + i] * (y[c + i] * inverse_y - x[c + i] * inverse_x);
      along.part[i] += (double)gradient * (double)y[c + i];
      dy[c + i] += gradient * inverse_y;
    }
  float back = length_y > 0 ? (float)lanes_sum(&along) * inverse_y * inverse_y / length_y : 0;
  for (size_t c = 0; c < channels; c++)
    dy[c] -= back * y[c];
}

static void tap_row(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct tap *tap = argument;
  size_t channels = (size_t)tap->kept->channels, width = (size_t)tap->kept->width;
  size_t count = tap->images * image_size(tap->kept);
  double sum = 0;
  for (size_t p = task * width; p < (task + 1) * width; p++) {
    const float *x = tap->kept->data + p * channels, *y = x + count;
    float length_x = length_of(x, channels), length_y = length_of(y, channels);
    float inverse_x = 1 / (length_x + LENGTH_EPSILON), inverse_y = 1 / (length_y + LENGTH_EPSILON);
    struct lanes lanes = {{0}};
    for (size_t c = 0; c < channels; c += LANES)
      for (size_t i = 0; i < LANES; i++) {
        float difference = y[c + i] * inverse_y - x[c + i] * inverse_x;
        lanes.part[i] += (double)(tap->head[c + i] * difference * difference);
      }
    sum += lanes_sum(&lanes);
    if (tap->dy)
      tap_backward(x, y, inverse_x, length_y, tap, tap->dy + p * channels);
  }
  tap->sums[task] = sum;
}

/* Adds one depth's share to each pair's distance, where that is wanted, and to dy. */
static enum vqct_status compare(const struct perceptual_pass *pass, int index, float scale,
                                float *dy, double *distance) {
  const struct kept *kept = &pass->kept[index + 1];
  struct arena_mark mark = arena_mark(pass->exec->arena);
  size_t images = (size_t)pass->images, height = (size_t)kept->height;
  struct tap tap = {kept, pass->network->stage[index].head, images, 0, dy, NULL};
  tap.scale = scale / (float)positions(kept);
  if (!(tap.sums = arena_alloc(pass->exec->arena, images * height * sizeof *tap.sums)))
    return VQCT_MEMORY;
  pool_run(pass->exec->pool, images * height, tap_row, &tap);
  for (size_t i = 0; i < images * height; i++)
    distance[i / height] += tap.sums[i] / (double)positions(kept);
  arena_release(pass->exec->arena, mark);
  return VQCT_OK;
}

static enum vqct_status compare_all(const struct perceptual_pass *pass, double *distance) {
  for (int i = 0; i < pass->network->stages; i++) {
    if (!pass->network->stage[i].head)
      continue;
    enum vqct_status status = compare(pass, i, 0, NULL, distance);
    if (status != VQCT_OK)
      return status;
  }
  return VQCT_OK;
}

/* ---- backward -------------------------------------------------------------------------------- */

static enum vqct_status convolve_backward(const struct perceptual_pass *pass,
                                          const struct perceptual_convolution *convolution,
                                          const float *dy, const struct kept *in, float *dx) {
  return conv_backward_input(&convolution->shape, convolution->weight, dy, pass->images, in->height,
                             in->width, dx, pass->exec);
}

static enum vqct_status fire_backward(const struct perceptual_pass *pass, const struct stage *stage,
                                      const struct kept *in, const struct kept *out, float *dy,
                                      float *dx) {
  const struct perceptual_convolution *convolution = stage->convolution;
  size_t rows = (size_t)pass->images * positions(in), expand = (size_t)stage->channels / 2;
  size_t squeeze = (size_t)convolution[FIRE_SQUEEZE].shape.out_channels;
  const float *squeezed = out->squeezed + rows * squeeze;
  struct arena_mark mark = arena_mark(pass->exec->arena);
  float *expanded = take(pass, 2 * rows * expand), *ds = take(pass, 2 * rows * squeeze);
  enum vqct_status status = VQCT_MEMORY;
  if (!expanded || !ds)
    goto done;
  relu(pass, (struct relu_job){dy, expanded, expanded + rows * expand, out->data + half(pass, out),
                               expand, rows});
  status = convolve_backward(pass, &convolution[FIRE_EXPAND1], expanded, in, ds);
  if (status != VQCT_OK)
    goto done;
  status = convolve_backward(pass, &convolution[FIRE_EXPAND3], expanded + rows * expand, in,
                             ds + rows * squeeze);
  if (status != VQCT_OK)
    goto done;
  for (size_t i = 0; i < rows * squeeze; i++)
    ds[i] = squeezed[i] > 0 ? ds[i] + ds[rows * squeeze + i] : 0;
  status = convolve_backward(pass, &convolution[FIRE_SQUEEZE], ds, in, dx);
done:
  arena_release(pass->exec->arena, mark);
  return status;
}

/* From the gradient of a stage's output, which it may overwrite, to that of its input. */
static enum vqct_status stage_backward(const struct perceptual_pass *pass, int index, float *dy,
                                       float *dx) {
  const struct stage *stage = &pass->network->stage[index];
  const struct kept *in = &pass->kept[index], *out = &pass->kept[index + 1];
  if (stage->kind == STAGE_FIRE)
    return fire_backward(pass, stage, in, out, dy, dx);
  if (stage->kind == STAGE_POOL) {
    struct max_pool pool = stage_pool(pass, in, pass->images);
    max_pool_backward(&pool, in->data + half(pass, in), dy, dx, pass->exec);
    return VQCT_OK;
  }
  relu(pass, (struct relu_job){dy, dy, NULL, out->data + half(pass, out), (size_t)out->channels,
                               (size_t)pass->images * positions(out)});
  return convolve_backward(pass, &stage->convolution[0], dy, in, dx);
}

/* Walks back through the stages, adding each depth's gradient on the way, to dy of the pictures. */
static enum vqct_status backward(const struct perceptual_pass *pass, float scale, double *distance,
                                 float *dy) {
  const struct perceptual *network = pass->network;
  size_t largest = 0;
  for (int i = 0; i <= network->stages; i++)
    if (half(pass, &pass->kept[i]) > largest)
      largest = half(pass, &pass->kept[i]);
  float *buffer[2] = {take(pass, largest), take(pass, largest)};
  if (!buffer[0] || !buffer[1])
    return VQCT_MEMORY;
  memset(buffer[network->stages % 2], 0, half(pass, &pass->kept[network->stages]) * sizeof(float));
  for (int i = network->stages - 1; i >= 0; i--) {
    float *gradient = buffer[(i + 1) % 2];
    enum vqct_status status = VQCT_OK;
    if (network->stage[i].head)
      status = compare(pass, i, scale, gradient, distance);
    if (status != VQCT_OK)
      return status;
    status = stage_backward(pass, i, gradient, buffer[i % 2]);
    if (status != VQCT_OK)
      return status;
  }
  for (size_t i = 0; i < half(pass, &pass->kept[0]); i++)
    dy[i] += buffer[0][i] / input_scale[i % 3];
  return VQCT_OK;
}

/* Both public functions: with dy the backward pass as well. */
static enum vqct_status measure(const struct perceptual *perceptual, const float *x, const float *y,
                                int images, int height, int width, float scale, double *distance,
                                float *dy, const struct exec *exec, struct vqct_error *error) {
  struct arena_mark mark = arena_mark(exec->arena);
  struct perceptual_pass pass = {.network = perceptual, .exec = exec, .images = images};
  pass.kept[0] = (struct kept){NULL, NULL, height, width, 3};
  for (int n = 0; n < images; n++)
    distance[n] = 0;
  enum vqct_status status = forward(&pass, x, y, error);
  if (status != VQCT_OK)
    goto done;
  status = dy ? backward(&pass, scale, distance, dy) : compare_all(&pass, distance);
  if (status != VQCT_OK)
    failed(&pass, status, error);
done:
  arena_release(exec->arena, mark);
  return status;
}

enum vqct_status perceptual_distance(const struct perceptual *perceptual, const float *x,
                                     const float *y, int images, int height, int width,
                                     double *distance, const struct exec *exec,
                                     struct vqct_error *error) {
  return measure(perceptual, x, y, images, height, width, 0, distance, NULL, exec, error);
}

enum vqct_status perceptual_loss(const struct perceptual *perceptual, const float *x,
                                 const float *y, int images, int height, int width, float scale,
                                 double *loss, float *dy, const struct exec *exec,
                                 struct vqct_error *error) {
  struct arena_mark mark = arena_mark(exec->arena);
  double *distance = arena_alloc(exec->arena, (size_t)images * sizeof *distance);
  if (!distance)
    return error_set(error, VQCT_MEMORY, "no memory for LPIPS");
  enum vqct_status status = measure(perceptual, x, y, images, height, width, scale / (float)images,
                                    distance, dy, exec, error);
  *loss = 0;
  for (int n = 0; n < images && status == VQCT_OK; n++)
    *loss += distance[n] / images;
  arena_release(exec->arena, mark);
  return status;
}

/* ---- pooled features ------------------------------------------------------------------------- */

size_t perceptual_pool_size(const struct perceptual *perceptual) {
  return (size_t)perceptual->stage[perceptual->stages - 1].channels;
}

enum vqct_status perceptual_pool(const struct perceptual *perceptual, const float *x,
                                 const float *y, int height, int width, float *pooled,
                                 const struct exec *exec, struct vqct_error *error) {
  struct arena_mark mark = arena_mark(exec->arena);
  struct perceptual_pass pass = {.network = perceptual, .exec = exec, .images = 1};
  pass.kept[0] = (struct kept){NULL, NULL, height, width, 3};
  enum vqct_status status = forward(&pass, x, y, error);
  const struct kept *last = &pass.kept[perceptual->stages];
  for (size_t n = 0; status == VQCT_OK && n < 2; n++)
    positions_mean(last->data + n * image_size(last), positions(last), (size_t)last->channels,
                   pooled + n * (size_t)last->channels);
  arena_release(exec->arena, mark);
  return status;
}
