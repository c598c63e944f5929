/* A port from its start to its end, and the time that its connections have.
 *
 * libmicrohttpd's own timeout counts idleness only and its connection limit leaves clients hanging,
 * so each connection carries a deadline here for whatever it is doing, and connections over the
 * limit are let in, told so with a 503, and closed. All functions belong to the loop thread.
 */
#ifndef HTTP_LISTENER_H
#define HTTP_LISTENER_H

#include "port.h"

/** Binds, listens and serves. Errors: INVALID (address), UNAVAILABLE (cannot bind), READ (TLS
 * files), MEMORY. */
enum vqct_status listener_start(struct listener *listener, uv_loop_t *loop,
                                const struct listener_options *options, struct vqct_error *error);

/** From now on every answer closes its connection, so that clients turn to others. */
void listener_leave(struct listener *listener);

/** Accepts who has connected, then stops accepting and closes the listening sockets; connections
 * live on. */
void listener_close(struct listener *listener);

/** Closes the connections that wait for another request and have none under way, and says whether
 * none is left. */
bool listener_drain(struct listener *listener);

/** Answers 503 to every suspended exchange, hangs up on clients that still send, and soon on those
 * that do not read their answer. */
void listener_refuse(struct listener *listener);

/** Ends all: exchanges that are suspended are answered 503, connections are closed, handles too
 * (the loop must run once more). */
void listener_stop(struct listener *listener);

#endif
