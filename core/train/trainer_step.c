/* A step of training, in the order of its data:
 *
 *   transfer -> codebook                                  (once a step)
 *   x -> encoder -> z -> quantizer -> zq -> estimator -> decoder -> y  (tapes kept)
 *   losses of y -> dy -> decoder -> estimator -> + codebook loss, coverage, anchors -> dz ->
 * encoder discriminator judges x and y and learns from both dcodes -> transfer (once a step)
 *
 * The discriminator sees the same y as the generator's loss; the released code runs the generator
 * once more for it, with weights that have moved in between.
 */
#include <string.h>

#include "coverage_loss.h"
#include "detail_loss.h"
#include "micro_batch.h"

/* Whether the discriminator judges in this step. */
static bool is_adversarial(const struct trainer *t) {
  return t->discriminator && t->step >= t->settings.adversary.start;
}

/* ---- forward --------------------------------------------------------------------------------- */

static void count_tokens(struct trainer *t, const uint32_t *tokens, size_t positions) {
  for (size_t i = 0; i < t->quantizer.planes * positions; i++)
    t->counts[tokens[i]]++;
  t->counted += positions;
}

static struct quantized quantized(const struct micro_batch *b) {
  return (struct quantized){&b->t->quantizer, b->z.data, b->zq, b->tokens, b->positions, b->number};
}

/* Tokens of z, their values, and what the decoder reads of them. */
static enum vqct_status choose_codes(struct micro_batch *b) {
  struct trainer *t = b->t;
  b->positions = (size_t)(b->z.images * b->z.height * b->z.width);
  b->read = b->z;
  b->read.data = take(b, size_of(&b->z));
  b->zq = take(b, size_of(&b->z));
  b->tokens = arena_alloc(&t->arena, t->quantizer.planes * b->positions * sizeof *b->tokens);
  if (!b->read.data || !b->zq || !b->tokens)
    return no_memory(b);
  enum vqct_status status =
      quantizer_encode(&t->quantizer, b->z.data, b->positions, b->tokens, &t->exec, b->error);
  if (status != VQCT_OK)
    return error_prefix(b->error, "step %llu, encoder's output", (unsigned long long)t->step);
  status = quantizer_decode(&t->quantizer, b->tokens, b->positions, b->zq, b->error);
  if (status != VQCT_OK)
    return status;
  const struct quantized choice = quantized(b);
  estimator_forward(&t->settings.estimator, &choice, b->read.data, &t->exec);
  count_tokens(t, b->tokens, b->positions);
  return VQCT_OK;
}

static enum vqct_status forward(struct micro_batch *b) {
  struct trainer *t = b->t;
  const struct exec *exec = &t->stoppable;
  const struct chain *encoder = &t->network->encoder, *decoder = &t->network->decoder;
  b->encoder = arena_calloc(exec->arena, (size_t)encoder->blocks, sizeof *b->encoder);
  b->decoder = arena_calloc(exec->arena, (size_t)decoder->blocks, sizeof *b->decoder);
  if (!b->encoder || !b->decoder)
    return no_memory(b);
  enum vqct_status status = chain_forward(encoder, &b->x, &b->z, b->encoder, exec, b->error);
  if (status != VQCT_OK)
    return status;
  status = choose_codes(b);
  if (status != VQCT_OK)
    return status;
  return chain_forward(decoder, &b->read, &b->y, b->decoder, exec, b->error);
}

/* ---- losses of the picture ------------------------------------------------------------------- */

static enum vqct_status keep_detail(const struct micro_batch *b) {
  const struct trainer *t = b->t;
  double loss = 0;
  if (detail_loss(&b->x, &b->y, (float)t->settings.detail_weight * b->scale, &loss, b->dy,
                  &t->exec) != VQCT_OK)
    return no_memory(b);
  b->losses->detail += loss * (double)b->scale;
  return check_finite(b, loss, "the loss of detail");
}

static enum vqct_status reconstruction(struct micro_batch *b) {
  const struct trainer *t = b->t;
  const struct trainer_settings *s = &t->settings;
  double pixel = 0, perceptual = 0;
  enum vqct_status status = loss_pixels(s->pixel, b->x.data, b->y.data, size_of(&b->y),
                                        (float)s->pixel_weight * b->scale, &pixel, b->dy, &t->exec);
  if (status != VQCT_OK)
    return no_memory(b);
  if (t->perceptual) {
    status = perceptual_loss(t->perceptual, b->x.data, b->y.data, b->x.images, b->x.height,
                             b->x.width, (float)s->perceptual_weight * b->scale, &perceptual, b->dy,
                             &t->stoppable, b->error);
    if (status != VQCT_OK)
      return status;
  }
  b->losses->pixel += pixel * (double)b->scale;
  b->losses->perceptual += perceptual * (double)b->scale;
  status = check_finite(b, pixel, "the pixel loss");
  if (status == VQCT_OK)
    status = check_finite(b, perceptual, "the perceptual loss");
  return status == VQCT_OK && s->detail_weight > 0 ? keep_detail(b) : status;
}

