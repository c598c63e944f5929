/* The stages in the order in which a request meets them, so that the file reads as its way goes;
 * each ends by beginning the one after it. `pending` counts what other threads have: a stage goes
 * on when that is back at 0. */
#include "stages.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "compress.h"
#include "lines.h"
#include "prepare.h"
#include "rates.h"
#include "recall.h"
#include "render.h"

static void prepare_begin(struct request *request);
static void compute_begin(struct request *request);
static void render_begin(struct request *request);
static void answer(struct request *request);
static void finish_lines(struct request *request);

/* ---- receiving --------------------------------------------------------------------------------
 */

bool request_grow(void *context, struct exchange *exchange, uint64_t bytes) {
  struct service *service = context;
  struct request *request = exchange->request;
  struct reservation more = {.bytes = bytes};
  enum refusal refusal =
      admission_reserve(&service->admission, request->urgency, &request->reserved, more);
  if (refusal != REFUSAL_NONE)
    service_refuse(service, &exchange->reply, refusal);
  return refusal == REFUSAL_NONE;
}

void request_begin(void *context, struct exchange *exchange) {
  struct request *request = exchange->request;
  (void)context;
  request->body = exchange->body;
  request->deadline = exchange->deadline;
  exchange->body = (struct text){0};
  exchange_suspend(exchange);
  prepare_begin(request);
}

/* ---- handing to codec threads -----------------------------------------------------------------
 */

static void submit(struct request *request, task_run *run, task_done *done) {
  request->pending++;
  tasks_submit(&request->service->tasks, &request->task, request->urgency, run, done);
}

/* Hands pictures to codec threads, each with its task, as long as one of them is free of this
 * request; `done` calls it again. */
static void hand_pictures(struct request *request, task_run *run, task_done *done) {
  struct tasks *tasks = &request->service->tasks;
  while (request->handed < request->count && request->pending < tasks->threads) {
    struct picture *picture = &request->pictures[request->handed++];
    request->pending++;
    tasks_submit(tasks, &picture->task, request->urgency, run, done);
  }
}

/* ---- preparing --------------------------------------------------------------------------------
 */

static void prepare_one(struct task *task) {
  struct picture *picture = picture_of_task(task);
  struct request *request = picture->job.owner;
  if (!picture->failed && !atomic_load(&request->refused) && !atomic_load(&request->cancelled))
    prepare_picture(request, picture);
}

/* Reads the body, and prepares the first picture, which often is the only one. */
static void prepare(struct task *task) {
  struct request *request = request_of_task(task);
  if (atomic_load(&request->cancelled))
    return;
  if (!body_inflate(request))
    return;
  if (request->input == FORM_INFER)
    infer_read(request);
  else if (request->kind == REQUEST_DECODE)
    prepare_tokens(request);
  else
    read_pictures(request);
  if (request->refused || !request_settle_form(request))
    return;
  if (!request->ready && request->count)
    prepare_one(&request->pictures[0].task);
}

static void picture_prepared(struct task *task);

/* The body is not needed any more: what was read from it has its own memory. */
static void return_body(struct request *request) {
  struct reservation bytes = {.bytes = request->reserved.bytes};
  text_free(&request->body);
  for (size_t i = 0; i < request->count; i++) {
    free(request->pictures[i].owned);
    request->pictures[i].owned = NULL;
    bytes.bytes -= request->pictures[i].vector_bytes;
  }
  admission_return(&request->service->admission, &request->reserved, bytes);
}

/* Goes on after a task that has come back: with the next picture, or with all of them. */
static void prepare_more(struct request *request) {
  bool ended = !request->exchange || request->refused;
  if (!ended)
    hand_pictures(request, prepare_one, picture_prepared);
  if (request->pending)
    return;
  request->prepared = uv_hrtime();
  if (ended) {
    answer(request);
    return;
  }
  return_body(request);
  if (!render_possible(request)) {
    answer(request);
    return;
  }
  compute_begin(request);
}

