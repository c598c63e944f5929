/* Addresses as options name them: HOST:PORT, [IPV6]:PORT; * and [::] are all of this machine's, of
 * both families. */
#ifndef HTTP_ADDRESS_H
#define HTTP_ADDRESS_H

#include "vqct/status.h"

/** A socket that listens there, not blocking, and its port. Errors: INVALID (no such address, or it
 * is in use), READ (the system refuses another way). */
enum vqct_status address_listen(const char *address, int *file, unsigned *port,
                                struct vqct_error *error);

/** A socket connected to what listens there, whose reads and writes end after `seconds`; for all
 * addresses that is this machine's loopback. Errors: INVALID, UNAVAILABLE. */
enum vqct_status address_connect(const char *address, double seconds, int *file,
                                 struct vqct_error *error);

#endif
