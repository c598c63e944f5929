/* vqct init: a model of a preset or a configuration, with random weights. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "error.h"
#include "model_file.h"
#include "presets.h"
#include "signals.h"
#include "transfer.h"
#include "weight_types.h"

struct settings {
  const char *preset, *config, *prior, *output, *name;
  int64_t seed;
  int type;
};

static const struct option options[] = {
    {"preset", 'p', OPTION_TEXT, offsetof(struct settings, preset), NULL, 0, 0, NULL, "NAME",
     "architecture: vqct-f16 (the paper's), vqct-small, vqct-small-f16, vqct-f8-small or "
     "vqct-tiny"},
    {"config", 'c', OPTION_TEXT, offsetof(struct settings, config), NULL, 0, 0, NULL, "FILE",
     "architecture as JSON, instead of a preset"},
    {"prior", 0, OPTION_TEXT, offsetof(struct settings, prior), NULL, 0, 0, NULL, "FILE",
     "words and graph that the codebook is computed from, instead of a random one without words"},
    {"name", 'n', OPTION_TEXT, offsetof(struct settings, name), NULL, 0, 0, NULL, "NAME",
     "what the model is called, instead of its architecture's name"},
    {"seed", 's', OPTION_INTEGER, offsetof(struct settings, seed), "0", 0, 0x1p53, NULL, "NUMBER",
     "of the random numbers; the same seed gives the same file"},
    {"type", 't', OPTION_CHOICE, offsetof(struct settings, type), "fp32", 0, 0, WEIGHT_TYPES,
     "TYPE", "of the convolutions' weights in the file"},
    {"output", 'o', OPTION_TEXT, offsetof(struct settings, output), NULL, 0, 0, NULL, "FILE",
     "the model file to write"},
};

static const struct option_table table = {
    .command = "init",
    .operands = "",
    .summary = "Makes a model with random weights, to train or to measure with.",
    .options = options,
    .count = sizeof options / sizeof *options,
};

static enum vqct_status choose_config(const struct settings *settings, const struct prior *prior,
                                      struct model_config *config, struct vqct_error *error) {
  if (!settings->preset == !settings->config)
    return error_set(error, VQCT_INVALID, "give either --preset or --config");
  const struct model_preset *preset = settings->preset ? model_preset_find(settings->preset) : NULL;
  if (settings->preset && !preset)
    return error_set(error, VQCT_INVALID, "there is no preset '%.80s'; see --help",
                     settings->preset);
  if (preset)
    *config = preset->config;
  enum vqct_status status =
      settings->config ? model_config_read(settings->config, config, error) : VQCT_OK;
  if (status != VQCT_OK)
    return status;
  if (prior && config->quantizer != QUANTIZER_VQCT)
    return error_set(error, VQCT_INVALID, "a plain codebook has no prior");
  if (prior) {
    config->adjectives = (int)prior->adjectives;
    config->nouns = (int)prior->nouns;
  }
  if (settings->name &&
      snprintf(config->name, sizeof config->name, "%s", settings->name) >= (int)sizeof config->name)
    return error_set(error, VQCT_INVALID, "the name is longer than %zu characters",
                     sizeof config->name - 1);
  return model_config_check(config, error);
}

/* The codes that an untrained transfer gives. Embeddings differ much in scale, so they are
 * standardised; the trainer decides for itself. */
static enum vqct_status compute_codebook(const struct model_config *config,
                                         const struct prior *prior, uint64_t seed,
                                         const struct exec *exec, float *codebook,
                                         struct vqct_error *error) {
  struct transfer_config transfer_config = {.kind = prior ? VQCT_CODES_GCN : VQCT_CODES_FREE,
                                            .codes = (size_t)model_config_codes(config),
                                            .code_dimension = (size_t)config->code_dimension,
                                            .standardize = prior != NULL,
                                            .seed = seed};
  struct transfer *transfer;
  enum vqct_status status = transfer_new(&transfer_config, prior, exec, &transfer, error);
  if (status != VQCT_OK)
    return status;
  const struct parameter_list *list = transfer_parameters(transfer);
  float *parameters = malloc(list->total * sizeof *parameters);
  if (parameters) {
    parameters_initialize(list, seed, parameters);
    status = transfer_forward(transfer, parameters, false, 0, codebook, exec);
  }
  if (!parameters || status != VQCT_OK)
    status = error_set(error, VQCT_MEMORY, "memory is exhausted computing the codebook");
  free(parameters);
  transfer_free(transfer);
  return status;
}

static enum vqct_status make_model(const struct settings *settings, const struct prior *prior,
                                   const struct exec *exec, struct vqct_error *error) {
  struct model_config config;
  struct parameter_list list;
  enum vqct_status status = choose_config(settings, prior, &config, error);
  if (status != VQCT_OK || (status = network_parameters(&config, &list, error)) != VQCT_OK)
    return status;
  uint64_t seed = (uint64_t)settings->seed;
  float *weights = malloc(list.total * sizeof *weights);
  float *codebook =
      calloc((size_t)model_config_codes(&config), (size_t)config.code_dimension * sizeof *codebook);
  if (!weights || !codebook) {
    status = error_set(error, VQCT_MEMORY, "memory is exhausted making %s", config.name);
    goto done;
  }
  parameters_initialize(&list, seed, weights);
  if ((status = compute_codebook(&config, prior, seed, exec, codebook, error)))
    goto done;
  struct model_content content = {.config = &config,
                                  .weights = weights,
                                  .codebook = codebook,
                                  .words = prior ? prior->word : NULL};
  signals_catch(); /* so that one of them leaves no temporary file behind */
  status = model_file_save(settings->output, &content, weight_type(settings->type), error);
done:
  free(weights);
  free(codebook);
  parameter_list_free(&list);
  return status;
}

static enum vqct_status run_settings(const void *values, const struct options_found *found,
                                     struct arena *arena, struct vqct_error *error) {
  (void)found;
  const struct settings *settings = values;
  struct prior prior = {0};
  if (!settings->output)
    return error_set(error, VQCT_INVALID, "give --output FILE");
  struct exec exec = {.arena = arena};
  enum vqct_status status;
  if (settings->prior && (status = prior_read(settings->prior, &prior, error)) != VQCT_OK)
    return status;
  status = make_model(settings, settings->prior ? &prior : NULL, &exec, error);
  prior_free(&prior);
  return status;
}

static enum vqct_status run(int argc, char **argv, struct vqct_error *error) {
  struct settings settings = {0};
  return command_run(&table, argc, argv, &settings, run_settings, error);
}

const struct command init_command = {"init", "make a model with random weights", run};
