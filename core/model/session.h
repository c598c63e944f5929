/* What those who have several sessions ask. */
#ifndef MODEL_SESSION_H
#define MODEL_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "vqct/model.h"

/** Whether pictures of this size, in pixels, take so little memory that a session of several
 * threads encodes as many of them at a time; else all threads encode one together. */
bool session_encodes_apart(const struct vqct_model *model, uint32_t height, uint32_t width);

#endif
