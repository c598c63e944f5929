#include "serve_options.h"

/* TLS 1.2 and 1.3, with forward secrecy and authenticated ciphers only (RFC 9325). */
#define TLS_PRIORITY                                                                               \
  "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-DHE-RSA:-SHA1:-AES-128-CBC:-AES-256-CBC"

#define AT(member) offsetof(struct serve_options, member)
#define DAY        86400.0

static const struct option options[] = {
    {"model", 'm', OPTION_LIST, AT(model), NULL, 0, 0, NULL, "[NAME=]FILE",
     "models to serve, the first of them where a request names none (one is needed); without a "
     "NAME it is the model's own"},
    {"listen", 'l', OPTION_TEXT, AT(listen), "127.0.0.1:8080", 0, 0, NULL, "ADDRESS",
     "where the API is served: HOST:PORT, [IPV6]:PORT, *:PORT for all addresses of both families, "
     "unix:PATH, or several of them with commas between; port 0 picks a free one and logs it. A "
     "socket that systemd passes under the name listen, or alone without one, takes its place"},
    {"admin-listen", 'a', OPTION_TEXT, AT(admin_listen), "127.0.0.1:8081", 0, 0, NULL, "ADDRESS",
     "where health and metrics are served, likewise, and admin-listen"},
    {"socket-mode", 0, OPTION_TEXT, AT(socket_mode), "660", 0, 0, NULL, "MODE",
     "who may connect to unix:PATH, in octal digits as for chmod"},
    {"threads", 't', OPTION_INTEGER, AT(threads), "0", 0, 1024, NULL, "COUNT",
     "threads that compute; 0: one for each processor"},
    {"workers", 0, OPTION_INTEGER, AT(workers), "0", 0, 64, NULL, "COUNT",
     "batches computed at once when many pictures wait, with a share of the threads each; a "
     "picture alone has all threads. 0: as many as threads, at most 4"},
    {"codec-threads", 0, OPTION_INTEGER, AT(codec_threads), "2", 1, 64, NULL, "COUNT",
     "threads that decode and encode pictures"},
    {"max-connections", 0, OPTION_INTEGER, AT(max_connections), "1024", 1, 100000, NULL, "COUNT",
     "connections of the API, or as many as open files are allowed for; those above are answered "
     "503"},
    {"max-body", 0, OPTION_SIZE, AT(max_body), "32M", 1024, 0x1p32, NULL, "BYTES",
     "largest body of a request"},
    {"max-images", 0, OPTION_INTEGER, AT(max_images), "64", 1, 4096, NULL, "COUNT",
     "pictures of one request"},
    {"max-pixels", 0, OPTION_INTEGER, AT(max_pixels), "1048576", 1024, 67108864, NULL, "PIXELS",
     "pixels of one picture as the network sees it"},
    {"max-image-pixels", 0, OPTION_INTEGER, AT(max_image_pixels), "67108864", 1024, 1073741824,
     NULL, "PIXELS", "pixels of one picture as it comes"},
    {"queue-images", 0, OPTION_INTEGER, AT(queue_images), "256", 1, 1000000, NULL, "COUNT",
     "pictures that the server takes on at once; requests above are answered 429"},
    {"queue-bytes", 0, OPTION_SIZE, AT(queue_bytes), "256M", 1024, 0x1p40, NULL, "BYTES",
     "bytes of bodies that the server takes on at once"},
    {"queue-pixels", 0, OPTION_INTEGER, AT(queue_pixels), "134217728", 1024, 0x1p40, NULL, "PIXELS",
     "pixels of pictures that the server takes on at once"},
    {"cache-bytes", 0, OPTION_SIZE, AT(cache_bytes), "64M", 0, 0x1p40, NULL, "BYTES",
     "memory for the tokens of pictures that may come again; 0: none are kept"},
    {"batch-images", 0, OPTION_INTEGER, AT(batch_images), "0", 0, 1024, NULL, "COUNT",
     "pictures of one batch; 0: as many as a worker has threads"},
    {"batch-pixels", 0, OPTION_INTEGER, AT(batch_pixels), "1048576", 1, 0x1p40, NULL, "PIXELS",
     "pixels of one batch of more than one picture"},
    {"batch-delay", 0, OPTION_DURATION, AT(batch_delay), "0", 0, 10, NULL, "TIME",
     "how long a picture may wait for others to share its batch"},
    {"header-timeout", 0, OPTION_DURATION, AT(header_timeout), "10s", 0.05, DAY, NULL, "TIME",
     "for the headers of a connection's first request"},
    {"body-timeout", 0, OPTION_DURATION, AT(body_timeout), "30s", 0.05, DAY, NULL, "TIME",
     "for the body of a request"},
    {"idle-timeout", 0, OPTION_DURATION, AT(idle_timeout), "60s", 0.05, DAY, NULL, "TIME",
     "between two requests of a connection"},
    {"write-timeout", 0, OPTION_DURATION, AT(write_timeout), "30s", 0.05, DAY, NULL, "TIME",
     "for a client to take its answer"},
    {"request-timeout", 0, OPTION_DURATION, AT(request_timeout), "60s", 0.001, DAY, NULL, "TIME",
     "for a whole request, where X-Request-Timeout-Ms does not say"},
    {"request-timeout-max", 0, OPTION_DURATION, AT(request_timeout_max), "10m", 0.001, DAY, NULL,
     "TIME", "the most that X-Request-Timeout-Ms may ask for"},
    {"drain-delay", 0, OPTION_DURATION, AT(drain_delay), "5s", 0, DAY, NULL, "TIME",
     "how long to go on serving after SIGTERM while readiness fails"},
    {"drain-timeout", 0, OPTION_DURATION, AT(drain_timeout), "30s", 0, DAY, NULL, "TIME",
     "how long accepted requests may then take; those left are answered 503"},
    {"stall-timeout", 0, OPTION_DURATION, AT(stall_timeout), "60s", 0.1, DAY, NULL, "TIME",
     "a worker that takes longer for one batch fails readiness"},
    {"api-keys", 0, OPTION_TEXT, AT(api_keys), NULL, 0, 0, NULL, "FILE",
     "SHA-256 hashes of the keys that may use the API; all may without"},
    {"key-rate", 0, OPTION_INTEGER, AT(key_rate), "0", 0, 1e9, NULL, "COUNT",
     "requests a second that each key may make of the routes that compute; 0: any number"},
    {"key-pixel-rate", 0, OPTION_INTEGER, AT(key_pixel_rate), "0", 0, 1e15, NULL, "PIXELS",
     "pixels a second, as the network sees them, that each key may have computed; 0: any number"},
    {"tls-certificate", 0, OPTION_TEXT, AT(tls_certificate), NULL, 0, 0, NULL, "FILE",
     "PEM certificate chain of the API; plain HTTP without"},
    {"tls-key", 0, OPTION_TEXT, AT(tls_key), NULL, 0, 0, NULL, "FILE", "its PEM private key"},
    {"tls-priority", 0, OPTION_TEXT, AT(tls_priority), TLS_PRIORITY, 0, 0, NULL, "PRIORITY",
     "versions and ciphers of TLS, as GnuTLS names them"},
    {"cors-origin", 0, OPTION_LIST, AT(cors_origin), NULL, 0, 0, NULL, "ORIGIN",
     "origins whose pages may call the API from a browser; * for all"},
    {"watch", 0, OPTION_SWITCH, AT(watch), NULL, 0, 0, NULL, NULL,
     "load the models, the keys, the certificate and the configuration's list of models again when "
     "their files change, as SIGHUP does for all of them"},
    {"log-level", 0, OPTION_CHOICE, AT(log_level), "info", 0, 0, "debug|info|warning|error|off",
     "LEVEL", "the least that is logged"},
    {"access-log", 0, OPTION_CHOICE, AT(access_log), "same", 0, 0,
     "same|debug|info|warning|error|off", "LEVEL",
     "the same for the lines about requests: error those that failed, warning those that were "
     "refused too, info all, debug also what is asked again and again; same: as log-level"},
};

const struct option_table serve_option_table = {
    .command = "serve",
    .operands = "",
    .summary = "Serves a model over HTTP: pictures to tokens and back.",
    .options = options,
    .count = sizeof options / sizeof *options,
    .operands_min = 0,
    .operands_max = 0,
    .layered = true,
};
