/* How urgent a client says that its request is (RFC 9218): `Priority: u=0` is the most urgent, u=7
 * what runs in the background, u=3 what is asked for without the header. */
#ifndef HTTP_PRIORITY_H
#define HTTP_PRIORITY_H

#define URGENCY_MAX     7
#define URGENCY_DEFAULT 3

/** The urgency that the value of Priority gives: 0 to URGENCY_MAX, URGENCY_DEFAULT where it gives
 * none that is allowed or is no dictionary (RFC 8941, section 3.2), as RFC 9218 asks for. */
unsigned priority_urgency(const char *value);

#endif
