/* The Open Inference Protocol, version 2 (that of KServe and Triton), beside the API of our own:
 * each model is one that encodes and, where it has a decoder, one that decodes.
 *
 *   NAME.encode: `image` (BYTES, pictures' files) or `pixels` (UINT8) to `tokens`
 *   NAME.decode: `tokens` to `pixels` and `image`
 */
#ifndef API_INFER_H
#define API_INFER_H

#include "request.h"

/** The model and the operation that a path names; NULL, with the reply filled, where there is no
 * such model. Loop. */
struct engine *infer_model(const struct service *service, struct exchange *exchange,
                           enum request_kind *kind);

/** The name that the protocol has for the numbers of a tensor, such as "UINT8". */
const char *infer_type_name(enum tensor_type type);

/** The type of whole numbers of such a name; false if it is none. */
bool infer_type_find(const char *name, enum tensor_type *type);

/** The name of a tensor that is given back. */
const char *infer_output_name(enum infer_output_kind kind);

#endif