/* ---- backward -------------------------------------------------------------------------------- */

static enum vqct_status draw_codes(const struct micro_batch *b, float *dcodes) {
  const struct trainer *t = b->t;
  double loss = 0;
  if (coverage_loss(&t->quantizer, b->z.data, b->positions,
                    (float)t->settings.coverage_weight * b->scale, &loss, dcodes,
                    &t->exec) != VQCT_OK)
    return no_memory(b);
  b->losses->coverage += loss * (double)b->scale;
  return check_finite(b, loss, "the loss of the codes' coverage");
}

static enum vqct_status draw_to_anchors(const struct micro_batch *b, float *dz, float *dcodes) {
  const struct trainer *t = b->t;
  double loss = 0;
  if (anchor_loss(t->anchors, &t->quantizer, t->codebook, &b->x, &b->z,
                  (float)t->settings.anchor_weight * b->scale, &loss, dz, dcodes,
                  &t->exec) != VQCT_OK)
    return no_memory(b);
  b->losses->anchor += loss * (double)b->scale;
  return check_finite(b, loss, "the loss of the anchors");
}

static enum vqct_status backward(const struct micro_batch *b) {
  struct trainer *t = b->t;
  const struct parameter_gradients parameters = {&t->list, t->generator.parameters,
                                                 t->generator.gradients};
  double loss = 0, weight = t->settings.codebook_weight;
  float *dz = take(b, size_of(&b->z));
  if (!dz)
    return no_memory(b);
  enum vqct_status status = chain_backward(&t->network->decoder, b->decoder, &parameters, b->dy, dz,
                                           &t->stoppable, b->error);
  if (status != VQCT_OK)
    return status;
  float *dcodes = t->transfer ? t->dcodes : NULL;
  const struct quantized choice = quantized(b);
  if (estimator_backward(&t->settings.estimator, &choice, dz, dcodes, &t->exec) != VQCT_OK)
    return no_memory(b);
  status = codebook_loss(&t->quantizer, &t->settings.codebook, b->z.data, b->zq, b->tokens,
                         b->positions, (float)weight * b->scale, &loss, dz, dcodes, &t->exec);
  if (status != VQCT_OK)
    return no_memory(b);
  b->losses->codebook += loss * (double)b->scale;
  status = check_finite(b, loss, "the codebook loss");
  if (status == VQCT_OK && t->settings.coverage_weight > 0)
    status = draw_codes(b, dcodes);
  if (status != VQCT_OK || (t->anchors && (status = draw_to_anchors(b, dz, dcodes)) != VQCT_OK))
    return status;
  return chain_backward(&t->network->encoder, b->encoder, &parameters, dz, NULL, &t->stoppable,
                        b->error);
}

/* ---- a step ---------------------------------------------------------------------------------- */

/* The codebook of this step, from the transfer's weights. */
static enum vqct_status begin_step(struct trainer *t, struct vqct_error *error) {
  t->judging = t->judged;
  memset(t->dcodes, 0, t->codes * (size_t)t->config.code_dimension * sizeof *t->dcodes);
  if (t->transfer && transfer_forward(t->transfer, t->generator.parameters + t->list.total, true,
                                      t->step, t->codebook, &t->exec) != VQCT_OK)
    return error_set(error, VQCT_MEMORY, "no memory for the codebook");
  quantizer_load(&t->quantizer, t->codebook);
  return VQCT_OK;
}

/* What a part of a micro-batch came to: once it is to stop its numbers mean nothing. */
static enum vqct_status unless_stopped(const struct micro_batch *b, enum vqct_status status) {
  if (!exec_stopped(&b->t->stoppable))
    return status;
  return error_set(b->error, VQCT_INTERRUPTED, "stopped within step %llu",
                   (unsigned long long)b->t->step);
}

