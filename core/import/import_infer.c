/* Sizes are read off shapes under the model's own names, as import_names.h has brought them there.
 * What shapes cannot tell is never guessed: it comes from the family, from what stands beside the
 * file, or from the request, and where these disagree or are silent the error says what to give.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "import.h"
#include "import_gumbel.h"

#define DEFAULT_GROUPS 32 /* of every family's GroupNorm */
#define BLOCKS_MAX     17 /* one more than a configuration may have */

/* The entry of a formatted name, NULL if there is none. */
__attribute__((format(printf, 2, 3))) static const struct import_entry *
find(const struct import_entries *entries, const char *format, ...) {
  char name[IMPORT_NAME_MAX];
  va_list args;
  va_start(args, format);
  vsnprintf(name, sizeof name, format, args);
  va_end(args);
  return import_entry_find(entries, name);
}

/* A size of a tensor's shape; 0 where there is no such tensor or dimension, or it is absurd. A
 * configuration's check refuses the 0. */
static int size_of(const struct import_entry *entry, int dimension) {
  if (!entry || dimension >= entry->tensor->dims || entry->tensor->shape[dimension] > 1 << 24)
    return 0;
  return (int)entry->tensor->shape[dimension];
}

/* How many of FORMAT with 0, 1, 2 ... there are. */
static int count_numbered(const struct import_entries *entries, const char *side, int level) {
  int count = 0;
  while (count < BLOCKS_MAX && find(entries, "%s.%d.block.%d.conv2.weight", side, level, count))
    count++;
  return count;
}

static enum vqct_status infer_levels(const struct import_request *request,
                                     const struct import_entries *entries,
                                     struct model_config *config, struct vqct_error *error) {
  for (int level = 0; level <= MODEL_LEVELS_MAX; level++) {
    const struct import_entry *conv = find(entries, "encoder.down.%d.block.0.conv2.weight", level);
    if (!conv)
      break;
    int channels = size_of(conv, 0);
    if (level == MODEL_LEVELS_MAX)
      return error_set(error, VQCT_MODEL, "%s: more than %d levels", request->path,
                       MODEL_LEVELS_MAX);
    if (config->channels < 1 || channels % config->channels)
      return error_set(error, VQCT_MODEL,
                       "%s: tensor \"%s\": %d channels are no multiple of the %d of "
                       "encoder.conv_in; give a configuration",
                       request->path, conv->tensor->name, channels, config->channels);
    config->multipliers[level] = channels / config->channels;
    config->attention[level] = find(entries, "encoder.down.%d.attn.0.q.weight", level) != NULL;
    config->levels = level + 1;
  }
  return VQCT_OK;
}

/* What the levels have each for itself, where they differ in what is one for all. */
static void infer_level_lists(const struct import_entries *entries, struct model_config *config) {
  struct model_config own = *config;
  bool blocks[2] = {false, false}, channels = false;
  for (int level = 0; level < config->levels; level++) {
    const struct import_entry *conv = find(entries, "decoder.up.%d.block.0.conv2.weight", level);
    own.encoder_level_blocks[level] = count_numbered(entries, "encoder.down", level);
    own.decoder_level_blocks[level] = count_numbered(entries, "decoder.up", level);
    own.decoder_multipliers[level] = size_of(conv, 0) / config->channels;
    blocks[0] = blocks[0] || own.encoder_level_blocks[level] != config->encoder_blocks;
    blocks[1] = blocks[1] || own.decoder_level_blocks[level] != config->decoder_blocks;
    channels = channels || own.decoder_multipliers[level] != config->multipliers[level];
  }
  if (blocks[0])
    memcpy(config->encoder_level_blocks, own.encoder_level_blocks, sizeof own.encoder_level_blocks);
  if (blocks[1])
    memcpy(config->decoder_level_blocks, own.decoder_level_blocks, sizeof own.decoder_level_blocks);
  if (channels)
    memcpy(config->decoder_multipliers, own.decoder_multipliers, sizeof own.decoder_multipliers);
}

/* Taming's names alone do not tell how codes are chosen: IBQ has the very same. */
enum vqct_status import_infer_distance(const struct import_request *request,
                                       const struct import_entries *entries,
                                       struct model_config *config, struct vqct_error *error) {
  enum import_family family = entries->family;
  bool taming = family == IMPORT_TAMING;
  bool dot = family == IMPORT_GUMBEL || family == IMPORT_SHOWO || (taming && entries->dot);
  bool untold = taming && !entries->euclidean && !entries->dot;
  enum import_distance asked = request->distance;
  if (config->distance == DISTANCE_DOT) { /* only a given configuration says so here */
    if (asked == IMPORT_EUCLIDEAN)
      return error_set(error, VQCT_INVALID,
                       "%s: --distance is euclidean, but the configuration's is dot",
                       request->path);
    asked = IMPORT_DOT;
  }
  if (untold && asked == IMPORT_UNTOLD)
    return error_set(error, VQCT_MODEL,
                     "%s: nothing in it tells how codes are chosen: give --distance euclidean "
                     "(taming VQGAN, the nearest code) or --distance dot (IBQ, the greatest dot "
                     "product)",
                     request->path);
  if (!untold && asked != IMPORT_UNTOLD && (asked == IMPORT_DOT) != dot)
    return error_set(error, VQCT_INVALID, "%s: it is %s, whose codes are chosen by %s",
                     request->path, import_family_name(family),
                     dot ? "the dot product" : "distance");
  config->distance = dot || asked == IMPORT_DOT ? DISTANCE_DOT : DISTANCE_EUCLIDEAN;
  return VQCT_OK;
}

