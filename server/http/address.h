/* Addresses as options name them, one or several with commas between them: HOST:PORT, [IPV6]:PORT,
 * unix:PATH; * and [::] are all of this machine's, of both families. */
#ifndef HTTP_ADDRESS_H
#define HTTP_ADDRESS_H

#include "sockets.h"

/** Adds sockets that listen there, not blocking; those of Unix get that mode. After an error they
 * are for the caller to close. Errors: INVALID (no such address, or it is in use), READ (the system
 * refuses another way). */
enum vqct_status address_listen(const char *list, unsigned mode, struct listen_sockets *sockets,
                                struct vqct_error *error);

/** A socket connected to what listens at the first, whose reads and writes end after `seconds`; for
 * all addresses that is this machine's loopback. Errors: INVALID, UNAVAILABLE. */
enum vqct_status address_connect(const char *list, double seconds, int *file,
                                 struct vqct_error *error);

#endif
