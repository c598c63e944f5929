/* Sums over pictures, one at a time. Both pictures become floats once and every network that looks
 * at them reads those. */
#include "evaluation.h"

#include <math.h>

#include "error.h"
#include "fit.h"

/* A picture and its reconstruction as networks read them. */
struct pair {
  const float *original, *made;
  int height, width;
};

static enum vqct_status add_lpips(struct evaluation *evaluation, const struct pair *pair,
                                  const struct perceptual *perceptual, const struct exec *exec,
                                  struct vqct_error *error) {
  double distance = 0;
  enum vqct_status status = perceptual_distance(perceptual, pair->original, pair->made, 1,
                                                pair->height, pair->width, &distance, exec, error);
  evaluation->lpips += distance;
  return status;
}

static enum vqct_status add_features(struct feature_sums *sums, const struct pair *pair,
                                     const struct exec *exec, struct vqct_error *error) {
  struct arena_mark mark = arena_mark(exec->arena);
  size_t dimension = features_dimension(sums->network);
  float *values = arena_alloc(exec->arena, 2 * dimension * sizeof *values);
  enum vqct_status status =
      values ? features_of_pair(sums->network, pair->original, pair->made, pair->height,
                                pair->width, values, exec, error)
             : error_set(error, VQCT_MEMORY, "no memory for %zu features", dimension);
  if (status == VQCT_OK) {
    moments_add(&sums->original, values);
    moments_add(&sums->made, values + dimension);
  }
  arena_release(exec->arena, mark);
  return status;
}

/* What networks see in the two. */
static enum vqct_status add_seen(struct evaluation *evaluation, const struct vqct_image *original,
                                 const struct vqct_image *made, const struct perceptual *perceptual,
                                 const struct exec *exec, struct vqct_error *error) {
  struct arena_mark mark = arena_mark(exec->arena);
  size_t pixels = (size_t)original->width * original->height;
  float *values = arena_alloc(exec->arena, 6 * pixels * sizeof *values);
  enum vqct_status status = VQCT_OK;
  if (!values)
    return error_set(error, VQCT_MEMORY, "no memory to compare pictures of %u x %u pixels",
                     original->width, original->height);
  struct pair pair = {values, values + 3 * pixels, (int)original->height, (int)original->width};
  fit_floats(original->pixels, 3 * pixels, values);
  fit_floats(made->pixels, 3 * pixels, values + 3 * pixels);
  if (perceptual && (status = add_lpips(evaluation, &pair, perceptual, exec, error)) != VQCT_OK)
    goto done;
  if (evaluation->features)
    status = add_features(evaluation->features, &pair, exec, error);
done:
  arena_release(exec->arena, mark);
  return status;
}

enum vqct_status evaluation_add(struct evaluation *evaluation, const struct vqct_image *original,
                                const struct vqct_image *made, const struct perceptual *perceptual,
                                const struct exec *exec, struct vqct_error *error) {
  double psnr, ssim;
  enum vqct_status status = vqct_image_psnr(original, made, &psnr, error);
  if (status != VQCT_OK)
    return status;
  status = vqct_image_ssim(original, made, &ssim, error);
  if (status != VQCT_OK)
    return status;
  if (perceptual || evaluation->features) {
    status = add_seen(evaluation, original, made, perceptual, exec, error);
    if (status != VQCT_OK)
      return status;
  }
  if (isfinite(psnr))
    evaluation->psnr += psnr;
  else
    evaluation->infinite++;
  evaluation->ssim += ssim;
  evaluation->pictures++;
  return VQCT_OK;
}

void evaluation_count(struct evaluation *evaluation, const uint32_t *tokens, size_t planes,
                      size_t positions) {
  for (size_t i = 0; i < planes * positions; i++)
    evaluation->counts[tokens[i]]++;
  evaluation->positions += positions;
}

int codebooks_health(int adjectives, int nouns, const uint64_t *counts, const char *name[2],
                     struct vqct_codebook_health health[2]) {
  int books = 0;
  if (adjectives) {
    name[books] = "adjective";
    vqct_codebook_health(counts, (size_t)adjectives, &health[books++]);
  }
  name[books] = adjectives ? "noun" : "code";
  vqct_codebook_health(counts + adjectives, (size_t)nouns, &health[books++]);
  return books;
}

void evaluation_result(const struct evaluation *evaluation, int adjectives, int nouns,
                       struct vqct_evaluation *result) {
  double pictures = (double)evaluation->pictures;
  uint64_t finite = evaluation->pictures - evaluation->infinite;
  *result = (struct vqct_evaluation){
      .pictures = evaluation->pictures,
      .positions = evaluation->positions,
      .psnr = finite ? evaluation->psnr / (double)finite : INFINITY,
      .ssim = evaluation->ssim / pictures,
      .lpips = evaluation->lpips / pictures,
  };
  result->codebooks =
      codebooks_health(adjectives, nouns, evaluation->counts, result->name, result->health);
}
