/* The paper's own embeddings: CLIP's text features of a prompt about each word of a prior. */
#ifndef LANGUAGE_PRIOR_EMBED_H
#define LANGUAGE_PRIOR_EMBED_H

#include "clip.h"
#include "prior.h"

#define PRIOR_PROMPT_MAX ((size_t)512) /* bytes of a prompt without the word */

struct prior_prompts {
  const char *adjective, *noun; /* with "{}" once, where the word goes */
};

/* The prompts of the paper. */
#define PRIOR_PROMPTS_DEFAULT                                                                      \
  { "a photo of {} object", "a photo of {}" }

/** Replaces the embeddings of a prior by features, not normalised, and notes `source` (the name of
 * the weights) and the prompts in its provenance. progress, which may be NULL, is told how many
 * words are done. Errors: INVALID (a prompt without "{}", or with two), LIMIT, NOT_FINITE, MEMORY;
 * the prior is then as it was. */
enum vqct_status prior_embed(struct prior *prior, const struct clip *clip, const char *source,
                             const struct prior_prompts *prompts,
                             void (*progress)(void *argument, size_t done), void *argument,
                             const struct exec *exec, struct vqct_error *error);

#endif
