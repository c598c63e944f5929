/* The run's thread writes the page anew after every line of the log; the server's thread copies it
 * out. The lock guards the page and is held only while it is swapped or copied. */
#include "train_metrics.h"

#include <math.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "registry.h"

enum {
  STEP,
  STEPS,
  RATE,
  REMAINING,
  WAITED,
  BAD,
  LOSS,
  GRADIENT,
  USAGE,
  PERPLEXITY,
  VALIDATION,
  METRICS
};

static const struct metric table[METRICS] = {
    [STEP] = {"vqct_train_step", METRIC_GAUGE, "Steps done.", NULL, 0},
    [STEPS] = {"vqct_train_steps", METRIC_GAUGE, "Steps of the whole run.", NULL, 0},
    [RATE] = {"vqct_train_images_per_second", METRIC_GAUGE, "Pictures trained on a second.", NULL,
              0},
    [REMAINING] = {"vqct_train_remaining_seconds", METRIC_GAUGE, "Time to the last step.", NULL, 0},
    [WAITED] = {"vqct_train_waited_ratio", METRIC_GAUGE,
                "Share of the time that computing waited for data.", NULL, 0},
    [BAD] = {"vqct_train_bad_pictures", METRIC_GAUGE,
             "Pictures that could not be decoded, each counted once.", NULL, 0},
    [LOSS] = {"vqct_train_loss", METRIC_GAUGE, "Losses, means since the log's last line.", NULL, 0},
    [GRADIENT] = {"vqct_train_gradient_norm", METRIC_GAUGE, "Euclidean norm of the gradients.",
                  NULL, 0},
    [USAGE] = {"vqct_train_codebook_usage_ratio", METRIC_GAUGE,
               "Codes chosen since the log's last line, of all codes.", NULL, 0},
    [PERPLEXITY] = {"vqct_train_codebook_perplexity", METRIC_GAUGE,
                    "Two to the entropy of the choice of codes.", NULL, 0},
    [VALIDATION] = {"vqct_train_validation", METRIC_GAUGE, "Means of the last validation.", NULL,
                    0},
};

struct train_metrics {
  struct registry *registry; /* of the run's thread alone */
  struct MHD_Daemon *daemon;
  pthread_mutex_t lock; /* guards page */
  struct text page;
};

static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **state) {
  (void)version;
  (void)upload;
  (void)state;
  struct train_metrics *metrics = context;
  if (*upload_size) { /* a body is not wanted, but must be read */
    *upload_size = 0;
    return MHD_YES;
  }
  bool found = strcmp(url, "/metrics") == 0 && strcmp(method, MHD_HTTP_METHOD_GET) == 0;
  pthread_mutex_lock(&metrics->lock);
  struct MHD_Response *response = MHD_create_response_from_buffer(
      found ? metrics->page.size : 0, found ? metrics->page.data : (void *)"",
      MHD_RESPMEM_MUST_COPY);
  pthread_mutex_unlock(&metrics->lock);
  if (!response)
    return MHD_NO;
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain; version=0.0.4");
  enum MHD_Result result =
      MHD_queue_response(connection, found ? MHD_HTTP_OK : MHD_HTTP_NOT_FOUND, response);
  MHD_destroy_response(response);
  return result;
}

/* Writes the page anew. */
static void publish(struct train_metrics *metrics) {
  struct text page = {0};
  registry_write(metrics->registry, &page);
  if (page.failed) {
    text_free(&page);
    return;
  }
  pthread_mutex_lock(&metrics->lock);
  struct text old = metrics->page;
  metrics->page = page;
  pthread_mutex_unlock(&metrics->lock);
  text_free(&old);
}

enum vqct_status train_metrics_start(uint16_t port, struct train_metrics **result,
                                     struct vqct_error *error) {
  *result = NULL;
  struct train_metrics *metrics = calloc(1, sizeof *metrics);
  if (!metrics)
    return error_set(error, VQCT_MEMORY, "no memory for metrics");
  pthread_mutex_init(&metrics->lock, NULL);
  if (!(metrics->registry = registry_new(table, METRICS))) {
    train_metrics_stop(metrics);
    return error_set(error, VQCT_MEMORY, "no memory for metrics");
  }
  publish(metrics);
  metrics->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, port, NULL,
                                     NULL, answer, metrics, MHD_OPTION_CONNECTION_TIMEOUT, 10u,
                                     MHD_OPTION_CONNECTION_LIMIT, 16u, MHD_OPTION_END);
  if (!metrics->daemon) {
    train_metrics_stop(metrics);
    return error_set(error, VQCT_UNAVAILABLE, "port %u cannot be listened on", port);
  }
  *result = metrics;
  return VQCT_OK;
}

void train_metrics_stop(struct train_metrics *metrics) {
  if (!metrics)
    return;
  if (metrics->daemon)
    MHD_stop_daemon(metrics->daemon);
  registry_free(metrics->registry);
  text_free(&metrics->page);
  pthread_mutex_destroy(&metrics->lock);
  free(metrics);
}

static void set(struct train_metrics *metrics, size_t metric, const char *label, const char *value,
                double number) {
  char labels[64] = "";
  if (label)
    snprintf(labels, sizeof labels, "%s=\"%s\"", label, value);
  registry_set(metrics->registry, metric, labels, number);
}

void train_metrics_log(struct train_metrics *metrics, const struct vqct_train_progress *progress) {
  if (!metrics)
    return;
  const struct vqct_train_losses *l = &progress->losses;
  set(metrics, STEP, NULL, NULL, (double)progress->step);
  set(metrics, STEPS, NULL, NULL, (double)progress->steps);
  set(metrics, RATE, NULL, NULL, progress->rate);
  set(metrics, REMAINING, NULL, NULL, progress->remaining);
  set(metrics, WAITED, NULL, NULL, progress->waited);
  set(metrics, BAD, NULL, NULL, (double)progress->bad_pictures);
  set(metrics, LOSS, "loss", "pixel", l->pixel);
  set(metrics, LOSS, "loss", "perceptual", l->perceptual);
  set(metrics, LOSS, "loss", "detail", l->detail);
  set(metrics, LOSS, "loss", "codebook", l->codebook);
  set(metrics, LOSS, "loss", "coverage", l->coverage);
  set(metrics, LOSS, "loss", "anchor", l->anchor);
  set(metrics, LOSS, "loss", "generator", l->generator);
  set(metrics, LOSS, "loss", "discriminator", l->discriminator);
  set(metrics, GRADIENT, "network", "generator", l->gradient_norm);
  set(metrics, GRADIENT, "network", "discriminator", l->discriminator_norm);
  for (int i = 0; i < progress->codebooks; i++) {
    set(metrics, USAGE, "codebook", progress->name[i], progress->health[i].usage);
    set(metrics, PERPLEXITY, "codebook", progress->name[i], progress->health[i].perplexity);
  }
  publish(metrics);
}

void train_metrics_validation(struct train_metrics *metrics, const struct vqct_evaluation *result) {
  if (!metrics)
    return;
  set(metrics, VALIDATION, "measure", "psnr_decibels", result->psnr);
  set(metrics, VALIDATION, "measure", "ssim", result->ssim);
  if (!isnan(result->lpips))
    set(metrics, VALIDATION, "measure", "lpips", result->lpips);
  publish(metrics);
}
