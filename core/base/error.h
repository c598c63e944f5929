/* Filling the caller's error record. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include "vqct/status.h"

/** Writes status and a formatted sentence into error (which may be NULL) and returns status, so
 * that a failing function can `return error_set(error, VQCT_READ, ...)`. Control characters of the
 * result, which may come from hostile input, become '?'; a longer text is cut. */
enum vqct_status error_set(struct vqct_error *error, enum vqct_status status, const char *format,
                           ...) __attribute__((format(printf, 3, 4)));

/** Puts "context: " before the message already in error and returns its status. */
enum vqct_status error_prefix(struct vqct_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
