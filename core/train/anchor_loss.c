/* Colours are named by the team, a row of positions a task; the sums are taken in order. */
#include "anchor_loss.h"

#include <math.h>

struct naming {
  const struct anchors *anchors;
  const struct activation *x, *z;
  signed char *name; /* N,h,w: index of the anchor, or NO_ANCHOR */
};

/* Mean colour of the patch of a position. */
static struct lab patch_colour(const struct naming *job, size_t row, size_t column) {
  size_t side = (size_t)(job->x->height / job->z->height), width = (size_t)job->x->width;
  const float *corner = job->x->data + 3 * (row * side * width + column * side);
  struct lab sum = {0, 0, 0};
  for (size_t i = 0; i < side; i++)
    for (size_t k = 0; k < side; k++) {
      struct lab one = lab_of_rgb(corner + 3 * (i * width + k));
      sum.lightness += one.lightness;
      sum.a += one.a;
      sum.b += one.b;
    }
  double count = (double)(side * side);
  return (struct lab){sum.lightness / count, sum.a / count, sum.b / count};
}

/* row: among those of all pictures, which lie one below the other. */
static void name_row(void *argument, size_t row, unsigned worker) {
  (void)worker;
  const struct naming *job = argument;
  size_t width = (size_t)job->z->width;
  for (size_t column = 0; column < width; column++)
    job->name[row * width + column] =
        (signed char)anchors_name(job->anchors, patch_colour(job, row, column));
}

/* Codes of the anchors and what a position comes to. */
struct pull {
  const struct anchors *anchors;
  const float *codes;
  size_t dimension;
  double scale;
};

static const float *code_of(const struct pull *p, size_t anchor) {
  return p->codes + p->anchors->anchor[anchor].code * p->dimension;
}

/* The loss of one position, its gradients added. */
static double pull_position(const struct pull *p, size_t name, const float *z, float *dz,
                            float *dcodes) {
  double score[ANCHORS_MAX], sum = 0, best = -INFINITY;
  for (size_t k = 0; k < p->anchors->count; k++) {
    score[k] = 0;
    for (size_t i = 0; i < p->dimension; i++) {
      double difference = (double)z[i] - (double)code_of(p, k)[i];
      score[k] -= difference * difference;
    }
    best = fmax(best, score[k]);
  }
  for (size_t k = 0; k < p->anchors->count; k++)
    sum += exp(score[k] - best);
  for (size_t k = 0; k < p->anchors->count; k++) {
    double toward = exp(score[k] - best) / sum - (k == name);
    for (size_t i = 0; i < p->dimension; i++) {
      float step = (float)(2 * p->scale * toward * ((double)z[i] - (double)code_of(p, k)[i]));
      dz[i] -= step;
      if (dcodes)
        dcodes[p->anchors->anchor[k].code * p->dimension + i] += step;
    }
  }
  return log(sum) + best - score[name];
}

enum vqct_status anchor_loss(const struct anchors *anchors, const struct quantizer *quantizer,
                             const float *codes, const struct activation *x,
                             const struct activation *z, float scale, double *loss, float *dz,
                             float *dcodes, const struct exec *exec) {
  struct arena_mark mark = arena_mark(exec->arena);
  size_t rows = (size_t)z->images * (size_t)z->height, positions = rows * (size_t)z->width;
  struct naming naming = {anchors, x, z, arena_alloc(exec->arena, positions)};
  if (!naming.name)
    return VQCT_MEMORY;
  pool_run(exec->pool, rows, name_row, &naming);
  const struct pull pull = {anchors, codes, quantizer->dimension,
                            (double)scale / (double)positions};
  double sum = 0;
  for (size_t t = 0; t < positions; t++) {
    size_t at = t * quantizer->channels + quantizer->codebook[0].channel;
    if (naming.name[t] != NO_ANCHOR)
      sum += pull_position(&pull, (size_t)naming.name[t], z->data + at, dz + at, dcodes);
  }
  *loss = sum / (double)positions;
  arena_release(exec->arena, mark);
  return VQCT_OK;
}
