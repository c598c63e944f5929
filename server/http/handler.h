/* libmicrohttpd's calls for a request, made into an exchange. */
#ifndef HTTP_HANDLER_H
#define HTTP_HANDLER_H

#include <microhttpd.h>

/** The access handler; context is the listener. */
enum MHD_Result handler_access(void *context, struct MHD_Connection *mhd, const char *url,
                               const char *method, const char *version, const char *data,
                               size_t *size, void **state);

/** The end of a request, sent or not. */
void handler_completed(void *context, struct MHD_Connection *mhd, void **state,
                       enum MHD_RequestTerminationCode code);

/** Decodes %XX in place and returns the length, but leaves %00 and %2F as they are. */
size_t handler_unescape(void *context, struct MHD_Connection *mhd, char *text);

#endif
