/* Features and provenance are made complete before anything of the prior is replaced, so that a
 * failure leaves it as it was. */
#include "prior_embed.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "size.h"

#define BATCH ((size_t)64) /* words between two calls of progress */

#define TEXT_BYTES (PRIOR_PROMPT_MAX + PRIOR_WORD_BYTES_MAX + 1)

/* A prompt in two parts, before and behind the word. */
struct prompt {
  const char *before, *behind;
  size_t before_length;
};

static enum vqct_status split_prompt(const char *text, struct prompt *prompt,
                                     struct vqct_error *error) {
  const char *place = strstr(text, "{}");
  if (!place || strstr(place + 2, "{}"))
    return error_set(error, VQCT_INVALID, "the prompt '%.80s' needs {} once, where the word goes",
                     text);
  if (strlen(text) > PRIOR_PROMPT_MAX)
    return error_set(error, VQCT_LIMIT, "a prompt of over %zu bytes", PRIOR_PROMPT_MAX);
  *prompt = (struct prompt){text, place + 2, (size_t)(place - text)};
  return VQCT_OK;
}

/* Features of the words first to first + count - 1. texts: room for BATCH prompts. */
static enum vqct_status embed_batch(const struct prior *prior, const struct clip *clip,
                                    const struct prompt prompts[2], size_t first, size_t count,
                                    char *texts, float *features, const struct exec *exec,
                                    struct vqct_error *error) {
  const char *pointers[BATCH];
  for (size_t i = 0; i < count; i++) {
    const struct prompt *prompt = &prompts[first + i >= prior->adjectives];
    snprintf(texts + i * TEXT_BYTES, TEXT_BYTES, "%.*s%s%s", (int)prompt->before_length,
             prompt->before, prior->word[first + i], prompt->behind);
    pointers[i] = texts + i * TEXT_BYTES;
  }
  return clip_embed(clip, pointers, count, features + first * clip_dimension(clip), exec, error);
}

/* The old provenance with what is said about the embeddings replaced, in the prior's memory. */
static const char *new_provenance(struct prior *prior, const char *source,
                                  const struct prior_prompts *prompts) {
  const char *slash = strrchr(source, '/');
  json_t *object = prior->provenance ? json_loads(prior->provenance, 0, NULL) : NULL;
  if (!json_is_object(object)) {
    json_decref(object);
    object = json_object();
  }
  json_t *name = json_string(slash ? slash + 1 : source);
  json_object_set_new(object, "embeddings",
                      name ? name : json_string("(a name that is not UTF-8)"));
  json_object_set_new(object, "embeddings_made_by", json_string("vqct " VQCT_VERSION ", CLIP"));
  json_object_set_new(object, "prompts", json_pack("[s, s]", prompts->adjective, prompts->noun));
  char *text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
  char *kept = text ? arena_alloc(&prior->memory, strlen(text) + 1) : NULL;
  if (kept)
    memcpy(kept, text, strlen(text) + 1);
  free(text);
  json_decref(object);
  return kept;
}

enum vqct_status prior_embed(struct prior *prior, const struct clip *clip, const char *source,
                             const struct prior_prompts *prompts,
                             void (*progress)(void *argument, size_t done), void *argument,
                             const struct exec *exec, struct vqct_error *error) {
  size_t dimension = clip_dimension(clip), count;
  struct prompt parts[2];
  enum vqct_status status = split_prompt(prompts->adjective, &parts[0], error);
  if (status != VQCT_OK)
    return status;
  status = split_prompt(prompts->noun, &parts[1], error);
  if (status != VQCT_OK)
    return status;
  struct arena_mark mark = arena_mark(&prior->memory);
  char *texts = malloc(BATCH * TEXT_BYTES);
  float *features = NULL;
  const char *provenance = NULL;
  if (size_multiply(prior->words, dimension, &count) &&
      size_multiply(count, sizeof *features, &count))
    features = arena_alloc(&prior->memory, count);
  if (!texts || !features) {
    status = error_set(error, VQCT_MEMORY, "no memory for %zu embeddings of %zu numbers",
                       prior->words, dimension);
    goto done;
  }
  for (size_t at = 0; at < prior->words; at += BATCH) {
    size_t batch = prior->words - at < BATCH ? prior->words - at : BATCH;
    status = embed_batch(prior, clip, parts, at, batch, texts, features, exec, error);
    if (status != VQCT_OK)
      goto done;
    if (progress)
      progress(argument, at + batch);
  }
  if (!(provenance = new_provenance(prior, source, prompts)))
    status = error_set(error, VQCT_MEMORY, "no memory for the provenance");
done:
  free(texts);
  if (status != VQCT_OK) {
    arena_release(&prior->memory, mark);
    return status;
  }
  prior->embeddings = features;
  prior->dimension = dimension;
  prior->provenance = provenance;
  return VQCT_OK;
}
