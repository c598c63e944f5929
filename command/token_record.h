/* A picture's record in the sidecar, as JSON. Functions return NULL where memory fails. */
#ifndef COMMAND_TOKEN_RECORD_H
#define COMMAND_TOKEN_RECORD_H

#include <jansson.h>

#include "pictures.h"

#define TOKEN_LINE_MAX ((size_t)1 << 20) /* bytes of a line that is read again */

/** Text that may hold bytes which are not UTF-8: each becomes \\xHH. */
json_t *token_record_text(const char *text);

/** The beginning: the picture's name, and where that is not UTF-8 its bytes too, as "image_hex". */
json_t *token_record(const char *name);

/** That of a picture that failed; the message may quote a name. */
json_t *token_record_failed(const char *name, const char *message);

/** How many of each kind of file were passed over. */
json_t *token_record_passed(const struct pictures *pictures);

#endif
