/* What a processor computes, in few words: the tokens and the bits of networks whose weights and
 * pictures come from a seed, so that nothing but arithmetic is needed. test_same_bits.py compiles
 * this for several processors, and all must print the same.
 *
 *   same_bits   prints for each case: name, tokens, hash of encodings, hash of pixels */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "network.h"
#include "network_parameters.h"
#include "presets.h"
#include "quantizer.h"
#include "rng.h"

#define SIDE 64 /* pixels */

static void insist(bool condition, const char *what) {
  if (condition)
    return;
  fprintf(stderr, "same_bits: %s\n", what);
  exit(1);
}

/* FNV-1a. */
static uint64_t hash(const void *data, size_t bytes) {
  const unsigned char *byte = data;
  uint64_t value = 14695981039346656037U;
  for (size_t i = 0; i < bytes; i++)
    value = (value ^ byte[i]) * 1099511628211U;
  return value;
}

static float *uniform(uint64_t seed, size_t count) {
  struct rng rng;
  float *numbers = malloc(count * sizeof *numbers);
  insist(numbers, "no memory");
  rng_seed(&rng, seed, 0);
  for (size_t i = 0; i < count; i++)
    numbers[i] = 2 * rng_uniform(&rng) - 1;
  return numbers;
}

struct values {
  const struct parameter_list *list;
  const float *block;
};

static enum vqct_status get_values(void *context, int index, const float **values,
                                   struct vqct_error *error) {
  (void)error;
  const struct values *v = context;
  *values = v->block + v->list->parameter[index].offset;
  return VQCT_OK;
}

static void run(const struct model_config *config, const struct network *network,
                const struct exec *exec) {
  float *pixels = uniform(2, (size_t)(SIDE * SIDE * config->image_channels));
  float *codes = uniform(3, (size_t)(model_config_codes(config) * config->code_dimension));
  struct quantizer quantizer = {0};
  struct activation x = {.data = pixels,
                         .images = 1,
                         .height = SIDE,
                         .width = SIDE,
                         .channels = config->image_channels};
  struct activation z, y;
  insist(quantizer_init(&quantizer, config, codes, NULL) == VQCT_OK, "no quantizer");
  insist(chain_forward(&network->encoder, &x, &z, NULL, exec, NULL) == VQCT_OK, "no encoding");
  size_t positions = (size_t)(z.height * z.width);
  uint32_t *tokens = calloc(positions * quantizer.planes, sizeof *tokens);
  insist(tokens, "no memory");
  insist(quantizer_encode(&quantizer, z.data, positions, tokens, exec, NULL) == VQCT_OK,
         "no tokens");
  insist(chain_forward(&network->decoder, &z, &y, NULL, exec, NULL) == VQCT_OK, "no picture");
  printf("%s", config->name);
  for (size_t i = 0; i < positions * quantizer.planes; i++)
    printf(" %" PRIu32, tokens[i]);
  printf(" encoding %016" PRIx64, hash(z.data, activation_image_size(&z) * sizeof *z.data));
  printf(" picture %016" PRIx64 "\n", hash(y.data, activation_image_size(&y) * sizeof *y.data));
  quantizer_free(&quantizer);
  free(tokens);
  free(codes);
  free(pixels);
}

static void run_preset(const char *name) {
  const struct model_preset *preset = model_preset_find(name);
  insist(preset, name);
  struct parameter_list list = {0};
  insist(network_parameters(&preset->config, &list, NULL) == VQCT_OK, "no list");
  float *block = malloc(list.total * sizeof *block);
  insist(block, "no memory");
  parameters_initialize(&list, 1, block);
  struct values values = {&list, block};
  struct parameter_source source = {.get = get_values, .context = &values};
  struct network *network;
  insist(network_new(&preset->config, &list, &source, &network, NULL) == VQCT_OK, "no network");
  struct arena arena;
  arena_init(&arena, 0);
  run(&preset->config, network, &(struct exec){.arena = &arena});
  arena_free(&arena);
  network_free(network);
  parameter_list_free(&list);
  free(block);
}

int main(void) {
  run_preset("vqct-tiny");
  run_preset("vqct-f8-small");
  run_preset("vqct-small");
  run_preset("vqct-small-f16");
  return 0;
}
