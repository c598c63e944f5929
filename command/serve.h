/* The parts of `vqct serve`: start-up, reloading and shutting down. */
#ifndef COMMAND_SERVE_H
#define COMMAND_SERVE_H

#include "listener.h"
#include "serve_models.h"
#include "serve_options.h"
#include "serve_signals.h"
#include "serve_watch.h"
#include "service.h"

enum reload_what {
  RELOAD_CHANGED, /* what is another than when it was last read, if files are watched */
  RELOAD_ALL,
};

struct server {
  struct serve_options options;
  int argc; /* the words that the options were read from, to read them again */
  char **argv;
  const char *config; /* the file that some of them are from, or NULL */
  uv_loop_t loop;
  struct service service;
  struct listen_sockets passed[2]; /* by the service manager, for the two ports */
  struct listener api, admin;
  bool api_started, admin_started;
  struct certificate *certificate; /* NULL for plain HTTP */
  struct serve_signals signals;
  uv_timer_t drain;
  uint64_t drain_end; /* uv_hrtime() when what is left is refused */
  unsigned stops;     /* signals to stop so far */
  struct watch watch;
  bool reloading, reload_again;
  enum reload_what reload_what; /* of the one that runs, or the one to run again */
};

/** Starts reading the list of models, the models, the keys and the certificate again, beside
 * serving; each result is swapped in on the loop, or logged and counted where it fails. */
void server_reload(struct server *server, enum reload_what what);

/** Notes the files that are about to be read, so that watch_follow begins to watch them. */
void server_watch(struct server *server, const struct model_specs *specs);

/** One more signal to stop: the first begins to leave, the second goes on to drain, the third
 * refuses what is left. */
void server_stop(struct server *server);

#endif
