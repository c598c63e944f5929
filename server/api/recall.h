/* Pictures that were encoded before: their tokens come from the service's cache. */
#ifndef API_RECALL_H
#define API_RECALL_H

#include "request.h"

/** Whether the picture's tokens were computed before from the same file, model and way to fit; they
 * are then the picture's, whose `recalled` is set. Only for encode without vectors, and where there
 * is a cache. Any thread. */
bool recall_find(struct request *request, struct picture *picture);

/** Keeps the tokens of a picture that recall_find did not find. Any thread. */
void recall_keep(struct request *request, const struct picture *picture);

/** The header X-Vqct-Cache of an answer: hit where all its pictures were found, partial where some
 * were, else miss. Nothing where none was looked for. */
void recall_tell(struct request *request);

#endif