static void picture_prepared(struct task *task) {
  struct request *request = picture_of_task(task)->job.owner;
  request->pending--;
  prepare_more(request);
}

static void prepared(struct task *task) {
  struct request *request = request_of_task(task);
  request->pending--;
  request->handed = request->ready ? request->count : 1;
  prepare_more(request);
}

static void prepare_begin(struct request *request) {
  request->stage = REQUEST_PREPARING;
  submit(request, prepare, prepared);
}

/* ---- computing --------------------------------------------------------------------------------
 */

static void push_picture(struct request *request, struct picture *picture,
                         enum job_operation operation) {
  const struct vqct_model_info *info = request->engine->info;
  struct job *job = &picture->job;
  uint64_t flops = operation == JOB_ENCODE ? info->encode_flops : info->decode_flops;
  job->operation = operation;
  job->urgency = request->urgency;
  job->engine = request->engine;
  job->pixels = operation == JOB_DECODE && request->kind == REQUEST_RECONSTRUCT
                    ? picture->result.pixels
                    : picture->image.pixels;
  job->tokens = picture->tokens;
  job->encodings = operation == JOB_ENCODE ? picture->encodings : NULL;
  job->cost = (double)flops * (double)job_pixels(job);
  job->deadline = request->deadline;
  request->pending++;
  queue_push(request->service->queue, job);
}

static void render_one(struct task *task);
static void picture_written(struct task *task);

/* Has the line of a picture written while others are computed. */
static void write_line(struct request *request, struct picture *picture) {
  request->pending++;
  tasks_submit(&request->service->tasks, &picture->task, request->urgency, render_one,
               picture_written);
}

/* Goes on when no job of the request is left, and no line is to be written. */
static void compute_more(struct request *request) {
  if (request->pending)
    return;
  request->computed = uv_hrtime();
  if (request->lines)
    finish_lines(request);
  else
    render_begin(request);
}

static void picture_written(struct task *task) {
  struct picture *picture = picture_of_task(task);
  struct request *request = picture->job.owner;
  request->pending--;
  if (request->exchange)
    lines_add(request, picture);
  compute_more(request);
}

static void count_picture(struct request *request, const struct picture *picture,
                          const char *labels) {
  struct registry *registry = request->service->registry;
  registry_add(registry, METRIC_IMAGES, labels, 1);
  registry_add(registry, METRIC_TOKENS, labels, (double)picture_tokens(request, picture));
}

/* Adds a job's times to its picture's; the request's are those of the picture that ends last. */
static void count_job(struct request *request, struct picture *picture) {
  struct registry *registry = request->service->registry;
  const struct job *job = &picture->job;
  char labels[128], waited[160];
  snprintf(labels, sizeof labels, "operation=\"%s\",model=\"%s\"",
           job->operation == JOB_ENCODE ? "encode" : "decode", request->engine->name);
  snprintf(waited, sizeof waited, "%s,urgency=\"%u\"", labels, request->urgency);
  double queue = (double)(job->ready - job->queued) * 1e-9;
  double batch = (double)(job->taken - job->ready) * 1e-9;
  double compute = (double)(job->finished - job->taken) * 1e-9;
  picture->times.queue += queue;
  picture->times.batch += batch;
  picture->times.compute += compute;
  request->times = picture->times;
  registry_observe(registry, METRIC_QUEUE_SECONDS, waited, queue);
  registry_observe(registry, METRIC_BATCH_WAIT_SECONDS, labels, batch);
  registry_observe(registry, METRIC_COMPUTE_SECONDS, labels, compute);
  registry_observe(registry, METRIC_BATCH_IMAGES, labels, job->batch);
  count_picture(request, picture, labels);
}

/* Counts an encoded picture's codes. Where its model was loaded again meanwhile, the new engine has
 * the counters. */
static void count_usage(struct request *request, const struct picture *picture) {
  const struct engine *then = request->engine;
  const struct engine *now = models_find(request->service->models, then->name);
  bool same = now && !strcmp(now->info->checksum, then->info->checksum);
  usage_record((same ? now : then)->usage, picture->tokens, picture_tokens(request, picture),
               uv_hrtime());
}

