/* What a trainer consists of. The generator (the network, then the weights of the codes' transfer)
 * is one flat block with one optimizer, the discriminator another. The network computes with packed
 * copies of its part, so these must be made anew whenever values change: trainer_pack after a step,
 * trainer_load to look through the averaged weights. */
#include "trainer.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"

/* A flat block and what lies where in it. */
struct flat {
  const struct parameter_list *list;
  const float *values;
};

/* Streams of the seed that first values come from. */
enum { SEED_NETWORK = 1, SEED_TRANSFER, SEED_DISCRIMINATOR };

static enum vqct_status get_values(void *context, int index, const float **values,
                                   struct vqct_error *error) {
  (void)error;
  const struct flat *source = context;
  *values = source->values + source->list->parameter[index].offset;
  return VQCT_OK;
}

static struct parameter_source source_of(struct flat *block) {
  return (struct parameter_source){.get = get_values, .context = block, .precise = true};
}

/* ---- making ---------------------------------------------------------------------------------- */

static enum vqct_status new_transfer(struct trainer *t, const struct prior *prior,
                                     struct vqct_error *error) {
  const struct transfer_config config = {
      .kind = t->settings.codes,
      .codes = t->codes,
      .code_dimension = (size_t)t->config.code_dimension,
      .standardize = t->settings.standardize,
      .dropout = (float)t->settings.dropout,
      .seed = t->settings.seed,
  };
  return transfer_new(&config, prior, &t->exec, &t->transfer, error);
}

static enum vqct_status new_blocks(struct trainer *t, struct vqct_error *error) {
  size_t count = t->codes * (size_t)t->config.code_dimension;
  t->codebook = calloc(count, sizeof *t->codebook);
  t->dcodes = calloc(count, sizeof *t->dcodes);
  t->counts = calloc(t->codes, sizeof *t->counts);
  t->ema = (struct ema_codebook){
      t->settings.ema, t->codes, (size_t)t->config.code_dimension, NULL, NULL, t->codebook};
  bool whole = t->codebook && t->dcodes && t->counts;
  if (whole && !t->transfer) {
    t->ema.count = calloc(t->codes, sizeof *t->ema.count);
    t->ema.sum = calloc(count, sizeof *t->ema.sum);
    whole = t->ema.count && t->ema.sum;
  }
  return whole ? VQCT_OK : error_set(error, VQCT_MEMORY, "no memory for %zu codes", t->codes);
}

/* Moving averages start from the random codes that VQGAN starts from. */
static enum vqct_status start_ema(struct trainer *t, struct vqct_error *error) {
  const struct transfer_config config = {.kind = VQCT_CODES_FREE,
                                         .codes = t->codes,
                                         .code_dimension = (size_t)t->config.code_dimension};
  struct transfer *random;
  enum vqct_status status = transfer_new(&config, NULL, &t->exec, &random, error);
  if (status != VQCT_OK)
    return status;
  parameters_initialize(transfer_parameters(random), t->settings.seed + SEED_TRANSFER, t->codebook);
  transfer_free(random);
  ema_codebook_start(&t->ema);
  return VQCT_OK;
}

/* First values of all that the generator's block and the codes hold. */
static enum vqct_status start_generator(struct trainer *t, struct vqct_error *error) {
  float *block = t->generator.parameters;
  parameters_initialize(&t->list, t->settings.seed + SEED_NETWORK, block);
  if (t->transfer)
    parameters_initialize(transfer_parameters(t->transfer), t->settings.seed + SEED_TRANSFER,
                          block + t->list.total);
  enum vqct_status status = t->transfer ? VQCT_OK : start_ema(t, error);
  optimizer_start_average(&t->generator);
  return status;
}

static enum vqct_status new_generator(struct trainer *t, const struct prior *prior,
                                      struct vqct_error *error) {
  bool ema = t->settings.codes == VQCT_CODES_EMA;
  enum vqct_status status = network_parameters(&t->config, &t->list, error);
  if (status != VQCT_OK || (!ema && (status = new_transfer(t, prior, error)) != VQCT_OK))
    return status;
  status = new_blocks(t, error);
  if (status != VQCT_OK)
    return status;
  size_t transferred = ema ? 0 : transfer_parameters(t->transfer)->total;
  status = optimizer_init(&t->generator, &t->settings.generator_optimizer,
                          t->list.total + transferred, error);
  if (status != VQCT_OK || (status = start_generator(t, error)) != VQCT_OK)
    return status;
  struct flat values = {&t->list, t->generator.parameters};
  struct parameter_source source = source_of(&values);
  status = network_new(&t->config, &t->list, &source, &t->network, error);
  if (status != VQCT_OK)
    return status;
  return quantizer_init(&t->quantizer, &t->config, t->codebook, error);
}

static enum vqct_status new_judge(struct trainer *t, struct vqct_error *error) {
  enum vqct_status status = discriminator_new(&t->settings.discriminator, &t->discriminator, error);
  if (status != VQCT_OK)
    return status;
  status = optimizer_init(&t->judge, &t->settings.discriminator_optimizer,
                          discriminator_parameters(t->discriminator)->total, error);
  if (status != VQCT_OK)
    return status;
  parameters_initialize(discriminator_parameters(t->discriminator),
                        t->settings.seed + SEED_DISCRIMINATOR, t->judge.parameters);
  return discriminator_load(t->discriminator, t->judge.parameters, t->exec.pool, error);
}

