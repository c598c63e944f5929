/* The discriminator judges the pictures made and the real ones, and learns from both; the generator
 * is told how to deceive it. How both are held in the game, where the settings ask for it: LeCam
 * regularisation, no learning beyond a gap between the two, and pictures shown augmented. */
#include "augment.h"
#include "micro_batch.h"

#define ADAPTIVE_EPSILON 1e-4 /* added to the norm that the adaptive weight divides by */
#define ADAPTIVE_LIMIT   1e4
#define AVERAGE_DECAY    0.99 /* of the mean logits that LeCam holds logits near */

enum side { REAL, MADE, SIDES };

/* One side's pictures, as the discriminator was shown them. */
struct shown {
  struct augmentation augmentation;
  struct discriminator_pass pass;
  double mean; /* of its logits, over all processes */
};

/* Norm of the gradient for the decoder's last weight that a gradient dy of the picture causes, over
 * all processes. */
static enum vqct_status last_weight_norm(const struct micro_batch *b, const float *dy,
                                         double *norm) {
  const struct trainer *t = b->t;
  struct arena_mark mark = arena_mark(t->exec.arena);
  size_t count = chain_last_weight_count(&t->network->decoder);
  float *gradient = arena_calloc(t->exec.arena, count, sizeof *gradient);
  if (!gradient)
    return no_memory(b);
  enum vqct_status status = chain_last_weight_gradient(&t->network->decoder, b->decoder, dy,
                                                       gradient, &t->stoppable, b->error);
  if (status == VQCT_OK) {
    if (t->reduction)
      t->reduction->sum_float(t->reduction->context, gradient, count);
    *norm = block_norm(gradient, count, &t->exec);
  }
  arena_release(t->exec.arena, mark);
  return status;
}

/* The weight of the adversarial gradient dy: as set, times that with which both losses pull equally
 * at the last layer unless the settings leave it out. */
static enum vqct_status adversarial_weight(const struct micro_batch *b, const float *dy,
                                           double *weight) {
  const struct trainer *t = b->t;
  double reconstruction_norm = 0, adversarial_norm = 0;
  *weight = t->settings.adversary.weight;
  if (!t->settings.adversary.adaptive)
    return VQCT_OK;
  enum vqct_status status = last_weight_norm(b, b->dy, &reconstruction_norm);
  if (status != VQCT_OK)
    return status;
  status = last_weight_norm(b, dy, &adversarial_norm);
  if (status != VQCT_OK)
    return status;
  /* Both norms carry this part's scale, which the small constant must not be measured against. */
  double unit = (double)b->scale * (t->reduction ? t->reduction->ranks : 1);
  double ratio = reconstruction_norm / (adversarial_norm + ADAPTIVE_EPSILON * unit);
  *weight *= fmin(fmax(ratio, 0), ADAPTIVE_LIMIT);
  return VQCT_OK;
}

static double mean_logit(const struct trainer *t, const struct discriminator_pass *pass) {
  double sum = 0;
  for (size_t i = 0; i < pass->logits; i++)
    sum += (double)pass->logit[i];
  sum /= (double)pass->logits;
  if (t->reduction) {
    t->reduction->sum(t->reduction->context, &sum, 1);
    sum /= t->reduction->ranks;
  }
  return sum;
}

/* Shows the discriminator one side's pictures. What it takes from the arena stays there. */
static enum vqct_status show(const struct micro_batch *b, enum side side,
                             const struct activation *pictures, struct shown *shown) {
  const struct trainer *t = b->t;
  const float *x = pictures->data;
  shown->augmentation = (struct augmentation){t->settings.seed, SIDES * b->number + side};
  if (t->settings.adversary.augment) {
    float *augmented = take(b, size_of(pictures));
    if (!augmented)
      return no_memory(b);
    augment_pictures(&shown->augmentation, pictures, augmented, &t->exec);
    x = augmented;
  }
  enum vqct_status status =
      discriminator_forward(t->discriminator, x, pictures->images, pictures->height,
                            pictures->width, t->reduction, &shown->pass, &t->stoppable, b->error);
  if (status == VQCT_OK)
    shown->mean = mean_logit(t, &shown->pass);
  return status;
}

