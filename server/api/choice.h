/* Which of the models that are served a request is for: the one that ?model= names, or else its
 * body, or the first. */
#ifndef API_CHOICE_H
#define API_CHOICE_H

#include "request.h"

/** The model that an exchange's query asks for, which is also noted there; NULL, with the reply
 * filled, where there is none of that name. Loop. */
struct engine *choice_of_query(const struct service *service, struct exchange *exchange);

/** Whether the request's model can do what the request asks for; else `reply` says why not. Any
 * thread that has the request. */
bool choice_suits(const struct request *request, struct reply *reply);

/** Whether the model is known before the body is: there is but one, the query named it, or a body
 * of this form cannot. Before the form is known it may. */
bool choice_settled(const struct request *request);

/** Takes the model that a body names; false, and a refused request, where there is none of that
 * name, the query named another, or it does not suit. Codec thread. */
bool choice_of_body(struct request *request, const char *name);

/** Takes the model that tokens are of, where the query named none; false, and a refused request,
 * where they are of no model served and that matters. The name is for the message, and may be NULL.
 * Codec thread. */
bool choice_of_tokens(struct request *request, const char *checksum, const char *name);

#endif
