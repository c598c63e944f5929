/* `vqct bench`: how fast a model encodes and decodes on this machine, and what memory it takes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "command.h"
#include "cpu.h"
#include "error.h"
#include "progress.h"
#include "rng.h"
#include "signals.h"
#include "vqct/model.h"

#define RUNS_MAX 1000

struct settings {
  struct option_list batches, threads;
  int64_t size;
  double seconds;
  bool json;
};

static const struct option options[] = {
    {"batch", 'b', OPTION_LIST, offsetof(struct settings, batches), "1,8", 0, 0, NULL, "N,...",
     "pictures computed together"},
    {"threads", 't', OPTION_LIST, offsetof(struct settings, threads), NULL, 0, 0, NULL, "N,...",
     "threads that compute; default: 1, and one for each processor"},
    {"size", 's', OPTION_INTEGER, offsetof(struct settings, size), "256", 1, 8192, NULL, "PIXELS",
     "side of the square pictures"},
    {"seconds", 0, OPTION_DURATION, offsetof(struct settings, seconds), "3", 0, 3600, NULL, "TIME",
     "how long each case is measured; at least three runs are made"},
    {"json", 0, OPTION_SWITCH, offsetof(struct settings, json), NULL, 0, 0, NULL, NULL,
     "one JSON object for each case, a line each"},
};

static const struct option_table table = {
    .command = "bench",
    .operands = "MODEL",
    .summary = "Measures encoding and decoding of random pictures: time for a batch, pictures and "
               "operations a second, and resident memory.",
    .options = options,
    .count = sizeof options / sizeof *options,
    .operands_min = 1,
    .operands_max = 1,
};

/* Random pictures and room for their tokens. */
struct material {
  size_t images;
  uint8_t **pixels;
  uint32_t **tokens;
};

/* One row of the table. */
struct result {
  const char *operation;
  size_t batch;
  unsigned threads;
  int runs;
  double median, least, p95;      /* seconds for a batch */
  double gflops;                  /* floating-point operations of one picture, 1e9 */
  size_t resident, resident_peak; /* bytes of the whole process */
};

static enum vqct_status material_new(struct material *material, size_t images,
                                     const struct vqct_model_info *info, size_t side,
                                     struct vqct_error *error) {
  size_t bytes = side * side * info->channels, grid = side / info->downsampling;
  struct rng rng;
  rng_seed(&rng, 1, 0);
  material->pixels = calloc(images, sizeof *material->pixels);
  material->tokens = calloc(images, sizeof *material->tokens);
  material->images = material->pixels && material->tokens ? images : 0;
  bool complete = material->images > 0;
  for (size_t i = 0; i < images && complete; i++) {
    material->pixels[i] = malloc(bytes);
    material->tokens[i] = calloc(info->planes * grid * grid, sizeof **material->tokens);
    complete = material->pixels[i] && material->tokens[i];
    for (size_t j = 0; j < bytes && complete; j++)
      material->pixels[i][j] = (uint8_t)rng_bits(&rng);
  }
  return complete ? VQCT_OK : error_set(error, VQCT_MEMORY, "no memory for %zu pictures", images);
}

static void material_free(struct material *material) {
  for (size_t i = 0; i < material->images; i++) {
    free(material->pixels[i]);
    free(material->tokens[i]);
  }
  free(material->pixels);
  free(material->tokens);
}

