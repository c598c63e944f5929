/* What the service measures: the families of its registry, and those that begin with 0. */
#include <stdio.h>

#include "service.h"

static const double second_bounds[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                       0.25,   0.5,   1,      2.5,   5,    10,    30};
static const double batch_bounds[] = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64};

#define SECONDS second_bounds, sizeof second_bounds / sizeof *second_bounds
#define BATCHES batch_bounds, sizeof batch_bounds / sizeof *batch_bounds

const struct metric service_metrics[SERVICE_METRICS] = {
    [METRIC_REQUESTS] = {"vqct_http_requests_total", METRIC_COUNTER,
                         "Requests that ended, by route, method and status; 499: the client left.",
                         NULL, 0},
    [METRIC_REFUSED] = {"vqct_refused_total", METRIC_COUNTER,
                        "Requests refused because a bound of the queue was reached.", NULL, 0},
    [METRIC_KEY_REQUESTS] = {"vqct_key_requests_total", METRIC_COUNTER,
                             "Requests that ended, by the name of their API key and status.", NULL,
                             0},
    [METRIC_KEY_PIXELS] = {"vqct_key_pixels_total", METRIC_COUNTER,
                           "Pixels to be computed, by the name of the API key that asked for them.",
                           NULL, 0},
    [METRIC_IN_FLIGHT] = {"vqct_requests_in_flight", METRIC_GAUGE,
                          "Requests whose headers came and whose answer is not sent.", NULL, 0},
    [METRIC_CONNECTIONS] = {"vqct_connections", METRIC_GAUGE, "Open connections.", NULL, 0},
    [METRIC_QUEUE_IMAGES] = {"vqct_queue_images", METRIC_GAUGE, "Pictures that wait for a worker.",
                             NULL, 0},
    [METRIC_QUEUE_BYTES] = {"vqct_queue_bytes", METRIC_GAUGE,
                            "Bytes of bodies that are being received or read.", NULL, 0},
    [METRIC_QUEUE_PIXELS] = {"vqct_queue_pixels", METRIC_GAUGE,
                             "Pixels of pictures from decoding to the answer.", NULL, 0},
    [METRIC_REQUEST_SECONDS] = {"vqct_request_duration_seconds", METRIC_HISTOGRAM,
                                "Time from a request's headers to the end of its answer.", SECONDS},
    [METRIC_RECEIVE_SECONDS] = {"vqct_receive_duration_seconds", METRIC_HISTOGRAM,
                                "Time from a request's headers to the end of its body.", SECONDS},
    [METRIC_READ_SECONDS] = {"vqct_read_duration_seconds", METRIC_HISTOGRAM,
                             "Time from a body's end until its pictures are read and resized.",
                             SECONDS},
    [METRIC_READ_SECONDS_OLD] = {"vqct_decode_duration_seconds", METRIC_HISTOGRAM,
                                 "vqct_read_duration_seconds, by its name before 0.2.0.", SECONDS},
    [METRIC_QUEUE_SECONDS] = {"vqct_queue_duration_seconds", METRIC_HISTOGRAM,
                              "Time that a picture waited until a worker was free.", SECONDS},
    [METRIC_BATCH_WAIT_SECONDS] = {"vqct_batch_wait_duration_seconds", METRIC_HISTOGRAM,
                                   "Time that a free worker waited for a batch to fill.", SECONDS},
    [METRIC_COMPUTE_SECONDS] = {"vqct_compute_duration_seconds", METRIC_HISTOGRAM,
                                "Time of the network for the batch of a picture.", SECONDS},
    [METRIC_WRITE_SECONDS] = {"vqct_write_duration_seconds", METRIC_HISTOGRAM,
                              "Time from the last picture's computing until the answer is written.",
                              SECONDS},
    [METRIC_WRITE_SECONDS_OLD] = {"vqct_encode_duration_seconds", METRIC_HISTOGRAM,
                                  "vqct_write_duration_seconds, by its name before 0.2.0.",
                                  SECONDS},
    [METRIC_BATCH_IMAGES] = {"vqct_batch_images", METRIC_HISTOGRAM,
                             "Pictures in the batch of a picture.", BATCHES},
    [METRIC_IMAGES] = {"vqct_images_total", METRIC_COUNTER,
                       "Pictures computed, or found in the cache.", NULL, 0},
    [METRIC_TOKENS] = {"vqct_tokens_total", METRIC_COUNTER,
                       "Tokens computed, found in the cache or decoded.", NULL, 0},
    [METRIC_CACHE_HITS] = {"vqct_cache_hits_total", METRIC_COUNTER,
                           "Pictures whose tokens were in the cache.", NULL, 0},
    [METRIC_CACHE_MISSES] = {"vqct_cache_misses_total", METRIC_COUNTER,
                             "Pictures whose tokens were looked for there and not found.", NULL, 0},
    [METRIC_CACHE_EVICTIONS] = {"vqct_cache_evictions_total", METRIC_COUNTER,
                                "Pictures whose tokens made room for others.", NULL, 0},
    [METRIC_CACHE_BYTES] = {"vqct_cache_bytes", METRIC_GAUGE, "Memory that the cache takes.", NULL,
                            0},
    [METRIC_CODEBOOK_CODES] = {"vqct_codebook_codes", METRIC_GAUGE, "Codes of a codebook.", NULL,
                               0},
    [METRIC_CODEBOOK_TOKENS] = {"vqct_codebook_tokens", METRIC_GAUGE,
                                "Tokens that the figures of a window are from.", NULL, 0},
    [METRIC_CODEBOOK_USAGE] = {"vqct_codebook_usage_ratio", METRIC_GAUGE,
                               "Share of the codes that were picked in a window.", NULL, 0},
    [METRIC_CODEBOOK_PERPLEXITY] = {"vqct_codebook_perplexity", METRIC_GAUGE,
                                    "Perplexity of the tokens of a window.", NULL, 0},
    [METRIC_CODEBOOK_DEAD] = {"vqct_codebook_dead_codes", METRIC_GAUGE,
                              "Codes that were not picked in a window.", NULL, 0},
    [METRIC_CODEBOOK_DRIFT] = {"vqct_codebook_drift", METRIC_GAUGE,
                               "Jensen-Shannon divergence of a window from training, in bits.",
                               NULL, 0},
    [METRIC_LOG_LOST] = {"vqct_log_lines_lost_total", METRIC_COUNTER,
                         "Log lines that were lost, as nobody read the log fast enough.", NULL, 0},
    [METRIC_RELOADS] =
        {"vqct_reloads_total", METRIC_COUNTER,
         "Times a model, the list of models, keys or certificate were loaded again, by result.",
         NULL, 0},
    [METRIC_MODEL_INFO] = {"vqct_model_info", METRIC_GAUGE, "The model served, as labels.", NULL,
                           0},
    [METRIC_READY] = {"vqct_ready", METRIC_GAUGE, "1 where /readyz says yes, else 0.", NULL, 0},
    [METRIC_WORKERS_BUSY] = {"vqct_workers_busy", METRIC_GAUGE, "Workers that compute now.", NULL,
                             0},
    [METRIC_RESIDENT_BYTES] = {"process_resident_memory_bytes", METRIC_GAUGE,
                               "Resident memory of the process.", NULL, 0},
    [METRIC_CPU_SECONDS] = {"process_cpu_seconds_total", METRIC_COUNTER,
                            "Processor time of the process, user and system.", NULL, 0},
    [METRIC_OPEN_FILES_MAX] = {"process_max_fds", METRIC_GAUGE, "Most file descriptors allowed.",
                               NULL, 0},
    [METRIC_OPEN_FILES] = {"process_open_fds", METRIC_GAUGE, "Open file descriptors.", NULL, 0},
    [METRIC_START_TIME] = {"process_start_time_seconds", METRIC_GAUGE,
                           "When the process started, in seconds since 1970.", NULL, 0},
    [METRIC_BUILD_INFO] = {"vqct_build_info", METRIC_GAUGE, "The program, as labels.", NULL, 0},
};

/* Both results of a reload, with what else tells this one from others. */
static void begin_reloads(struct registry *registry, const char *what, const char *more) {
  char labels[160];
  snprintf(labels, sizeof labels, "what=\"%s\",result=\"ok\"%s", what, more);
  registry_add(registry, METRIC_RELOADS, labels, 0);
  snprintf(labels, sizeof labels, "what=\"%s\",result=\"failed\"%s", what, more);
  registry_add(registry, METRIC_RELOADS, labels, 0);
}

void service_begin_counters(struct registry *registry) {
  begin_reloads(registry, "configuration", "");
  begin_reloads(registry, "keys", "");
  begin_reloads(registry, "certificate", "");
  for (int refusal = REFUSAL_NONE + 1; refusal < REFUSALS; refusal++) {
    char labels[64];
    snprintf(labels, sizeof labels, "reason=\"%s\"", refusal_name((enum refusal)refusal));
    registry_add(registry, METRIC_REFUSED, labels, 0);
  }
}

void service_begin_model(struct service *service, const char *name) {
  char more[96];
  snprintf(more, sizeof more, ",model=\"%s\"", name);
  begin_reloads(service->registry, "model", more);
}
