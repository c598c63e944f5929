/* From a body to pictures that the network can take. All of it runs on codec threads. */
#ifndef API_PREPARE_H
#define API_PREPARE_H

#include <jansson.h>

#include "request.h"

/** Reads the request's body into its pictures (request_make_pictures): each picture's file, or
 * tokens ready to compute. What is wrong with the whole request goes to request->reply, with one
 * picture to that. */
void read_pictures(struct request *request);
void prepare_tokens(struct request *request);
void infer_read(struct request *request);

/** Parts of these: tokens of shape [images, planes, rows, columns] or without images; one picture
 * of a JSON body, in base64. */
void tokens_from_tensor(struct request *request, const struct tensor *tensor);
void picture_from_base64(struct picture *picture, const json_t *value);

/** Decodes one picture's file, resizes it, and makes room for its tokens; several threads may do so
 * for pictures of one request. */
void prepare_picture(struct request *request, struct picture *picture);

#endif