/* A field of /proc/self/status in bytes; 0 where there is none. */
static size_t memory_field(const char *field) {
  FILE *file = fopen("/proc/self/status", "r");
  char line[256];
  unsigned long kilobytes = 0;
  while (file && fgets(line, sizeof line, file))
    if (!strncmp(line, field, strlen(field)))
      sscanf(line + strlen(field), "%lu", &kilobytes);
  if (file)
    fclose(file);
  return kilobytes * 1024;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* What one case works on. */
struct bench_case {
  struct vqct_session *session;
  const struct vqct_model_info *info;
  const struct material *material;
  size_t batch;
  uint32_t side;
  bool decodes;
};

static enum vqct_status run_once(const struct bench_case *c, struct vqct_error *error) {
  if (!c->decodes)
    return vqct_encode(c->session, (const uint8_t *const *)c->material->pixels, c->batch, c->side,
                       c->side, c->material->tokens, error);
  uint32_t grid = c->side / c->info->downsampling;
  return vqct_decode(c->session, (const uint32_t *const *)c->material->tokens, c->batch, grid, grid,
                     c->material->pixels, error);
}

static enum vqct_status measure(const struct bench_case *c, double seconds, struct result *result,
                                struct vqct_error *error) {
  double times[RUNS_MAX];
  enum vqct_status status = run_once(c, error); /* warms up */
  double end = seconds_now() + seconds;
  int runs = 0;
  while (status == VQCT_OK && runs < RUNS_MAX && (runs < 3 || seconds_now() < end)) {
    double start = seconds_now();
    status = run_once(c, error);
    times[runs++] = seconds_now() - start;
  }
  if (status != VQCT_OK)
    return status;
  qsort(times, (size_t)runs, sizeof *times, by_value);
  uint64_t flops = c->decodes ? c->info->decode_flops : c->info->encode_flops;
  result->operation = c->decodes ? "decode" : "encode";
  result->batch = c->batch;
  result->runs = runs;
  result->median = times[runs / 2];
  result->least = times[0];
  result->p95 = times[runs * 95 / 100];
  /* info counts a picture of 256 x 256; the attention's share, which grows faster, is small. */
  result->gflops = (double)flops * 1e-9 * (double)c->side * c->side / (256.0 * 256.0);
  result->resident = memory_field("VmRSS:");
  result->resident_peak = memory_field("VmHWM:");
  return VQCT_OK;
}

static void print_result(const struct result *r, bool json) {
  double images = (double)r->batch / r->median, rate = images * r->gflops;
  if (json)
    printf("{\"operation\": \"%s\", \"batch\": %zu, \"threads\": %u, \"runs\": %d, \"median_ms\": "
           "%.3f, \"least_ms\": %.3f, \"p95_ms\": %.3f, \"images_per_second\": %.3f, "
           "\"gflop_per_second\": %.1f, \"resident_bytes\": %zu, \"peak_bytes\": %zu}\n",
           r->operation, r->batch, r->threads, r->runs, 1e3 * r->median, 1e3 * r->least,
           1e3 * r->p95, images, rate, r->resident, r->resident_peak);
  else
    printf("%-7s %6zu %8u %11.1f %11.1f %11.1f %10.2f %9.0f %8.0f %8.0f\n", r->operation, r->batch,
           r->threads, 1e3 * r->median, 1e3 * r->least, 1e3 * r->p95, images, rate,
           (double)r->resident * 0x1p-20, (double)r->resident_peak * 0x1p-20);
  fflush(stdout);
}

/* Numbers of a list, each from 1 to `largest`. */
static enum vqct_status read_numbers(const char *option, const struct option_list *list,
                                     long largest, unsigned *numbers, struct vqct_error *error) {
  for (size_t i = 0; i < list->count; i++) {
    char *end;
    long value = strtol(list->items[i], &end, 10);
    if (*end || end == list->items[i] || value < 1 || value > largest)
      return error_set(error, VQCT_INVALID, "--%s '%.80s': it must be a number, 1 to %ld", option,
                       list->items[i], largest);
    numbers[i] = (unsigned)value;
  }
  return VQCT_OK;
}

/* The numbers that all cases are made of. */
struct plan {
  unsigned *batches, *threads;
  size_t batch_count, thread_count;
  unsigned largest; /* batch */
};

static enum vqct_status make_plan(const struct settings *settings, struct arena *arena,
                                  struct plan *plan, struct vqct_error *error) {
  plan->batch_count = settings->batches.count;
  plan->thread_count = settings->threads.count;
  plan->batches = arena_calloc(arena, plan->batch_count + 1, sizeof *plan->batches);
  plan->threads = arena_calloc(arena, plan->thread_count + 2, sizeof *plan->threads);
  if (!plan->batches || !plan->threads)
    return error_set(error, VQCT_MEMORY, "no memory for the options");
  if (!plan->batch_count)
    return error_set(error, VQCT_INVALID, "--batch: a number is missing");
  enum vqct_status status;
  if ((status = read_numbers("batch", &settings->batches, 4096, plan->batches, error)) ||
      (status = read_numbers("threads", &settings->threads, 1024, plan->threads, error)))
    return status;
  if (!plan->thread_count) {
    plan->threads[plan->thread_count++] = 1;
    if (cpu_count() > 1)
      plan->threads[plan->thread_count++] = cpu_count();
  }
  for (size_t i = 0; i < plan->batch_count; i++)
    if (plan->batches[i] > plan->largest)
      plan->largest = plan->batches[i];
  return VQCT_OK;
}

/* Encoding and decoding a batch of each size. */
static enum vqct_status bench_batches(struct bench_case *c, unsigned threads,
                                      const struct settings *settings, const struct plan *plan,
                                      struct vqct_error *error) {
  for (size_t i = 0; i < 2 * plan->batch_count; i++) {
    struct result result = {.threads = threads};
    c->batch = plan->batches[i / 2];
    c->decodes = i % 2;
    enum vqct_status status = measure(c, settings->seconds, &result, error);
    if (status != VQCT_OK)
      return status;
    print_result(&result, settings->json);
  }
  return VQCT_OK;
}

/* All cases, with a session for each number of threads. */
static enum vqct_status bench_threads(const struct vqct_model *model,
                                      const struct material *material,
                                      const struct settings *settings, const struct plan *plan,
                                      struct vqct_error *error) {
  struct bench_case c = {
      .info = vqct_model_info(model), .material = material, .side = (uint32_t)settings->size};
  for (size_t i = 0; i < plan->thread_count; i++) {
    enum vqct_status status = vqct_session_new(model, plan->threads[i], &c.session, error);
    if (status != VQCT_OK)
      return status;
    vqct_session_stop_when(c.session, signals_stopping.asked, NULL);
    status = bench_batches(&c, plan->threads[i], settings, plan, error);
    vqct_session_free(c.session);
    if (status != VQCT_OK)
      return status;
  }
  return VQCT_OK;
}

static enum vqct_status bench_model(const struct vqct_model *model, const struct settings *settings,
                                    const struct plan *plan, struct vqct_error *error) {
  const struct vqct_model_info *info = vqct_model_info(model);
  struct material material = {0};
  if (settings->size % info->downsampling)
    return error_set(error, VQCT_INVALID,
                     "--size %lld is not a multiple of %u, the model's downsampling",
                     (long long)settings->size, info->downsampling);
  enum vqct_status status =
      material_new(&material, plan->largest, info, (size_t)settings->size, error);
  if (status == VQCT_OK) {
    if (!settings->json)
      printf("%-7s %6s %8s %11s %11s %11s %10s %9s %8s %8s\n", "", "batch", "threads", "median ms",
             "least ms", "p95 ms", "images/s", "GFLOP/s", "RSS MiB", "peak MiB");
    status = bench_threads(model, &material, settings, plan, error);
  }
  material_free(&material);
  return status;
}

static enum vqct_status bench(const void *values, const struct options_found *found,
                              struct arena *arena, struct vqct_error *error) {
  const struct settings *settings = values;
  struct plan plan = {0};
  struct vqct_model *model;
  enum vqct_status status;
  signals_catch();
  if ((status = make_plan(settings, arena, &plan, error)) ||
      (status = vqct_model_open(found->operands[0], &model, error)))
    return status;
  status = bench_model(model, settings, &plan, error);
  vqct_model_close(model);
  return status;
}

static enum vqct_status run_bench(int argc, char **argv, struct vqct_error *error) {
  struct settings settings = {0};
  return command_run(&table, argc, argv, &settings, bench, error);
}

const struct command bench_command = {"bench", "measure speed and memory of a model", run_bench};
