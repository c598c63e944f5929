/* Parts of answers that several routes write. */
#ifndef API_RENDER_H
#define API_RENDER_H

#include "work.h"

/** `"model":{...},"planes":[...]`. */
void render_model_members(struct text *text, const struct vqct_model_info *info);

/** The members of one picture: name, width, height, grid, tokens, and words if wanted. */
void render_tokens_members(struct text *text, const struct work *work,
                           const struct work_item *item);

/** The members of a picture of decode or reconstruct. */
void render_picture_members(struct text *text, const struct work *work, struct work_item *item);

/** The whole JSON answer: the model, and each picture with its members, or its name and problem. */
void render_json(struct work *work);

/** Adds what every answer of a model says in headers: which model, and the shape of its tokens. */
void render_headers(struct work *work);

#endif
