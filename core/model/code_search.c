/* A task compares a block of codes with a group of positions: the products stay in a tile that fits
 * the first cache, and the codes, which are as much as a model's weights, are read once. The tile
 * has a row for a code and a column for a position, so that codes are multiplied where they lie and
 * the least score of each position is found without adding up lanes.
 *
 * Every worker has its own choice for each position; at the end they are made one.
 *
 * The bound. A score s is what fp32 makes of t = |e|^2 - 2 z e. Let u be half a unit in the last
 * place of 1, g(n) = n u / (1 - n u) and m = |e| (2 |z| + |e|) for the longest e.
 * - In a sum of d products each term goes through d roundings at most, whatever the order and the
 *   blocks, and through fewer with fused multiply-adds: z e is off by g(d) |z| |e| at most (Cauchy
 *   and Schwarz; Higham, Accuracy and Stability, 3.1). |e|^2 is rounded once from double, doubling
 *   is exact and the difference is rounded once: |s - t| <= g(d + 2) m.
 * - Two scores are thus in the order of their t if they are 2 g(d + 2) m apart. Adding that in fp32
 *   to one of them is off by u (m + g m) again, which g(d + 4) covers.
 * - Doubles decide, which are rounded too: a squared distance, (|z| + |e|)^2 at most, by d + 2
 *   roundings of DBL_EPSILON / 2.
 * - Where numbers are too small for full precision, each of 2 (d + 1) results is off by FLT_MIN at
 *   most, even if the processor takes them for 0.
 * Where m is so large that sums might overflow, the bound is infinite and doubles decide alone. */
#include "code_search.h"

#include <float.h>
#include <math.h>

#include "simd.h"
#include "size.h"

#define BLOCK_CODES   ((size_t)256)
#define GROUP_COLUMNS ((size_t)128) /* positions of a task */
#define POSITIONS_MAX ((size_t)512) /* that go over the codes together */
#define HALF_UNIT     ((double)FLT_EPSILON / 2)

/* A code that may be among the nearest; its distance is NaN until it is needed. */
struct candidate {
  double distance;
  float score;
  uint32_t code;
};

/* What a worker has found so far. */
struct finder {
  float *tile;                    /* BLOCK_CODES, panel */
  float *least[CODES_CHOSEN_MAX]; /* columns each: the k least scores */
  struct candidate *chosen;       /* columns,k: nearest first */
};

/* At most POSITIONS_MAX positions against all codes. */
struct comparison {
  const struct code_search *search;
  const struct simd *simd;
  size_t first, count, columns; /* columns: `count` filled up to whole panels */
  size_t groups;
  float *panels; /* columns / panel, d, panel: the vectors */
  float *error;  /* columns: scores further apart than this are in order */
  struct finder *finders;
};

/* ---- codebooks ------------------------------------------------------------------------------- */

double vector_square(const float *vector, size_t dimension) {
  double sum = 0;
  for (size_t i = 0; i < dimension; i++)
    sum += (double)vector[i] * vector[i];
  return sum;
}

void codebook_load(struct codebook *codebook, size_t dimension, bool dot, const float *codes) {
  double largest = 0;
  codebook->codes = codes;
  for (size_t i = 0; i < codebook->count; i++) {
    double square = vector_square(codes + i * dimension, dimension);
    codebook->squares[i] = dot ? 0 : (float)square;
    largest = square > largest ? square : largest;
  }
  codebook->largest = sqrt(largest);
}

/* ---- one position ---------------------------------------------------------------------------- */

static const float *vector_of(const struct comparison *c, size_t column) {
  return c->search->vectors + (c->first + column) * c->search->stride;
}

/* What decides between codes, the less the better. */
static double exact_distance(const float *a, const float *b, size_t dimension, bool dot) {
  double sum = 0;
  for (size_t i = 0; dot && i < dimension; i++)
    sum -= (double)a[i] * b[i];
  if (dot)
    return sum;
  for (size_t i = 0; i < dimension; i++) {
    double difference = (double)a[i] - b[i];
    sum += difference * difference;
  }
  return sum;
}

