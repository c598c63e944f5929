/* The handler sets a flag and gives the signal its default back, so that a second one ends a
 * program whose work does not come to an end. Calls that were interrupted go on. */
#include "signals.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

static atomic_bool stop; /* free of locks, so that a handler may set it: all threads ask */

static void request_stop(int number) {
  stop = true;
  signal(number, SIG_DFL);
}

void signals_catch(void) {
  struct sigaction action = {.sa_handler = request_stop, .sa_flags = SA_RESTART};
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
}

bool signals_stop(void) {
  return stop;
}

bool signals_ended(enum vqct_status status) {
  return status == VQCT_INTERRUPTED || (status == VQCT_OK && stop);
}

static bool stopping(void *context) {
  (void)context;
  return stop;
}

const struct shard_stop signals_stopping = {stopping, NULL};