/* One micro-batch there and back; number: of it in the whole run of this process. */
static enum vqct_status pass_through(struct micro_batch *b, uint64_t number) {
  struct trainer *t = b->t;
  b->number =
      t->reduction ? number * (uint64_t)t->reduction->ranks + (uint64_t)t->reduction->rank : number;
  enum vqct_status status = unless_stopped(b, forward(b));
  if (status != VQCT_OK)
    return status;
  if (!(b->dy = arena_calloc(&t->arena, size_of(&b->y), sizeof *b->dy)))
    return no_memory(b);
  status = unless_stopped(b, reconstruction(b));
  if (status != VQCT_OK)
    return status;
  if (is_adversarial(t) && (status = unless_stopped(b, adversary(b))) != VQCT_OK)
    return status;
  status = unless_stopped(b, backward(b));
  if (status != VQCT_OK || t->transfer)
    return status;
  status = ema_codebook_update(&t->ema, &t->quantizer, b->z.data, b->tokens, b->positions, number,
                               t->reduction, &t->exec);
  return status == VQCT_OK ? VQCT_OK : no_memory(b);
}

enum vqct_status trainer_accumulate(struct trainer *t, float *x, int images, int height, int width,
                                    int part, int parts, struct vqct_train_losses *losses,
                                    struct vqct_error *error) {
  struct micro_batch batch = {
      .t = t, .losses = losses, .error = error, .scale = 1.0F / (float)parts};
  int factor = model_config_downsampling(&t->config);
  if (images < 1 || height < factor || width < factor || height % factor || width % factor)
    return error_set(error, VQCT_INVALID,
                     "%d pictures of %d x %d pixels: sides must be multiples "
                     "of %d",
                     images, width, height, factor);
  batch.x = (struct activation){.data = x,
                                .images = images,
                                .height = height,
                                .width = width,
                                .channels = t->config.image_channels};
  if (part == 0) {
    memset(losses, 0, sizeof *losses);
    enum vqct_status status = begin_step(t, error);
    if (status != VQCT_OK)
      return status;
  }
  struct arena_mark mark = arena_mark(&t->arena);
  const struct exec_stop *stop = t->stoppable.stop;
  if (!t->transfer && part > 0) /* the codes have moved: to the end of the step */
    t->stoppable.stop = NULL;
  enum vqct_status status = pass_through(&batch, t->step * (uint64_t)parts + (uint64_t)part);
  t->stoppable.stop = stop;
  arena_release(&t->arena, mark);
  return status;
}

static enum vqct_status wild_gradient(const struct trainer *t, const char *of,
                                      struct vqct_error *error) {
  return error_set(error, VQCT_NOT_FINITE, "step %llu: the gradient of %s is not finite",
                   (unsigned long long)t->step, of);
}

/* Names the first parameter of the generator whose gradient holds NaN or infinity. */
static enum vqct_status name_culprit(const struct trainer *t, struct vqct_error *error) {
  for (size_t i = 0; i < t->list.count; i++) {
    const struct parameter *p = &t->list.parameter[i];
    for (size_t k = p->offset; k < p->offset + p->count; k++)
      if (!isfinite(t->generator.gradients[k]))
        return wild_gradient(t, p->name, error);
  }
  return wild_gradient(t, "the codebook's transfer", error);
}

/* Gradients of this process become the mean over all of them. */
static void reduce(const struct trainer *t, struct optimizer *optimizer) {
  if (!t->reduction)
    return;
  t->reduction->sum_float(t->reduction->context, optimizer->gradients, optimizer->count);
  for (size_t i = 0; i < optimizer->count; i++)
    optimizer->gradients[i] /= (float)t->reduction->ranks;
}

enum vqct_status trainer_update(struct trainer *t, struct vqct_train_losses *losses,
                                struct vqct_error *error) {
  bool adversarial = is_adversarial(t);
  if (t->transfer &&
      transfer_backward(t->transfer, t->generator.parameters + t->list.total, t->dcodes,
                        t->generator.gradients + t->list.total, &t->exec) != VQCT_OK)
    return error_set(error, VQCT_MEMORY, "no memory for the codebook's gradients");
  reduce(t, &t->generator);
  if (adversarial)
    reduce(t, &t->judge);
  /* The discriminator first: should its gradients not be finite, the generator has not moved. */
  if (adversarial && !isfinite(block_norm(t->judge.gradients, t->judge.count, &t->exec)))
    return wild_gradient(t, "the discriminator", error);
  enum vqct_status status = optimizer_step(&t->generator, &losses->gradient_norm, &t->exec, error);
  if (status == VQCT_NOT_FINITE)
    return name_culprit(t, error);
  if (status != VQCT_OK)
    return status;
  t->step++;
  t->judged = t->judging;
  if (adversarial) {
    status = optimizer_step(&t->judge, &losses->discriminator_norm, &t->exec, error);
    if (status != VQCT_OK)
      return status;
  }
  return trainer_pack(t, error);
}