enum vqct_status trainer_new(const struct model_config *config,
                             const struct trainer_settings *settings, const struct prior *prior,
                             const struct perceptual *perceptual, const struct reduction *reduction,
                             struct pool *pool, struct trainer **result, struct vqct_error *error) {
  *result = NULL;
  enum vqct_status status = model_config_check(config, error);
  if (status != VQCT_OK)
    return status;
  if (config->l2_normalize)
    return error_set(error, VQCT_INVALID, "training codes of length 1 is not supported");
  if (perceptual && config->image_channels != 3)
    return error_set(error, VQCT_INVALID, "LPIPS needs pictures of three channels, not of %d",
                     config->image_channels);
  struct trainer *t = calloc(1, sizeof *t);
  if (!t)
    return error_set(error, VQCT_MEMORY, "no memory for a trainer");
  arena_init(&t->arena, 0);
  t->exec = t->stoppable = (struct exec){.pool = pool, .arena = &t->arena};
  t->config = *config;
  t->settings = *settings;
  t->settings.discriminator.image_channels = config->image_channels;
  t->perceptual = settings->perceptual_weight > 0 ? perceptual : NULL;
  t->reduction = reduction;
  t->codes = (size_t)model_config_codes(config);
  status = new_generator(t, prior, error);
  if (status != VQCT_OK)
    goto failed;
  if (settings->adversary.start != UINT64_MAX && (status = new_judge(t, error)) != VQCT_OK)
    goto failed;
  *result = t;
  return VQCT_OK;
failed:
  trainer_free(t);
  return status;
}

void trainer_free(struct trainer *t) {
  if (!t)
    return;
  network_free(t->network);
  transfer_free(t->transfer);
  optimizer_free(&t->generator);
  discriminator_free(t->discriminator);
  optimizer_free(&t->judge);
  quantizer_free(&t->quantizer);
  parameter_list_free(&t->list);
  free(t->ema.count);
  free(t->ema.sum);
  free(t->codebook);
  free(t->dcodes);
  free(t->counts);
  arena_free(&t->arena);
  free(t);
}

/* ---- weights --------------------------------------------------------------------------------- */

const float *trainer_weights(const struct trainer *t, bool average) {
  return average && t->generator.average ? t->generator.average : t->generator.parameters;
}

enum vqct_status trainer_load(struct trainer *t, bool average, struct vqct_error *error) {
  const float *block = trainer_weights(t, average);
  struct flat values = {&t->list, block};
  struct parameter_source source = source_of(&values);
  enum vqct_status status = network_load(t->network, &source, t->exec.pool, error);
  if (status != VQCT_OK)
    return status;
  if (t->transfer && transfer_forward(t->transfer, block + t->list.total, false, t->step,
                                      t->codebook, &t->exec) != VQCT_OK)
    return error_set(error, VQCT_MEMORY, "no memory for the codebook");
  quantizer_load(&t->quantizer, t->codebook);
  return VQCT_OK;
}

enum vqct_status trainer_pack(struct trainer *t, struct vqct_error *error) {
  struct flat values = {&t->list, t->generator.parameters};
  struct parameter_source source = source_of(&values);
  enum vqct_status status = network_load(t->network, &source, t->exec.pool, error);
  if (status != VQCT_OK || !t->discriminator)
    return status;
  return discriminator_load(t->discriminator, t->judge.parameters, t->exec.pool, error);
}

void trainer_clear_counts(struct trainer *t) {
  memset(t->counts, 0, t->codes * sizeof *t->counts);
  t->counted = 0;
}

/* The vectors of x, replaced by the values of their tokens; z lies in the arena. */
static enum vqct_status choose_codes(struct trainer *t, const struct activation *x,
                                     struct activation *z, uint32_t *tokens,
                                     struct vqct_error *error) {
  enum vqct_status status = chain_forward(&t->network->encoder, x, z, NULL, &t->stoppable, error);
  if (status != VQCT_OK)
    return status;
  size_t positions = (size_t)(z->images * z->height * z->width);
  uint32_t *chosen = arena_alloc(&t->arena, t->quantizer.planes * positions * sizeof *chosen);
  if (!chosen)
    return error_set(error, VQCT_MEMORY, "no memory for %zu tokens", positions);
  status = quantizer_encode(&t->quantizer, z->data, positions, chosen, &t->exec, error);
  if (status != VQCT_OK)
    return status;
  if (tokens)
    memcpy(tokens, chosen, t->quantizer.planes * positions * sizeof *tokens);
  return quantizer_decode(&t->quantizer, chosen, positions, z->data, error);
}

enum vqct_status trainer_reconstruct(struct trainer *t, float *x, int images, int height, int width,
                                     float *y, uint32_t *tokens, struct vqct_error *error) {
  struct arena_mark mark = arena_mark(&t->arena);
  const struct activation in = {.data = x,
                                .images = images,
                                .height = height,
                                .width = width,
                                .channels = t->config.image_channels};
  struct activation z, out = {0};
  enum vqct_status status = choose_codes(t, &in, &z, tokens, error);
  if (status != VQCT_OK || !y)
    goto done;
  status = chain_forward(&t->network->decoder, &z, &out, NULL, &t->stoppable, error);
  if (status == VQCT_OK)
    memcpy(y, out.data, (size_t)images * activation_image_size(&out) * sizeof *y);
done:
  arena_release(&t->arena, mark);
  return status;
}
