/* A model is put together in the order in which its parts are needed, and nobody writes to it once
 * it is open. The network packs its weights in layouts of its own, so the file's are let go of as
 * soon as it has them.
 */
#include "model.h"

#include <stdlib.h>

#include "error.h"
#include "weights.h"

#define NOMINAL_SIDE 256 /* pixels of the picture that info's operations are counted for */

static enum vqct_status build_network(struct vqct_model *model, struct vqct_error *error) {
  struct weights weights;
  enum vqct_status status = weights_init(&weights, &model->file, error);
  if (status != VQCT_OK)
    return status;
  struct parameter_source source = weights_source(&weights);
  status =
      network_new(&model->file.config, &model->file.parameters, &source, &model->network, error);
  weights_free(&weights);
  return status;
}

static uint32_t describe_planes(const struct model_config *config, struct vqct_plane *plane) {
  uint32_t adjectives = (uint32_t)config->adjectives, nouns = (uint32_t)config->nouns;
  uint32_t count = 0;
  if (config->quantizer == QUANTIZER_PLAIN) {
    plane[count++] = (struct vqct_plane){"code", 0, nouns};
    return count;
  }
  plane[count++] = (struct vqct_plane){"adjective", 0, adjectives};
  if (config->adjective_k == 2)
    plane[count++] = (struct vqct_plane){"adjective-2", 0, adjectives};
  plane[count++] = (struct vqct_plane){"noun", adjectives, nouns};
  return count;
}

static void describe(struct vqct_model *model) {
  const struct model_config *config = &model->file.config;
  int factor = model_config_downsampling(config);
  /* Whole tokens that cover the nominal picture, for factors that do not divide it. */
  int grid = (NOMINAL_SIDE + factor - 1) / factor;
  model->info = (struct vqct_model_info){
      .name = config->name,
      .architecture = model->architecture,
      .checksum = model->file.checksum,
      .downsampling = (uint32_t)factor,
      .channels = (uint32_t)config->image_channels,
      .planes = describe_planes(config, model->plane),
      .plane = model->plane,
      .codes = (uint32_t)model_config_codes(config),
      .code_dimension = (uint32_t)config->code_dimension,
      .parameters = model->file.parameters.total,
      .encode_flops = chain_flops(&model->network->encoder, grid * factor, grid * factor),
      .decode_flops = chain_flops(&model->network->decoder, grid, grid),
      .vector_dimension = (uint32_t)model_config_code_channels(&model->file.config)};
}

static enum vqct_status read_model(struct vqct_model *model, const char *path,
                                   struct vqct_error *error) {
  enum vqct_status status = model_file_open(path, &model->file, error);
  if (status != VQCT_OK)
    return status;
  status = build_network(model, error);
  if (status != VQCT_OK)
    return status;
  status = model_file_detach(&model->file, error);
  if (status != VQCT_OK)
    return status;
  status = quantizer_init(&model->quantizer, &model->file.config, model->file.codebook, error);
  if (status != VQCT_OK)
    return status;
  model->architecture = model_config_json(&model->file.config);
  if (!model->architecture)
    return error_set(error, VQCT_MEMORY, "no memory for a model");
  describe(model);
  return VQCT_OK;
}

enum vqct_status vqct_model_open(const char *path, struct vqct_model **result,
                                 struct vqct_error *error) {
  *result = NULL;
  struct vqct_model *model = calloc(1, sizeof *model);
  if (!model)
    return error_set(error, VQCT_MEMORY, "no memory for a model");
  enum vqct_status status = read_model(model, path, error);
  if (status != VQCT_OK) {
    vqct_model_close(model);
    return status;
  }
  *result = model;
  return VQCT_OK;
}

void vqct_model_close(struct vqct_model *model) {
  if (!model)
    return;
  free(model->architecture);
  quantizer_free(&model->quantizer);
  network_free(model->network);
  model_file_close(&model->file);
  free(model);
}

const struct vqct_model_info *vqct_model_info(const struct vqct_model *model) {
  return &model->info;
}
