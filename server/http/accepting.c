/* A socket is not polled while there is no room for what it has: neither for a connection more nor,
 * after the system has refused one, for a descriptor. The end of a connection makes room; as that
 * may be one of other parts of the process, it is tried again after a while as well. */
#define _GNU_SOURCE /* accept4 */
#include "accepting.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#define ACCEPTS_AT_ONCE 64  /* before others have their turn */
#define ACCEPTS_AT_END  256 /* of each socket */
#define RETRY_TIME      100 /* milliseconds */

static void on_waiting(uv_poll_t *poll, int status, int events);

static void set_polls(struct listener *listener, bool on) {
  for (size_t i = 0; i < listener->sockets.count; i++)
    if (on)
      uv_poll_start(&listener->accepting[i], UV_READABLE, on_waiting);
    else
      uv_poll_stop(&listener->accepting[i]);
  listener->full = !on;
}

static void on_retry(uv_timer_t *timer) {
  accepting_resume(timer->data);
}

/* Accepts one; false where nobody waits or there is no room. */
static bool accept_one(struct listener *listener, int file) {
  struct sockaddr_storage address = {0};
  socklen_t size = sizeof address;
  if (listener->connection_count >= listener_most(listener->options.limits.connections)) {
    set_polls(listener, false);
    return false;
  }
  int socket = accept4(file, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (socket >= 0) {
    MHD_add_connection(listener->daemon, socket, (struct sockaddr *)&address, size);
    return true;
  }
  if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
    set_polls(listener, false);
    uv_timer_start(&listener->retry, on_retry, RETRY_TIME, 0);
    return false;
  }
  return errno != EAGAIN; /* or the client has left meanwhile */
}

static void on_waiting(uv_poll_t *poll, int status, int events) {
  struct listener *listener = poll->data;
  size_t i = (size_t)(poll - listener->accepting);
  (void)status;
  (void)events;
  for (unsigned count = 0; count < ACCEPTS_AT_ONCE; count++)
    if (!accept_one(listener, listener->sockets.items[i].file))
      break;
  listener_wake(listener);
}

void accepting_start(struct listener *listener) {
  uv_timer_init(listener->loop, &listener->retry);
  listener->retry.data = listener;
  for (size_t i = 0; i < listener->sockets.count; i++) {
    uv_poll_init(listener->loop, &listener->accepting[i], listener->sockets.items[i].file);
    listener->accepting[i].data = listener;
  }
  set_polls(listener, true);
}

void accepting_resume(struct listener *listener) {
  if (listener->full && !listener->closed)
    set_polls(listener, true);
}

void accepting_end(struct listener *listener) {
  for (size_t i = 0; i < listener->sockets.count; i++)
    for (unsigned count = 0; count < ACCEPTS_AT_END; count++)
      if (!accept_one(listener, listener->sockets.items[i].file))
        break;
  set_polls(listener, false);
  for (size_t i = 0; i < listener->sockets.count; i++)
    uv_close((uv_handle_t *)&listener->accepting[i], NULL);
  uv_close((uv_handle_t *)&listener->retry, NULL);
  sockets_close(&listener->sockets);
}
