/* Signals reach the loop by a handler of our own and an async handle. libuv's handles for signals
 * give a signal its default meaning back when they are closed, so that one more, sent in the moment
 * before it can be ignored, would kill a server that has answered everything. */
#include "serve_signals.h"

#include <signal.h>
#include <stdatomic.h>

/* A handler knows nothing but its number. */
static struct {
  uv_async_t *wake;
  atomic_uint stops, reloads;
} caught;

static void on_signal(int number) {
  atomic_fetch_add(number == SIGHUP ? &caught.reloads : &caught.stops, 1);
  uv_async_send(caught.wake);
}

static void on_wake(uv_async_t *wake) {
  const struct serve_signals *signals = wake->data;
  for (unsigned stops = atomic_exchange(&caught.stops, 0); stops; stops--)
    signals->stop(signals->context);
  if (atomic_exchange(&caught.reloads, 0))
    signals->reload(signals->context);
}

static void handle(void (*handler)(int number)) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
  sigfillset(&action.sa_mask);
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGHUP, &action, NULL);
}

void serve_signals_begin(struct serve_signals *signals, uv_loop_t *loop) {
  caught.wake = &signals->wake;
  uv_async_init(loop, &signals->wake, on_wake);
  signals->wake.data = signals;
  handle(on_signal);
}

void serve_signals_end(struct serve_signals *signals) {
  handle(SIG_IGN);
  uv_close((uv_handle_t *)&signals->wake, NULL);
}
