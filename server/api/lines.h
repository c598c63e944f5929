/* The answer as newline-delimited JSON: a line a picture, written as soon as it is done, and a last
 * one that says what they are of. */
#ifndef API_LINES_H
#define API_LINES_H

#include "request.h"

/** Whether the request is answered so: Accept asks for it, and it is not one picture that failed
 * before anything was sent. */
bool lines_apply(const struct request *request);

/** Sends the status and headers. Loop. */
void lines_begin(struct request *request);

/** Adds the line of a picture from its members, which it frees. Loop. */
void lines_add(struct request *request, struct picture *picture);

/** Adds the last line, and ends the answer. Loop. */
void lines_end(struct request *request);

#endif
