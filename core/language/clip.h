/* CLIP's text encoder: prompts to the features that pictures are compared with.
 *
 *   struct clip *clip;
 *   if (clip_open("clip-vit-base-patch32", &clip, &error) == VQCT_OK) {
 *     clip_embed(clip, texts, count, features, &exec, &error);
 *     clip_close(clip);
 *   }
 *
 * The folder is one of Hugging Face's: model.safetensors (a whole CLIP model or its text part),
 * vocab.json, merges.txt, and config.json where it is there. An encoder is read-only once it is
 * open, so any number of threads may use one. Source: Radford et al. 2021.
 */
#ifndef LANGUAGE_CLIP_H
#define LANGUAGE_CLIP_H

#include <stddef.h>
#include <stdint.h>

#include "exec.h"
#include "vqct/status.h"

struct clip;

/** Opens a folder. Sizes are those of the tensors; config.json tells the number of heads (without
 * it, width / 64, as in every published CLIP), the activation and the epsilon. Errors: READ, MODEL
 * (naming tensor or key and the fault), DATA (vocabulary or merges), NOT_FINITE, MEMORY; *clip is
 * then NULL. */
enum vqct_status clip_open(const char *folder, struct clip **clip, struct vqct_error *error);

/** Closes it; NULL is allowed. */
void clip_close(struct clip *clip);

/** Numbers in a feature: 512 for ViT-B/32. */
size_t clip_dimension(const struct clip *clip);

/** features (count, dimension): the projected state at the end token of each text, not normalised.
 * A feature depends on its text alone, whatever stands beside it and however many threads there
 * are. Errors: INVALID (not UTF-8), LIMIT (too long), MEMORY (scratch), NOT_FINITE. */
enum vqct_status clip_embed(const struct clip *clip, const char *const *texts, size_t count,
                            float *features, const struct exec *exec, struct vqct_error *error);

#endif
