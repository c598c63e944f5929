/* The options of `vqct serve`. */
#ifndef CONFIG_SERVE_OPTIONS_H
#define CONFIG_SERVE_OPTIONS_H

#include "options.h"

struct serve_options {
  struct option_list model;
  const char *listen, *admin_listen;
  const char *socket_mode; /* octal digits */
  int64_t workers, threads, codec_threads;
  int64_t max_connections, max_body, max_images, max_pixels, max_image_pixels;
  int64_t queue_images, queue_bytes, queue_pixels;
  int64_t cache_bytes;
  int64_t batch_images, batch_pixels;
  double batch_delay;
  double header_timeout, body_timeout, idle_timeout, write_timeout;
  double request_timeout, request_timeout_max;
  double drain_delay, drain_timeout, stall_timeout;
  int64_t key_rate, key_pixel_rate;
  const char *api_keys, *tls_certificate, *tls_key, *tls_priority;
  struct option_list cors_origin;
  bool watch;
  int log_level;  /* an enum log_level of the server */
  int access_log; /* 0: as log_level; else one more than its own */
};

extern const struct option_table serve_option_table;

#endif
