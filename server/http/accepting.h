/* Connections are accepted here and handed to libmicrohttpd, which knows one socket to listen at.
 */
#ifndef HTTP_ACCEPTING_H
#define HTTP_ACCEPTING_H

#include "port.h"

/** Accepts from the listener's sockets, by the loop, while it has room for connections. */
void accepting_start(struct listener *listener);

/** Goes on where there was no room: a connection has ended. */
void accepting_resume(struct listener *listener);

/** Accepts who has connected already, then closes the sockets. */
void accepting_end(struct listener *listener);

#endif
