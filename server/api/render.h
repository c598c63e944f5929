/* Answers: what a request's pictures became, in the form that it asked for. Codec threads. */
#ifndef API_RENDER_H
#define API_RENDER_H

#include "request.h"

/** Writes the answer's body; of JSON, from the members of its pictures, which it frees. */
void render_tokens(struct request *request);
void render_pictures(struct request *request);
void infer_render(struct request *request);
void render_vectors(struct request *request);

/** Writes one picture's members of a JSON answer; several threads may do so for pictures of one
 * request. */
void render_members(struct request *request, struct picture *picture);

/** The whole JSON answer: the model, and each picture with its members, or its name and problem. */
void render_json(struct request *request);

/** Adds a picture's tokens as packed little-endian numbers. */
void render_packed(struct text *text, const struct request *request, const struct picture *picture);

/** `"model":{...},"planes":[...]`. */
void render_model_members(struct text *text, const struct vqct_model_info *info);

/** Adds what every answer of a model says in headers: which model, and that it is not to be kept.
 */
void render_headers(struct request *request);

/** The picture that the decoder gave. */
const struct vqct_image *picture_output(const struct request *request,
                                        const struct picture *picture);

/** An image as a file of the kind that the answer has; the caller frees it. Errors: MEMORY. */
enum vqct_status picture_file(const struct request *request, const struct vqct_image *image,
                              struct vqct_bytes *file, struct vqct_error *error);

/** Fills psnr and ssim of a picture of reconstruct; NaN where one cannot be told. */
void picture_measure(struct picture *picture);

/** Whether the answer's form holds these pictures: one array holds all, of one shape, or none; else
 * the request is refused. Known before they are computed, and asked again after. */
bool render_possible(struct request *request);

#endif