static enum vqct_status infer_quantizer(const struct import_request *request,
                                        const struct import_entries *entries,
                                        struct model_config *config, struct vqct_error *error) {
  const struct import_entry *codes =
      import_entry_find(entries, import_codebook_name(entries->family));
  int code_channels = size_of(find(entries, "quant_conv.weight"), 0);
  if (entries->family == IMPORT_VQCT) {
    config->quantizer = QUANTIZER_VQCT;
    config->code_dimension = code_channels / 2;
    config->adjective_k = request->adjective_k;
    config->adjectives = request->prior ? (int)request->prior->adjectives : 0;
    config->nouns = request->prior ? (int)request->prior->nouns : 0;
    return import_infer_distance(request, entries, config, error);
  }
  if (!codes)
    return error_set(error, VQCT_MODEL, "%s: %s%s is missing; taken as %s", request->path,
                     entries->prefix, import_codebook_name(entries->family),
                     import_family_name(entries->family));
  config->quantizer = QUANTIZER_PLAIN;
  config->code_dimension = entries->family == IMPORT_GUMBEL
                               ? import_gumbel_dimension(code_channels, size_of(codes, 1))
                               : code_channels;
  config->adjective_k = 1;
  config->nouns = size_of(codes, 0);
  config->l2_normalize = entries->family == IMPORT_LLAMAGEN || entries->family == IMPORT_JANUS;
  return import_infer_distance(request, entries, config, error);
}

/* What the sizes are read from must be there. */
static enum vqct_status check_present(const struct import_request *request,
                                      const struct import_entries *entries,
                                      struct vqct_error *error) {
  static const char *const first[] = {"encoder.conv_in.weight",
                                      "encoder.down.0.block.0.conv2.weight",
                                      "encoder.conv_out.weight", "quant_conv.weight"};
  for (size_t i = 0; i < sizeof first / sizeof *first; i++)
    if (!import_entry_find(entries, first[i]))
      return error_set(error, VQCT_MODEL, "%s: %s%s is missing; taken as %s", request->path,
                       entries->prefix, first[i], import_family_name(entries->family));
  if (entries->decoder && !import_entry_find(entries, "decoder.up.0.block.0.conv2.weight"))
    return error_set(error, VQCT_MODEL,
                     "%s: %sdecoder.up.0.block.0.conv2.weight is missing; taken as %s",
                     request->path, entries->prefix, import_family_name(entries->family));
  for (size_t i = 0; i < entries->count; i++)
    if (strncmp(entries->entry[i].name, "quantize.", 9) == 0)
      return VQCT_OK;
  return error_set(error, VQCT_MODEL,
                   "%s: not a discrete tokenizer: no tensor begins with %squantize., as of a "
                   "variational autoencoder, whose codes are no tokens",
                   request->path, entries->prefix);
}

enum vqct_status import_infer(const struct import_request *request,
                              const struct import_entries *entries, struct model_config *config,
                              struct vqct_error *error) {
  *config = (struct model_config){.groups = entries->groups ? entries->groups : DEFAULT_GROUPS};
  snprintf(config->name, sizeof config->name, "%s", request->name);
  const struct import_entry *conv_in = find(entries, "encoder.conv_in.weight");
  config->channels = size_of(conv_in, 0);
  config->image_channels = size_of(conv_in, 1);
  config->encoder_blocks = count_numbered(entries, "encoder.down", 0);
  config->decoder_blocks = entries->decoder ? count_numbered(entries, "decoder.up", 0) : 0;
  config->middle_attention = find(entries, "encoder.mid.attn_1.q.weight") != NULL;
  config->spatial_norm = entries->spatial_norm;
  config->z_channels = size_of(find(entries, "encoder.conv_out.weight"), 0);
  enum vqct_status status = check_present(request, entries, error);
  if (status)
    return status;
  status = infer_levels(request, entries, config, error);
  if (status)
    return status;
  if (entries->family == IMPORT_SHOWO && config->channels > 0)
    infer_level_lists(entries, config);
  status = infer_quantizer(request, entries, config, error);
  if (status)
    return status;
  status = model_config_check(config, error);
  return status ? error_prefix(error, "%s: its shapes give no possible architecture", request->path)
                : VQCT_OK;
}