/* A picture that needs no job counts as those that had one, but for their times. */
static void count_recalled(struct request *request, const struct picture *picture) {
  char labels[128];
  snprintf(labels, sizeof labels, "operation=\"encode\",model=\"%s\"", request->engine->name);
  count_picture(request, picture, labels);
  count_usage(request, picture);
}

static void compute_begin(struct request *request) {
  request->stage = REQUEST_COMPUTING;
  enum job_operation operation = request->kind == REQUEST_DECODE ? JOB_DECODE : JOB_ENCODE;
  uint64_t pixels = 0;
  request->lines = lines_apply(request);
  if (request->lines)
    lines_begin(request);
  for (size_t i = 0; i < request->count; i++) {
    struct picture *picture = &request->pictures[i];
    bool computes = !picture->recalled && !picture->failed;
    if (picture->recalled)
      count_recalled(request, picture);
    if (computes) {
      pixels += job_pixels(&picture->job);
      push_picture(request, picture, operation);
    } else if (request->lines) {
      write_line(request, picture);
    }
  }
  rates_count_pixels(request->service, request->exchange, pixels);
  compute_more(request);
}

static void picture_end(struct request *request, struct picture *picture) {
  const struct job *job = &picture->job;
  if (job->expired)
    picture_fail(picture, PROBLEM_DEADLINE, "it was dropped before it was computed");
  else if (job->error.status == VQCT_TOKENS)
    picture_fail(picture, PROBLEM_BAD_TOKENS, "%s", job->error.message);
  else if (job->error.status == VQCT_LIMIT)
    picture_fail(picture, PROBLEM_IMAGE_TOO_LARGE, "%s", job->error.message);
  else if (job->error.status == VQCT_INTERRUPTED)
    picture_fail(picture, PROBLEM_DRAINING, "it was given up");
  else if (job->error.status == VQCT_MEMORY)
    picture_fail(picture, PROBLEM_OUT_OF_MEMORY, "no memory to compute it");
  else if (job->error.status != VQCT_OK) {
    log_message(&request->service->log, LOG_ERROR, "compute", "%s: %s",
                vqct_status_name(job->error.status), job->error.message);
    picture_fail(picture, PROBLEM_INTERNAL, "it could not be computed");
  }
}

void request_job_done(void *context, struct job *job) {
  struct request *request = job->owner;
  struct picture *picture = picture_of_job(job);
  (void)context;
  request->pending--;
  picture_end(request, picture);
  bool again = !picture->failed && job->operation == JOB_ENCODE &&
               request->kind == REQUEST_RECONSTRUCT && request->exchange;
  if (!picture->failed) {
    count_job(request, picture);
    if (job->operation == JOB_ENCODE) {
      count_usage(request, picture);
      recall_keep(request, picture);
    }
  }
  if (again)
    push_picture(request, picture, JOB_DECODE);
  else if (request->lines && request->exchange)
    write_line(request, picture);
  compute_more(request);
}

/* ---- rendering --------------------------------------------------------------------------------
 */

static void render_one(struct task *task) {
  struct picture *picture = picture_of_task(task);
  struct request *request = picture->job.owner;
  if (!atomic_load(&request->cancelled))
    render_members(request, picture);
}

/* Writes the answer, and the part of its picture where it has but one. */
static void render(struct task *task) {
  struct request *request = request_of_task(task);
  if (!atomic_load(&request->cancelled)) {
    if (request->output == FORM_JSON && request->count == 1)
      render_members(request, &request->pictures[0]);
    if (request->output == FORM_INFER)
      infer_render(request);
    else if (request->vectors)
      render_vectors(request);
    else if (request->kind == REQUEST_ENCODE)
      render_tokens(request);
    else
      render_pictures(request);
    if (request->takes_gzip && compress_worthwhile(&request->reply))
      compress_reply(&request->reply);
  }
  request->rendered = uv_hrtime();
}

static void rendered(struct task *task) {
  struct request *request = request_of_task(task);
  request->pending--;
  answer(request);
}

