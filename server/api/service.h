/* The service: what all routes share. Everything here belongs to the loop thread unless said
 * otherwise. */
#ifndef API_SERVICE_H
#define API_SERVICE_H

#include <stdatomic.h>

#include <uv.h>

#include "admission.h"
#include "cache.h"
#include "exchange.h"
#include "log.h"
#include "models.h"
#include "readings.h"
#include "registry.h"
#include "tasks.h"
#include "vqct/image.h"
#include "worker.h"

/** What one request may cost; constant. */
struct request_limits {
  size_t images;                  /* a request */
  uint64_t pixels;                /* of one picture, as the network sees it */
  struct vqct_image_limits image; /* of one picture's file */
};

/** What each key may ask for in a second, 0 for any number of it; constant. */
struct key_rates {
  double requests, pixels;
};

enum service_phase {
  SERVICE_READY,
  SERVICE_LEAVING,  /* told to stop; still serving while load balancers turn away */
  SERVICE_DRAINING, /* the port is closed; finishing what was accepted */
};

struct service {
  uv_loop_t *loop;
  struct request_limits limits;
  double stall_time; /* seconds that one batch may compute before the service counts as stuck */
  struct log log;
  struct models *models; /* for new requests */
  struct keys *keys;     /* NULL: none needed */
  struct key_rates rates;
  struct tasks tasks; /* for the codec threads */
  struct queue *queue;
  struct workers *workers;
  struct admission admission; /* any thread */
  struct cache *cache;        /* of tokens; NULL: none; any thread */
  struct registry *registry;
  const struct listener *api; /* the first port */
  struct history history;
  enum service_phase phase;
  atomic_bool stop;  /* what is being computed is to end; any thread */
  unsigned requests; /* that compute or wait for that */
  uint64_t images_total, tokens_total;
  time_t started;
  uint64_t started_clock; /* uv_hrtime() at that moment */
};

/** The families of the registry. */
enum service_metric {
  METRIC_REQUESTS,
  METRIC_REFUSED,
  METRIC_KEY_REQUESTS,
  METRIC_KEY_PIXELS,
  METRIC_IN_FLIGHT,
  METRIC_CONNECTIONS,
  METRIC_QUEUE_IMAGES,
  METRIC_QUEUE_BYTES,
  METRIC_QUEUE_PIXELS,
  METRIC_REQUEST_SECONDS,
  METRIC_RECEIVE_SECONDS,
  METRIC_READ_SECONDS,
  METRIC_READ_SECONDS_OLD,
  METRIC_QUEUE_SECONDS,
  METRIC_BATCH_WAIT_SECONDS,
  METRIC_COMPUTE_SECONDS,
  METRIC_WRITE_SECONDS,
  METRIC_WRITE_SECONDS_OLD,
  METRIC_BATCH_IMAGES,
  METRIC_IMAGES,
  METRIC_TOKENS,
  METRIC_CACHE_HITS,
  METRIC_CACHE_MISSES,
  METRIC_CACHE_EVICTIONS,
  METRIC_CACHE_BYTES,
  METRIC_CODEBOOK_CODES,
  METRIC_CODEBOOK_TOKENS,
  METRIC_CODEBOOK_USAGE,
  METRIC_CODEBOOK_PERPLEXITY,
  METRIC_CODEBOOK_DEAD,
  METRIC_CODEBOOK_DRIFT,
  METRIC_LOG_LOST,
  METRIC_RELOADS,
  METRIC_MODEL_INFO,
  METRIC_READY,
  METRIC_WORKERS_BUSY,
  METRIC_RESIDENT_BYTES,
  METRIC_CPU_SECONDS,
  METRIC_OPEN_FILES,
  METRIC_OPEN_FILES_MAX,
  METRIC_START_TIME,
  METRIC_BUILD_INFO,
  SERVICE_METRICS
};

/** The definitions in that order, SERVICE_METRICS of them. */
extern const struct metric service_metrics[];

/** Gives the counters whose labels are known their first value, 0: a rate over a series that begins
 * with its first event misses that event. */
void service_begin_counters(struct registry *registry);

/** The same for a model, by the name that it is served under. */
void service_begin_model(struct service *service, const char *name);

/** The routes of the two ports. */
extern const struct route service_api_routes[], service_admin_routes[];
extern const size_t service_api_route_count, service_admin_route_count;

/** Called by the listeners after each exchange: counts it and writes the log line. */
void service_finished(void *context, const struct exchange *exchange);

/** Seconds until a refused request may find room, 1 to 600, from what waits and the time
 * that workers took for a picture lately. */
unsigned service_retry_after(const struct service *service);

/** Fills a 429 with Retry-After, and counts it. */
void service_refuse(struct service *service, struct reply *reply, enum refusal refusal);

/** The label of a model's series, `model="NAME"`; "" for NULL, which stands for all models. */
struct model_label {
  char text[ENGINE_NAME_MAX + 16];
};
struct model_label model_label(const struct engine *engine);

/** Takes a reading for the histories, unless the newest is young. */
void history_record(struct service *service);

/** Adds the member `history` to a JSON object: the readings of the last hour, oldest first. */
void history_write(const struct service *service, const struct history *history, struct text *text);

/** Durations of requests to the routes that compute for these models, and how those ended. */
struct registry_total history_request_seconds(const struct service *service,
                                              const struct model_label *models);
struct request_counts history_requests(const struct service *service,
                                       const struct model_label *models);
void history_add_requests(struct text *text, const struct request_counts *counts);

/** Why the service is not ready, NULL where it is. */
const char *service_not_ready(const struct service *service);

/** Resident memory of this process, in bytes. */
double service_resident_bytes(void);

/* ---- the handlers, one file each ------------------------------------------------------------- */

bool encode_admit(void *context, struct exchange *exchange);
bool decode_admit(void *context, struct exchange *exchange);
bool reconstruct_admit(void *context, struct exchange *exchange);
bool infer_admit(void *context, struct exchange *exchange);

void statistics_handle(void *context, struct exchange *exchange);
void model_handle(void *context, struct exchange *exchange);
void models_handle(void *context, struct exchange *exchange);
void codebook_handle(void *context, struct exchange *exchange);
void codebook_usage_handle(void *context, struct exchange *exchange);
void codebook_vectors_handle(void *context, struct exchange *exchange);
void codebook_code_handle(void *context, struct exchange *exchange);
void infer_server_handle(void *context, struct exchange *exchange);
void infer_live_handle(void *context, struct exchange *exchange);
void infer_ready_handle(void *context, struct exchange *exchange);
void infer_model_handle(void *context, struct exchange *exchange);
void infer_model_ready_handle(void *context, struct exchange *exchange);
void pages_handle(void *context, struct exchange *exchange);

void livez_handle(void *context, struct exchange *exchange);
void readyz_handle(void *context, struct exchange *exchange);
void metrics_handle(void *context, struct exchange *exchange);
void metrics_codes_handle(void *context, struct exchange *exchange);

#endif
