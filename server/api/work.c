#include "work.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* ---- items (any thread that has the work) ---------------------------------------------------- */

void work_fail(struct work *work, enum problem problem, const char *format, ...) {
  char detail[512];
  va_list args;
  va_start(args, format);
  vsnprintf(detail, sizeof detail, format, args);
  va_end(args);
  work->refused = true;
  reply_problem(&work->reply, problem, "%s", detail);
}

void item_fail(struct work_item *item, enum problem problem, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(item->detail, sizeof item->detail, format, args);
  va_end(args);
  item->failed = true;
  item->problem = problem;
}

static bool work_reserve(struct work *work, struct reservation more) {
  enum refusal refusal = admission_reserve(&work->service->admission, &work->reserved, more);
  if (refusal == REFUSAL_NONE)
    return true;
  atomic_store(&work->refusal, (int)refusal);
  atomic_store(&work->refused, true);
  return false;
}

bool work_make_items(struct work *work, size_t count) {
  struct service *service = work->service;
  if (count == 0) {
    work_fail(work, PROBLEM_BAD_BODY, "the body holds no picture");
    return false;
  }
  if (count > service->limits.images) {
    work_fail(work, PROBLEM_BODY_TOO_LARGE, "%zu pictures a request are allowed",
              service->limits.images);
    return false;
  }
  if (!work_reserve(work, (struct reservation){.images = count - 1}))
    return false;
  work->items = calloc(count, sizeof *work->items);
  if (!work->items) {
    work_fail(work, PROBLEM_OUT_OF_MEMORY, "no memory for %zu pictures", count);
    return false;
  }
  work->count = count;
  return true;
}

bool work_reserve_pixels(struct work *work, uint64_t pixels) {
  return work_reserve(work, (struct reservation){.pixels = pixels});
}

size_t item_tokens(const struct work *work, const struct work_item *item) {
  return (size_t)work->engine->info->planes * item->job.grid_height * item->job.grid_width;
}

bool item_set_shape(struct work *work, struct work_item *item, uint32_t height, uint32_t width) {
  const struct vqct_model_info *info = work->engine->info;
  struct job *job = &item->job;
  if ((uint64_t)height * width > work->service->limits.pixels) {
    item_fail(item, PROBLEM_IMAGE_TOO_LARGE, "%ux%u pixels after resizing; %llu are allowed", width,
              height, (unsigned long long)work->service->limits.pixels);
    return false;
  }
  job->height = height;
  job->width = width;
  job->grid_height = height / info->downsampling;
  job->grid_width = width / info->downsampling;
  item->tokens = calloc(item_tokens(work, item), sizeof *item->tokens);
  if (!item->tokens)
    item_fail(item, PROBLEM_OUT_OF_MEMORY, "no memory for its tokens");
  return item->tokens != NULL;
}

/* ---- the end --------------------------------------------------------------------------------- */

static void work_free(struct work *work) {
  struct service *service = work->service;
  admission_return(&service->admission, &work->reserved, work->reserved);
  for (size_t i = 0; i < work->count; i++) {
    free(work->items[i].owned);
    free(work->items[i].tokens);
    vqct_image_free(&work->items[i].image);
    vqct_image_free(&work->items[i].result);
    text_free(&work->items[i].members);
  }
  free(work->items);
  text_free(&work->body);
  reply_free(&work->reply);
  engine_release(work->engine);
  service->works--;
  free(work);
}

