/* Signals as events of the loop: SIGTERM and SIGINT ask the server to stop, SIGHUP to reload. */
#ifndef COMMAND_SERVE_SIGNALS_H
#define COMMAND_SERVE_SIGNALS_H

#include <uv.h>

struct serve_signals {
  uv_async_t wake;
  void (*stop)(void *context); /* called once a signal */
  void (*reload)(void *context);
  void *context;
};

/** From now on they call what the record says, on the loop. One record at a time. */
void serve_signals_begin(struct serve_signals *signals, uv_loop_t *loop);

/** From now on they do nothing; the loop must run once more. */
void serve_signals_end(struct serve_signals *signals);

#endif
