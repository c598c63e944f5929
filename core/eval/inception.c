/* Kernels of 1 x 7 and 5 x 5 have no place among the convolutions that are trained, so all of this
 * network's run as one product over the gathered windows; BatchNorm is folded into the weights. */
#include "inception.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "gemm.h"
#include "inception_layers.h"

#define SIDE               299 /* pixels, of what the network reads */
#define PICTURES           2   /* computed together */
#define BATCH_NORM_EPSILON 1e-3
#define CONVOLUTIONS_MAX   128

/* A convolution with its BatchNorm. D = kernel height * kernel width * channels read. */
struct folded {
  float *weight, *bias; /* D,O and O */
  size_t inputs, outputs;
};

struct inception {
  struct folded folded[CONVOLUTIONS_MAX]; /* in the order of the tables */
  size_t count;
};

static size_t channels_of(const struct inception_block *block, const struct inception_layer *layer,
                          size_t in) {
  if (layer->kind != INCEPTION_CONVOLUTION)
    return in;
  return (size_t)(layer->channels ? layer->channels : block->width);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Weight O,I,H,W with its BatchNorm as D,O and a bias. */
static enum vqct_status fold(const struct inception_layer *layer, const float *weight,
                             float *const norm[4], struct folded *folded) {
  size_t out = folded->outputs, in = folded->inputs;
  size_t window = (size_t)layer->height * (size_t)layer->width;
  folded->weight = malloc(window * in * out * sizeof(float));
  folded->bias = malloc(out * sizeof(float));
  if (!folded->weight || !folded->bias)
    return VQCT_MEMORY;
  for (size_t o = 0; o < out; o++) {
    double scale = (double)norm[0][o] / sqrt((double)norm[3][o] + BATCH_NORM_EPSILON);
    folded->bias[o] = (float)((double)norm[1][o] - (double)norm[2][o] * scale);
    for (size_t i = 0; i < in; i++)
      for (size_t k = 0; k < window; k++)
        folded->weight[(k * in + i) * out + o] =
            (float)((double)weight[(o * in + i) * window + k] * scale);
  }
  return VQCT_OK;
}

static enum vqct_status read_convolution(const struct network_file *from, const char *name,
                                         const struct inception_layer *layer,
                                         struct folded *folded) {
  static const char *const parts[] = {"bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"};
  size_t shape[] = {folded->outputs, folded->inputs, (size_t)layer->height, (size_t)layer->width};
  char tensor[80];
  float *weight = NULL, *norm[4] = {NULL, NULL, NULL, NULL};
  snprintf(tensor, sizeof tensor, "%s.conv.weight", name);
  enum vqct_status status = network_file_read(from, tensor, 4, shape, &weight);
  for (size_t i = 0; i < 4 && status == VQCT_OK; i++) {
    snprintf(tensor, sizeof tensor, "%s.%s", name, parts[i]);
    status = network_file_read(from, tensor, 1, shape, &norm[i]);
  }
  if (status != VQCT_OK)
    goto done;
  for (size_t o = 0; o < folded->outputs; o++)
    if (norm[3][o] < 0) {
      status =
          error_set(from->error, VQCT_MODEL, "%s: %s holds a variance below 0", from->path, tensor);
      goto done;
    }
  if (fold(layer, weight, norm, folded) != VQCT_OK)
    status = error_set(from->error, VQCT_MEMORY, "no memory for %s", from->path);
done:
  free(weight);
  for (size_t i = 0; i < 4; i++)
    free(norm[i]);
  return status;
}

/* Reads one block, which gets *channels and leaves there how many it writes. */
static enum vqct_status read_block(const struct network_file *from,
                                   const struct inception_block *block, size_t *channels,
                                   struct inception *network) {
  size_t joined = 0, in = 0, out = 0;
  enum vqct_status status = VQCT_OK;
  for (int i = 0; i < block->layers && status == VQCT_OK; i++) {
    const struct inception_layer *layer = &block->layer[i];
    in = layer->from == FROM_BLOCK ? *channels : layer->from == FROM_LAYER ? out : in;
    out = channels_of(block, layer, in);
    joined += layer->joins ? out : 0;
    if (layer->kind != INCEPTION_CONVOLUTION)
      continue;
    struct folded *folded = &network->folded[network->count++];
    char name[64];
    snprintf(name, sizeof name, "%s%s%s", block->name, layer->name ? "." : "",
             layer->name ? layer->name : "");
    folded->inputs = in;
    folded->outputs = out;
    status = read_convolution(from, name, layer, folded);
  }
  *channels = joined;
  return status;
}

enum vqct_status inception_read(const struct network_file *from, struct inception **inception) {
  struct inception *network = calloc(1, sizeof *network);
  size_t channels = 3;
  *inception = NULL;
  if (!network)
    return error_set(from->error, VQCT_MEMORY, "no memory for %s", from->path);
  enum vqct_status status = VQCT_OK;
  for (size_t i = 0; i < inception_block_count && status == VQCT_OK; i++)
    status = read_block(from, &inception_blocks[i], &channels, network);
  if (status == VQCT_OK)
    *inception = network;
  else
    inception_free(network);
  return status;
}

void inception_free(struct inception *inception) {
  if (!inception)
    return;
  for (size_t i = 0; i < inception->count; i++) {
    free(inception->folded[i].weight);
    free(inception->folded[i].bias);
  }
  free(inception);
}

size_t inception_pool_size(void) {
  return INCEPTION_FEATURES;
}

/* ---- layers ---------------------------------------------------------------------------------- */

/* PICTURES,height,width,channels; rows of `stride` numbers, where it is a part of the channels of a
 * block's output. */
struct feature_grid {
  float *data;
  size_t height, width, channels, stride;
};

static size_t rows_of(const struct feature_grid *grid) {
  return PICTURES * grid->height * grid->width;
}

/* A layer between two grids, and the row of positions that a task works on. */
struct layer_job {
  const struct inception_layer *layer;
  const struct feature_grid *in, *out;
  float *windows;    /* rows of out, D: what a convolution reads */
  const float *bias; /* of a convolution */
};

/* First row (or column) of the window of output number `at`; it may lie outside. */
static ptrdiff_t window_start(const struct inception_layer *layer, int kernel, size_t at) {
  return (ptrdiff_t)(at * (size_t)layer->stride) - (layer->padded ? (kernel - 1) / 2 : 0);
}

static size_t size_after(const struct inception_layer *layer, int kernel, size_t size) {
  size_t padded = size + (layer->padded ? (size_t)(kernel - 1) : 0);
  return (padded - (size_t)kernel) / (size_t)layer->stride + 1;
}

/* The input's position of a window, or NULL outside the picture. */
static const float *at_window(const struct layer_job *job, size_t picture, ptrdiff_t row,
                              ptrdiff_t column) {
  const struct feature_grid *in = job->in;
  if (row < 0 || column < 0 || (size_t)row >= in->height || (size_t)column >= in->width)
    return NULL;
  size_t position = (picture * in->height + (size_t)row) * in->width + (size_t)column;
  return in->data + position * in->stride;
}

static void gather_row(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct layer_job *job = argument;
  const struct inception_layer *layer = job->layer;
  size_t channels = job->in->channels, picture = task / job->out->height;
  ptrdiff_t top = window_start(layer, layer->height, task % job->out->height);
  float *to = job->windows +
              task * job->out->width * (size_t)layer->height * (size_t)layer->width * channels;
  for (size_t x = 0; x < job->out->width; x++) {
    ptrdiff_t left = window_start(layer, layer->width, x);
    for (ptrdiff_t row = top; row < top + layer->height; row++)
      for (ptrdiff_t column = left; column < left + layer->width; column++, to += channels) {
        const float *from = at_window(job, picture, row, column);
        if (from)
          memcpy(to, from, channels * sizeof *to);
        else
          memset(to, 0, channels * sizeof *to);
      }
  }
}

static void pool_row(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct layer_job *job = argument;
  const struct inception_layer *layer = job->layer;
  bool mean = layer->kind == INCEPTION_MEAN;
  size_t channels = job->in->channels, picture = task / job->out->height;
  ptrdiff_t top = window_start(layer, layer->height, task % job->out->height);
  for (size_t x = 0; x < job->out->width; x++) {
    ptrdiff_t left = window_start(layer, layer->width, x);
    float *to = job->out->data + (task * job->out->width + x) * job->out->stride;
    int inside = 0;
    for (ptrdiff_t row = top; row < top + layer->height; row++)
      for (ptrdiff_t column = left; column < left + layer->width; column++) {
        const float *from = at_window(job, picture, row, column);
        if (!from)
          continue;
        bool first = inside++ == 0;
        for (size_t c = 0; c < channels; c++)
          to[c] = first ? from[c] : mean ? to[c] + from[c] : from[c] > to[c] ? from[c] : to[c];
      }
    for (size_t c = 0; mean && c < channels; c++)
      to[c] /= (float)inside;
  }
}

static void finish_row(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct layer_job *job = argument;
  const struct feature_grid *out = job->out;
  for (size_t x = 0; x < out->width; x++) {
    float *to = out->data + (task * out->width + x) * out->stride;
    for (size_t c = 0; c < out->channels; c++)
      to[c] = to[c] + job->bias[c] > 0 ? to[c] + job->bias[c] : 0;
  }
}

static enum vqct_status convolve(const struct folded *folded, struct layer_job *job,
                                 const struct exec *exec) {
  const struct feature_grid *in = job->in, *out = job->out;
  size_t window = (size_t)job->layer->height * (size_t)job->layer->width;
  bool direct = window == 1 && job->layer->stride == 1; /* positions are their own windows */
  struct arena_mark mark = arena_mark(exec->arena);
  struct gemm product = {
      .rows = rows_of(out),
      .columns = folded->outputs,
      .depth = window * folded->inputs,
      .a = {in->data, in->stride, false},
      .b = {folded->weight, folded->outputs, false},
      .scale = 1,
      .c = out->data,
      .c_stride = out->stride,
  };
  if (!direct) {
    job->windows = arena_alloc(exec->arena, product.rows * product.depth * sizeof(float));
    if (!job->windows)
      return VQCT_MEMORY;
    pool_run(exec->pool, PICTURES * out->height, gather_row, job);
    product.a = (struct gemm_matrix){job->windows, product.depth, false};
  }
  job->bias = folded->bias;
  enum vqct_status status = gemm_run(&product, exec);
  if (status == VQCT_OK)
    pool_run(exec->pool, PICTURES * out->height, finish_row, job);
  arena_release(exec->arena, mark);
  return status;
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static struct feature_grid grid_after(const struct inception_block *block,
                                      const struct inception_layer *layer,
                                      const struct feature_grid *in) {
  size_t channels = channels_of(block, layer, in->channels);
  return (struct feature_grid){NULL, size_after(layer, layer->height, in->height),
                               size_after(layer, layer->width, in->width), channels, channels};
}

static enum vqct_status allocate(struct feature_grid *grid, const struct exec *exec) {
  grid->stride = grid->channels;
  grid->data = arena_alloc(exec->arena, rows_of(grid) * grid->channels * sizeof(float));
  return grid->data ? VQCT_OK : VQCT_MEMORY;
}

/* Visits a block's layers: what each reads and writes, by shape alone or with data. */
struct visit {
  const struct inception_block *block;
  struct feature_grid input, read, written; /* the block's; the layer's */
  size_t joined;                            /* channels that have joined so far */
};

static void visit_layer(struct visit *visit, const struct inception_layer *layer) {
  visit->read = layer->from == FROM_BLOCK   ? visit->input
                : layer->from == FROM_LAYER ? visit->written
                                            : visit->read;
  visit->written = grid_after(visit->block, layer, &visit->read);
  visit->joined += layer->joins ? visit->written.channels : 0;
}

static struct feature_grid block_shape(const struct inception_block *block,
                                       const struct feature_grid *in) {
  struct visit visit = {.block = block, .input = *in};
  for (int i = 0; i < block->layers; i++)
    visit_layer(&visit, &block->layer[i]);
  visit.written.channels = visit.joined; /* the last layer of every block joins */
  return visit.written;
}

/* Writes a block's output and moves *folded past its convolutions. */
static enum vqct_status run_block(const struct inception_block *block,
                                  const struct feature_grid *in, struct feature_grid *out,
                                  const struct folded **folded, const struct exec *exec) {
  struct visit visit = {.block = block, .input = *in};
  *out = block_shape(block, in);
  enum vqct_status status = allocate(out, exec);
  if (status != VQCT_OK)
    return status;
  struct arena_mark mark = arena_mark(exec->arena);
  for (int i = 0; i < block->layers && status == VQCT_OK; i++) {
    const struct inception_layer *layer = &block->layer[i];
    visit_layer(&visit, layer);
    if (layer->joins) {
      visit.written.data = out->data + visit.joined - visit.written.channels;
      visit.written.stride = out->stride;
    } else if ((status = allocate(&visit.written, exec)) != VQCT_OK) {
      break;
    }
    struct layer_job job = {.layer = layer, .in = &visit.read, .out = &visit.written};
    if (layer->kind == INCEPTION_CONVOLUTION)
      status = convolve((*folded)++, &job, exec);
    else
      pool_run(exec->pool, PICTURES * visit.written.height, pool_row, &job);
  }
  arena_release(exec->arena, mark);
  return status;
}

/* ---- pictures -------------------------------------------------------------------------------- */

/* Where an output position lies between two input positions: PyTorch's align_corners=False. */
static size_t between(size_t at, size_t size, float *part) {
  float place = ((float)at + 0.5F) * ((float)size / SIDE) - 0.5F;
  place = place < 0 ? 0 : place;
  size_t first = (size_t)place;
  *part = place - (float)first;
  return first < size ? first : size - 1;
}

static void resize(const float *picture, size_t height, size_t width, float *to) {
  for (size_t y = 0; y < SIDE; y++) {
    float down, right;
    size_t top = between(y, height, &down), bottom = top + 1 < height ? top + 1 : top;
    for (size_t x = 0; x < SIDE; x++) {
      size_t left = between(x, width, &right), next = left + 1 < width ? left + 1 : left;
      for (size_t c = 0; c < 3; c++, to++) {
        float above = picture[(top * width + left) * 3 + c] * (1 - right) +
                      picture[(top * width + next) * 3 + c] * right;
        float below = picture[(bottom * width + left) * 3 + c] * (1 - right) +
                      picture[(bottom * width + next) * 3 + c] * right;
        *to = above * (1 - down) + below * down;
      }
    }
  }
}

enum vqct_status inception_pool(const struct inception *inception, const float *x, const float *y,
                                int height, int width, float *pooled, const struct exec *exec,
                                struct vqct_error *error) {
  struct arena_mark mark = arena_mark(exec->arena);
  struct feature_grid grid = {NULL, SIDE, SIDE, 3, 3}, out;
  const struct folded *folded = inception->folded;
  enum vqct_status status = allocate(&grid, exec);
  if (status != VQCT_OK)
    goto done;
  resize(x, (size_t)height, (size_t)width, grid.data);
  resize(y, (size_t)height, (size_t)width, grid.data + (size_t)SIDE * SIDE * 3);
  for (size_t i = 0; i < inception_block_count; i++) {
    status = run_block(&inception_blocks[i], &grid, &out, &folded, exec);
    if (status != VQCT_OK)
      goto done;
    grid = out;
  }
  size_t positions = grid.height * grid.width;
  for (size_t n = 0; n < PICTURES; n++)
    positions_mean(grid.data + n * positions * grid.channels, positions, grid.channels,
                   pooled + n * grid.channels);
done:
  arena_release(exec->arena, mark);
  return status == VQCT_OK ? VQCT_OK
                           : error_set(error, status, "no memory for Inception's features");
}