/* Each stage in milliseconds, for Server-Timing and the metrics. */
static void record_times(struct work *work) {
  struct registry *registry = work->service->registry;
  const struct exchange *exchange = work->exchange;
  double receive = (double)(exchange->body_at - exchange->started) * 1e-9;
  double decode = (double)(work->prepared - work->prepare_begun) * 1e-9;
  double encode = (double)(work->rendered - work->render_begun) * 1e-9;
  double queue = 0, batch = 0, compute = 0;
  for (size_t i = 0; i < work->count; i++) {
    const struct job *job = &work->items[i].job;
    if (!job->finished)
      continue;
    queue = fmax(queue, (double)(job->ready - job->queued) * 1e-9);
    batch = fmax(batch, (double)(job->taken - job->ready) * 1e-9);
    compute = fmax(compute, (double)(job->finished - job->taken) * 1e-9);
  }
  registry_observe(registry, METRIC_RECEIVE_SECONDS, "", receive);
  registry_observe(registry, METRIC_DECODE_SECONDS, "", decode);
  registry_observe(registry, METRIC_ENCODE_SECONDS, "", encode);
  reply_header(&work->exchange->reply, "Server-Timing",
               "receive;dur=%.2f, decode;dur=%.2f, queue;dur=%.2f, batch;dur=%.2f, "
               "compute;dur=%.2f, encode;dur=%.2f, total;dur=%.2f",
               receive * 1e3, decode * 1e3, queue * 1e3, batch * 1e3, compute * 1e3, encode * 1e3,
               (double)(uv_hrtime() - exchange->started) * 1e-6);
}

/* Moves the work's reply into the exchange's, whose headers stay. */
static void move_reply(struct reply *from, struct reply *to) {
  to->status = from->status;
  to->type = from->type;
  text_free(&to->body);
  to->body = from->body;
  from->body = (struct text){0};
  for (size_t i = 0; i < from->header_count; i++)
    if (to->header_count < REPLY_HEADERS_MAX)
      to->headers[to->header_count++] = from->headers[i];
    else
      free(from->headers[i].value);
  from->header_count = 0;
}

static void work_answer(struct work *work) {
  struct exchange *exchange = work->exchange;
  if (exchange) {
    enum refusal refusal = (enum refusal)atomic_load(&work->refusal);
    if (refusal != REFUSAL_NONE)
      service_refuse(work->service, &work->reply, refusal);
    move_reply(&work->reply, &exchange->reply);
    record_times(work);
    exchange_answer(exchange);
  }
  work_free(work);
}

/* Hands items to codec threads, each with its task, as long as one of them is free of this work;
 * `done` calls it again. */
static void hand_items(struct work *work, uv_work_cb task, uv_after_work_cb done) {
  while (work->handed < work->count && work->pending < work->service->codec_threads) {
    struct work_item *item = &work->items[work->handed++];
    work->pending++;
    uv_queue_work(work->service->loop, &item->task, task, done);
  }
}

/* ---- rendering ------------------------------------------------------------------------------- */

static void render_one(uv_work_t *task) {
  struct work_item *item = task->data;
  struct work *work = item->job.owner;
  if (!atomic_load(&work->cancelled))
    render_item(work, item);
}

/* Writes the answer, and the part of its picture where it has but one. */
static void render(uv_work_t *task) {
  struct work *work = task->data;
  if (!work->render_begun)
    work->render_begun = uv_hrtime();
  if (!atomic_load(&work->cancelled)) {
    if (work->output == FORM_JSON && work->count == 1)
      render_item(work, &work->items[0]);
    if (work->kind == WORK_ENCODE)
      render_tokens(work);
    else
      render_pictures(work);
  }
  work->rendered = uv_hrtime();
}

static void rendered(uv_work_t *task, int status) {
  struct work *work = task->data;
  (void)status;
  work->pending--;
  work_answer(work);
}

static void item_rendered(uv_work_t *task, int status);

/* Goes on after a task that has come back: with the next part of a JSON answer of many pictures, or
 * with the whole. */
static void render_more(struct work *work) {
  if (work->exchange && work->output == FORM_JSON && work->count > 1) {
    if (!work->handed)
      work->render_begun = uv_hrtime();
    hand_items(work, render_one, item_rendered);
  }
  if (work->pending)
    return;
  if (!work->exchange) {
    work_free(work);
    return;
  }
  work->pending++;
  uv_queue_work(work->service->loop, &work->task, render, rendered);
}

static void item_rendered(uv_work_t *task, int status) {
  struct work *work = ((struct work_item *)task->data)->job.owner;
  (void)status;
  work->pending--;
  render_more(work);
}

/* ---- computing ------------------------------------------------------------------------------- */