static float score_error(const struct code_search *search, const float *vector) {
  double d = (double)search->dimension, largest = search->codebook->largest;
  double length = sqrt(vector_square(vector, search->dimension));
  double m = largest * (2 * length + largest), n = (d + 4) * HALF_UNIT;
  double both = (length + largest) * (length + largest);
  if (!(m < (double)FLT_MAX / 8))
    return INFINITY;
  return (float)(2 * n / (1 - n) * m + (d + 3) * DBL_EPSILON * both +
                 8 * (d + 1) * (double)FLT_MIN);
}

static double distance_of(const struct comparison *c, size_t column, struct candidate *candidate) {
  const struct code_search *search = c->search;
  if (isnan(candidate->distance))
    candidate->distance = exact_distance(
        vector_of(c, column), search->codebook->codes + candidate->code * search->dimension,
        search->dimension, search->dot);
  return candidate->distance;
}

static bool is_nearer(const struct comparison *c, size_t column, struct candidate *a,
                      struct candidate *b) {
  if (a->score + c->error[column] < b->score)
    return true;
  if (b->score + c->error[column] < a->score)
    return false;
  double left = distance_of(c, column, a), right = distance_of(c, column, b);
  return left < right || (left == right && a->code < b->code);
}

static void offer(const struct comparison *c, const struct finder *finder, size_t column,
                  struct candidate candidate) {
  size_t k = c->search->codebook->k, at = k;
  struct candidate *chosen = finder->chosen + column * k;
  while (at > 0 && is_nearer(c, column, &candidate, &chosen[at - 1]))
    at--;
  for (size_t i = k; i-- > at + 1;)
    chosen[i] = chosen[i - 1];
  if (at < k)
    chosen[at] = candidate;
}

/* ---- a block of codes ------------------------------------------------------------------------ */

/* From the block's least scores to the limits above which no code is among the k nearest. Whether
 * the block has a score that is not above. */
static bool lower_limits(const struct comparison *c, const struct finder *finder, size_t first,
                         float block[][PANEL_MAX], float *limits) {
  bool two = c->search->codebook->k == 2, any = false;
  float *least = finder->least[0] + first, *second = finder->least[1] + first;
  for (size_t i = 0; i < c->simd->panel; i++) {
    float higher = block[0][i] > least[i] ? block[0][i] : least[i];
    float other = block[1][i] < second[i] ? block[1][i] : second[i];
    least[i] = block[0][i] < least[i] ? block[0][i] : least[i];
    second[i] = higher < other ? higher : other;
    limits[i] = (two ? second[i] : least[i]) + c->error[first + i];
    any |= !(block[0][i] > limits[i]);
  }
  return any;
}

static void look_through(const struct comparison *c, const struct finder *finder, size_t first,
                         size_t code, const struct scores *scores) {
  const struct simd *simd = c->simd;
  float block[2][PANEL_MAX], limits[PANEL_MAX];
  simd->least_scores(scores, block[0], block[1]);
  /* A score of NaN is no number's least: only an infinite bound comes with one. */
  if (!lower_limits(c, finder, first, block, limits))
    return;
  size_t width = size_least(c->count - first, simd->panel);
  for (size_t row = simd->next_score(scores, limits, 0); row < scores->rows;
       row = simd->next_score(scores, limits, row + 1))
    for (size_t i = 0; i < width; i++) {
      float score = scores->squares[row] - 2 * scores->products[row * simd->panel + i];
      if (!(score > limits[i]))
        offer(c, finder, first + i, (struct candidate){NAN, score, (uint32_t)(code + row)});
    }
}

static void search_task(void *argument, size_t number, unsigned worker) {
  const struct comparison *c = argument;
  const struct codebook *codebook = c->search->codebook;
  const struct finder *finder = &c->finders[worker];
  size_t d = c->search->dimension, panel = c->simd->panel;
  size_t code = number / c->groups * BLOCK_CODES, first = number % c->groups * GROUP_COLUMNS;
  size_t rows = size_least(codebook->count - code, BLOCK_CODES);
  size_t end = size_least(c->columns, first + GROUP_COLUMNS);
  for (; first < end; first += panel) {
    struct product product = {.rows = rows,
                              .runs = 1,
                              .depth = d,
                              .vectors = 2,
                              .a = codebook->codes + code * d,
                              .a_row = d,
                              .a_step = 1,
                              .b = c->panels + first * d,
                              .b_row = panel,
                              .c = finder->tile,
                              .c_row = panel};
    c->simd->product(&product);
    look_through(c, finder, first, code,
                 &(struct scores){rows, finder->tile, codebook->squares + code});
  }
}