/* From dlogit to the gradient dy of the pictures made. What it takes from the arena stays there. */
static enum vqct_status made_gradient(const struct micro_batch *b, const struct shown *made,
                                      const float *dlogit, float *dy) {
  const struct trainer *t = b->t;
  bool augmented = t->settings.adversary.augment;
  float *dshown = augmented ? take(b, size_of(&b->y)) : dy;
  if (!dshown)
    return no_memory(b);
  enum vqct_status status = discriminator_backward(t->discriminator, &made->pass, dlogit, NULL,
                                                   dshown, t->reduction, &t->stoppable, b->error);
  if (status == VQCT_OK && augmented)
    augment_gradient(&made->augmentation, &b->y, dshown, dy, &t->exec);
  return status;
}

/* Adds the adversarial loss, weighted, to dy. What it takes from the arena stays there. */
static enum vqct_status deceive(const struct micro_batch *b, const struct shown *made,
                                float *dlogit) {
  double weight = 0,
         loss = loss_hinge(HINGE_GENERATOR, made->pass.logit, made->pass.logits, b->scale, dlogit);
  float *dy = take(b, size_of(&b->y));
  if (!dy)
    return no_memory(b);
  enum vqct_status status = made_gradient(b, made, dlogit, dy);
  if (status != VQCT_OK)
    return status;
  status = adversarial_weight(b, dy, &weight);
  if (status != VQCT_OK)
    return status;
  for (size_t i = 0; i < size_of(&b->y); i++)
    b->dy[i] += (float)weight * dy[i];
  b->losses->generator += loss * (double)b->scale;
  b->losses->adaptive_weight += weight * (double)b->scale;
  return check_finite(b, weight * loss, "the adversarial loss");
}

/* Half of the discriminator's own loss, on one side's pictures; other: the other side's average
 * logit. */
static enum vqct_status learn(const struct micro_batch *b, enum hinge hinge,
                              const struct shown *shown, double other, float *dlogit,
                              double *loss) {
  struct trainer *t = b->t;
  const struct discriminator_pass *pass = &shown->pass;
  double lecam = t->settings.adversary.lecam_weight;
  *loss += 0.5 * loss_hinge(hinge, pass->logit, pass->logits, 0.5F * b->scale, dlogit);
  if (lecam > 0)
    *loss += lecam *
             loss_lecam(hinge, pass->logit, pass->logits, other, (float)lecam * b->scale, dlogit);
  return discriminator_backward(t->discriminator, pass, dlogit, t->judge.gradients, NULL,
                                t->reduction, &t->stoppable, b->error);
}

/* What the sides' logits have been on average, this batch among them. */
static void average_logits(struct trainer *t, const struct shown sides[SIDES]) {
  double *average[SIDES] = {&t->judging.real, &t->judging.made};
  double age = (double)t->judging.batches++;
  double decay = fmin(AVERAGE_DECAY, age / (10 + age)); /* early ones are soon forgotten */
  for (int side = 0; side < SIDES; side++)
    *average[side] = decay * *average[side] + (1 - decay) * sides[side].mean;
}

/* The discriminator learns, unless it is too far ahead. */
static enum vqct_status judge(const struct micro_batch *b, const struct shown sides[SIDES],
                              float *dlogit) {
  struct trainer *t = b->t;
  double loss = 0, gap = sides[REAL].mean - sides[MADE].mean, most = t->settings.adversary.gap;
  average_logits(t, sides);
  b->losses->logit_gap += gap * (double)b->scale;
  if (most > 0 && gap > most)
    return VQCT_OK;
  enum vqct_status status = learn(b, HINGE_MADE, &sides[MADE], t->judging.real, dlogit, &loss);
  if (status == VQCT_OK)
    status = learn(b, HINGE_REAL, &sides[REAL], t->judging.made, dlogit, &loss);
  if (status != VQCT_OK)
    return status;
  b->losses->discriminator += loss * (double)b->scale;
  return check_finite(b, loss, "the discriminator's loss");
}

enum vqct_status adversary(struct micro_batch *b) {
  struct trainer *t = b->t;
  struct shown sides[SIDES];
  struct arena_mark begin = arena_mark(t->exec.arena);
  enum vqct_status status = show(b, MADE, &b->y, &sides[MADE]);
  if (status != VQCT_OK)
    goto done;
  float *dlogit = take(b, sides[MADE].pass.logits);
  if (!dlogit) {
    status = no_memory(b);
    goto done;
  }
  struct arena_mark shown = arena_mark(t->exec.arena);
  status = deceive(b, &sides[MADE], dlogit);
  arena_release(t->exec.arena, shown);
  if (status == VQCT_OK)
    status = show(b, REAL, &b->x, &sides[REAL]);
  if (status == VQCT_OK)
    status = judge(b, sides, dlogit);
done:
  arena_release(t->exec.arena, begin);
  return status;
}