static void push_item(struct work *work, struct work_item *item, enum job_operation operation) {
  const struct vqct_model_info *info = work->engine->info;
  struct job *job = &item->job;
  uint64_t flops = operation == JOB_ENCODE ? info->encode_flops : info->decode_flops;
  job->operation = operation;
  job->engine = work->engine;
  job->pixels = operation == JOB_DECODE && work->kind == WORK_RECONSTRUCT ? item->result.pixels
                                                                          : item->image.pixels;
  job->tokens = item->tokens;
  job->cost = (double)flops * (double)job_pixels(job);
  job->deadline = work->deadline;
  work->pending++;
  queue_push(work->service->queue, job);
}

static void compute(struct work *work) {
  enum job_operation operation = work->kind == WORK_DECODE ? JOB_DECODE : JOB_ENCODE;
  for (size_t i = 0; i < work->count; i++)
    if (!work->items[i].failed)
      push_item(work, &work->items[i], operation);
}

static void finish(struct work *work) {
  if (work->pending)
    return;
  work->stage = WORK_RENDERING;
  work->handed = 0;
  render_more(work);
}

static void count_job(struct service *service, const struct job *job, size_t tokens) {
  struct registry *registry = service->registry;
  bool encodes = job->operation == JOB_ENCODE;
  const char *labels = encodes ? "operation=\"encode\"" : "operation=\"decode\"";
  registry_observe(registry, METRIC_QUEUE_SECONDS, labels,
                   (double)(job->ready - job->queued) * 1e-9);
  registry_observe(registry, METRIC_BATCH_WAIT_SECONDS, labels,
                   (double)(job->taken - job->ready) * 1e-9);
  registry_observe(registry, METRIC_COMPUTE_SECONDS, labels,
                   (double)(job->finished - job->taken) * 1e-9);
  registry_observe(registry, METRIC_BATCH_IMAGES, labels, job->batch);
  registry_add(registry, METRIC_IMAGES, labels, 1);
  registry_add(registry, METRIC_TOKENS, labels, (double)tokens);
}

/* Counts an encoded picture's codes. Where its model was loaded again meanwhile, the new engine has
 * the counters. */
static void count_usage(struct work *work, const struct work_item *item) {
  const struct engine *now = work->service->engine, *then = work->engine;
  bool same = !strcmp(now->info->checksum, then->info->checksum);
  usage_record((same ? now : then)->usage, item->tokens, item_tokens(work, item), uv_hrtime());
}

static void item_end(struct work *work, struct work_item *item) {
  const struct job *job = &item->job;
  if (job->expired)
    item_fail(item, PROBLEM_DEADLINE, "it was dropped before it was computed");
  else if (job->error.status == VQCT_TOKENS)
    item_fail(item, PROBLEM_BAD_TOKENS, "%s", job->error.message);
  else if (job->error.status == VQCT_LIMIT)
    item_fail(item, PROBLEM_IMAGE_TOO_LARGE, "%s", job->error.message);
  else if (job->error.status == VQCT_MEMORY)
    item_fail(item, PROBLEM_OUT_OF_MEMORY, "no memory to compute it");
  else if (job->error.status != VQCT_OK) {
    log_message(&work->service->log, LOG_ERROR, "compute", "%s: %s",
                vqct_status_name(job->error.status), job->error.message);
    item_fail(item, PROBLEM_INTERNAL, "it could not be computed");
  }
}

static struct work_item *item_of(struct work *work, const struct job *job) {
  size_t i = 0;
  while (&work->items[i].job != job)
    i++;
  return &work->items[i];
}

void service_job_done(void *context, struct job *job) {
  struct service *service = context;
  struct work *work = job->owner;
  struct work_item *item = item_of(work, job);
  work->pending--;
  item_end(work, item);
  if (!item->failed) {
    count_job(service, job, item_tokens(work, item));
    if (job->operation == JOB_ENCODE)
      count_usage(work, item);
    if (job->operation == JOB_ENCODE && work->kind == WORK_RECONSTRUCT && work->exchange)
      push_item(work, item, JOB_DECODE);
  }
  finish(work);
}

/* ---- preparing ------------------------------------------------------------------------------- */

static void prepare_item(uv_work_t *task) {
  struct work_item *item = task->data;
  struct work *work = item->job.owner;
  if (!item->failed && !atomic_load(&work->refused) && !atomic_load(&work->cancelled))
    prepare_picture(work, item);
}