/* ---- all of them ----------------------------------------------------------------------------- */

static bool allocate(struct comparison *c, size_t columns, const struct exec *exec) {
  size_t k = c->search->codebook->k, workers = pool_workers(exec->pool);
  bool complete = true;
  c->panels = arena_alloc(exec->arena, columns * c->search->dimension * sizeof *c->panels);
  c->error = arena_alloc(exec->arena, columns * sizeof *c->error);
  c->finders = arena_alloc(exec->arena, workers * sizeof *c->finders);
  for (size_t i = 0; c->finders && i < workers; i++) {
    struct finder *finder = &c->finders[i];
    finder->tile = arena_alloc(exec->arena, BLOCK_CODES * c->simd->panel * sizeof(float));
    for (size_t j = 0; j < CODES_CHOSEN_MAX; j++) {
      finder->least[j] = arena_alloc(exec->arena, columns * sizeof(float));
      complete = complete && finder->least[j];
    }
    finder->chosen = arena_alloc(exec->arena, columns * k * sizeof *finder->chosen);
    complete = complete && finder->tile && finder->chosen;
  }
  return c->panels && c->error && c->finders && complete;
}

/* Lays out the vectors, zeros where there is none, and forgets what was found before. */
static void begin(const struct comparison *c, size_t workers) {
  size_t d = c->search->dimension, panel = c->simd->panel, k = c->search->codebook->k;
  for (size_t i = 0; i < c->columns; i++) {
    float *to = c->panels + i / panel * panel * d + i % panel;
    for (size_t j = 0; j < d; j++)
      to[j * panel] = i < c->count ? vector_of(c, i)[j] : 0;
    c->error[i] = i < c->count ? score_error(c->search, vector_of(c, i)) : -INFINITY;
  }
  for (size_t w = 0; w < workers; w++) {
    for (size_t i = 0; i < c->columns; i++)
      c->finders[w].least[0][i] = c->finders[w].least[1][i] = INFINITY;
    for (size_t i = 0; i < c->columns * k; i++)
      c->finders[w].chosen[i] = (struct candidate){INFINITY, INFINITY, 0};
  }
}

static void finish(const struct comparison *c, size_t workers) {
  const struct codebook *codebook = c->search->codebook;
  size_t k = codebook->k;
  for (size_t i = 0; i < c->count; i++) {
    for (size_t w = 1; w < workers; w++)
      for (size_t j = 0; j < k; j++)
        offer(c, &c->finders[0], i, c->finders[w].chosen[i * k + j]);
    for (size_t j = 0; j < k; j++)
      c->search->tokens[j * c->search->positions + c->first + i] =
          codebook->first + c->finders[0].chosen[i * k + j].code;
  }
}

enum vqct_status code_search_run(const struct code_search *search, const struct exec *exec) {
  struct arena_mark mark = arena_mark(exec->arena);
  struct comparison c = {.search = search, .simd = simd_best(exec->simd)};
  size_t workers = pool_workers(exec->pool), panel = c.simd->panel;
  size_t most = size_least(search->positions, POSITIONS_MAX);
  bool complete = allocate(&c, (most + panel - 1) / panel * panel, exec);
  for (; complete && c.first < search->positions; c.first += c.count) {
    c.count = size_least(search->positions - c.first, POSITIONS_MAX);
    c.columns = (c.count + panel - 1) / panel * panel;
    c.groups = (c.columns + GROUP_COLUMNS - 1) / GROUP_COLUMNS;
    begin(&c, workers);
    exec_run(exec, (search->codebook->count + BLOCK_CODES - 1) / BLOCK_CODES * c.groups,
             search_task, &c);
    finish(&c, workers);
  }
  arena_release(exec->arena, mark);
  return complete ? VQCT_OK : VQCT_MEMORY;
}