static void picture_rendered(struct task *task);

/* Goes on after a task that has come back: with the next part of a JSON answer of many pictures, or
 * with the whole. */
static void render_more(struct request *request) {
  if (request->exchange && request->output == FORM_JSON && request->count > 1)
    hand_pictures(request, render_one, picture_rendered);
  if (request->pending)
    return;
  if (!request->exchange) {
    request_free(request);
    return;
  }
  submit(request, render, rendered);
}

static void picture_rendered(struct task *task) {
  struct request *request = picture_of_task(task)->job.owner;
  request->pending--;
  render_more(request);
}

static void render_begin(struct request *request) {
  request->stage = REQUEST_RENDERING;
  request->handed = 0;
  render_more(request);
}

/* ---- answering --------------------------------------------------------------------------------
 */

/* Each stage in milliseconds, for Server-Timing and the metrics. Reading begins when the body is
 * there and writing when the last picture is computed, so the stages add up to the total: waiting
 * for a codec thread is part of both. */
static void record_times(struct request *request) {
  struct registry *registry = request->service->registry;
  const struct exchange *exchange = request->exchange;
  const struct job_times *times = &request->times;
  double receive = (double)(exchange->body_at - exchange->started) * 1e-9;
  double read = (double)(request->prepared - exchange->body_at) * 1e-9;
  double write = request->rendered ? (double)(request->rendered - request->computed) * 1e-9 : 0;
  registry_observe(registry, METRIC_RECEIVE_SECONDS, "", receive);
  registry_observe(registry, METRIC_READ_SECONDS, "", read);
  registry_observe(registry, METRIC_READ_SECONDS_OLD, "", read);
  registry_observe(registry, METRIC_WRITE_SECONDS, "", write);
  registry_observe(registry, METRIC_WRITE_SECONDS_OLD, "", write);
  if (request->lines) /* which are sent after the headers */
    return;
  reply_header(&request->exchange->reply, "Server-Timing",
               "receive;dur=%.2f, read;dur=%.2f, queue;dur=%.2f, batch;dur=%.2f, "
               "compute;dur=%.2f, write;dur=%.2f, total;dur=%.2f",
               receive * 1e3, read * 1e3, times->queue * 1e3, times->batch * 1e3,
               times->compute * 1e3, write * 1e3, (double)(uv_hrtime() - exchange->started) * 1e-6);
}

static void answer(struct request *request) {
  struct exchange *exchange = request->exchange;
  if (exchange) {
    enum refusal refusal = (enum refusal)atomic_load(&request->refusal);
    if (refusal != REFUSAL_NONE)
      service_refuse(request->service, &request->reply, refusal);
    request_note_model(request);
    exchange->pictures = request->count;
    rates_tell(request->service, exchange, &request->reply);
    reply_move(&request->reply, &exchange->reply);
    record_times(request);
    exchange_answer(exchange);
  }
  request_free(request);
}

/* The last line of an answer whose others are sent, where somebody still reads it. */
static void finish_lines(struct request *request) {
  if (request->exchange) {
    request->rendered = request->computed;
    record_times(request);
    lines_end(request);
  }
  request_free(request);
}

/* ---- the client has left ----------------------------------------------------------------------
 */

/* Takes back the jobs that still wait; those that a worker has come back by themselves. */
static void remove_jobs(struct request *request) {
  for (size_t i = 0; i < request->count; i++)
    if (!request->pictures[i].failed && !request->pictures[i].recalled &&
        queue_remove(request->service->queue, &request->pictures[i].job))
      request->pending--;
}

void request_cancel(void *argument, enum exchange_end end) {
  struct request *request = argument;
  (void)end;
  if (request->stage > REQUEST_PREPARING) {
    request_note_model(request);
    request->exchange->pictures = request->count;
  }
  request->exchange = NULL;
  atomic_store(&request->cancelled, true);
  if (request->stage == REQUEST_COMPUTING)
    remove_jobs(request);
  if (!request->pending)
    request_free(request);
}