/* Reads the body, and prepares the first picture, which often is the only one. */
static void prepare(uv_work_t *task) {
  struct work *work = task->data;
  work->prepare_begun = uv_hrtime();
  if (atomic_load(&work->cancelled))
    return;
  if (work->kind == WORK_DECODE)
    prepare_tokens(work);
  else
    read_pictures(work);
  for (size_t i = 0; i < work->count; i++) {
    work->items[i].job.owner = work;
    work->items[i].task.data = &work->items[i];
  }
  if (work->kind != WORK_DECODE && work->count)
    prepare_item(&work->items[0].task);
}

/* The body is not needed any more: what was read from it has its own memory. */
static void return_body(struct work *work) {
  text_free(&work->body);
  for (size_t i = 0; i < work->count; i++) {
    free(work->items[i].owned);
    work->items[i].owned = NULL;
  }
  struct reservation bytes = {.bytes = work->reserved.bytes};
  admission_return(&work->service->admission, &work->reserved, bytes);
}

static void item_prepared(uv_work_t *task, int status);

/* Goes on after a task that has come back: with the next picture, or with all of them. */
static void prepare_more(struct work *work) {
  bool ended = !work->exchange || work->refused;
  if (!ended)
    hand_items(work, prepare_item, item_prepared);
  if (work->pending)
    return;
  work->prepared = uv_hrtime();
  if (ended) {
    work_answer(work);
    return;
  }
  return_body(work);
  work->stage = WORK_COMPUTING;
  compute(work);
  finish(work);
}

static void item_prepared(uv_work_t *task, int status) {
  struct work *work = ((struct work_item *)task->data)->job.owner;
  (void)status;
  work->pending--;
  prepare_more(work);
}

static void prepared(uv_work_t *task, int status) {
  struct work *work = task->data;
  (void)status;
  work->pending--;
  work->handed = work->kind == WORK_DECODE ? work->count : 1;
  prepare_more(work);
}

/* Takes back the jobs that still wait; those that a worker has come back by themselves. */
static void remove_jobs(struct work *work) {
  for (size_t i = 0; i < work->count; i++)
    if (!work->items[i].failed && queue_remove(work->service->queue, &work->items[i].job))
      work->pending--;
}

static void work_cancel(void *argument, enum exchange_end end) {
  struct work *work = argument;
  (void)end;
  work->exchange = NULL;
  atomic_store(&work->cancelled, true);
  if (work->stage == WORK_COMPUTING)
    remove_jobs(work);
  if (!work->pending)
    work_free(work);
}

/* ---- what the routes call -------------------------------------------------------------------- */

bool work_grow(void *context, struct exchange *exchange, uint64_t bytes) {
  struct service *service = context;
  struct work *work = exchange->work;
  struct reservation more = {.bytes = bytes};
  enum refusal refusal = admission_reserve(&service->admission, &work->reserved, more);
  if (refusal != REFUSAL_NONE)
    service_refuse(service, &exchange->reply, refusal);
  return refusal == REFUSAL_NONE;
}

void work_begin(void *context, struct exchange *exchange) {
  struct service *service = context;
  struct work *work = exchange->work;
  work->body = exchange->body;
  work->deadline = exchange->deadline;
  exchange->body = (struct text){0};
  work->task.data = work;
  work->stage = WORK_PREPARING;
  work->pending = 1;
  exchange_suspend(exchange);
  uv_queue_work(service->loop, &work->task, prepare, prepared);
}

struct work *work_new(struct service *service, struct exchange *exchange, enum work_kind kind) {
  struct work *work = calloc(1, sizeof *work);
  if (!work) {
    reply_problem(&exchange->reply, PROBLEM_OUT_OF_MEMORY, "no memory for the request");
    return NULL;
  }
  work->service = service;
  work->engine = engine_retain(service->engine);
  work->exchange = exchange;
  work->kind = kind;
  atomic_init(&work->cancelled, false);
  atomic_init(&work->refused, false);
  atomic_init(&work->refusal, REFUSAL_NONE);
  service->works++;
  exchange->work = work;
  exchange->cancel = work_cancel;
  return work;
}
