/* Parts of answers that several routes write. */
#ifndef API_RENDER_H
#define API_RENDER_H

#include "work.h"

/** `"model":{...},"planes":[...]`. */
void render_model_members(struct text *text, const struct vqct_model_info *info);

/** The members of one picture: name, width, height, grid, tokens, and words if wanted. */
void render_tokens_members(struct text *text, const struct work *work,
                           const struct work_item *item);

/** Writes the members of one picture that did not fail. */
typedef void render_item(struct text *text, const struct work *work, const struct work_item *item);

/** The whole JSON answer: the model, and each picture with its members, or its name and problem. */
void render_json(struct work *work, render_item *members);

/** Adds what every answer of a model says in headers: which model, and the shape of its tokens. */
void render_headers(struct work *work);

#endif
