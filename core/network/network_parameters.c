/* The architecture of the taming family, written down once: which weights there are, in the order
 * of the forward pass. network.c builds its chains from this list by the names. */
#include "network_parameters.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "error.h"

/* "PREFIX.LEAF" in a buffer; no configuration gives a longer name than a parameter holds. */
struct part_name {
  char text[64];
};

__attribute__((format(printf, 1, 2))) static struct part_name part_name(const char *format, ...) {
  struct part_name name;
  va_list args;
  va_start(args, format);
  vsnprintf(name.text, sizeof name.text, format, args);
  va_end(args);
  return name;
}

static void add_conv(struct parameter_list *list, const char *part, int in, int out, int kernel) {
  const struct parameter_start start = {
      .kind = PARAMETER_UNIFORM, .spread = (double)(1.0F / sqrtf((float)(in * kernel * kernel)))};
  parameter_list_add(list, part_name("%s.weight", part).text, 4,
                     (const int[]){out, in, kernel, kernel}, start);
  parameter_list_add(list, part_name("%s.bias", part).text, 1, &out, start);
}

static void add_norm(struct parameter_list *list, const char *part, int channels) {
  parameter_list_add(list, part_name("%s.weight", part).text, 1, &channels,
                     (struct parameter_start){.mean = 1});
  parameter_list_add(list, part_name("%s.bias", part).text, 1, &channels,
                     (struct parameter_start){.mean = 0});
}

/* A norm that is spatial where `codes`, the channels of what the decoder is given, is not 0. */
static void add_any_norm(struct parameter_list *list, const char *part, int channels, int codes) {
  if (!codes) {
    add_norm(list, part, channels);
    return;
  }
  add_norm(list, part_name("%s.norm_layer", part).text, channels);
  add_conv(list, part_name("%s.conv_y", part).text, codes, channels, 1);
  add_conv(list, part_name("%s.conv_b", part).text, codes, channels, 1);
}

static void add_block(struct parameter_list *list, const char *part, int in, int out, int codes) {
  add_any_norm(list, part_name("%s.norm1", part).text, in, codes);
  add_conv(list, part_name("%s.conv1", part).text, in, out, 3);
  add_any_norm(list, part_name("%s.norm2", part).text, out, codes);
  add_conv(list, part_name("%s.conv2", part).text, out, out, 3);
  if (in != out)
    add_conv(list, part_name("%s.nin_shortcut", part).text, in, out, 1);
}

static void add_attention(struct parameter_list *list, const char *part, int channels, int codes) {
  static const char *const convolutions[] = {"q", "k", "v", "proj_out"};
  add_any_norm(list, part_name("%s.norm", part).text, channels, codes);
  for (size_t i = 0; i < sizeof convolutions / sizeof *convolutions; i++)
    add_conv(list, part_name("%s.%s", part, convolutions[i]).text, channels, channels, 1);
}

static void add_middle(struct parameter_list *list, const struct model_config *config,
                       const char *side, int channels, int codes) {
  add_block(list, part_name("%s.mid.block_1", side).text, channels, channels, codes);
  if (config->middle_attention)
    add_attention(list, part_name("%s.mid.attn_1", side).text, channels, codes);
  add_block(list, part_name("%s.mid.block_2", side).text, channels, channels, codes);
}

/* The blocks and attentions of one level, "encoder.down.2" or "decoder.up.2". */
static void add_level(struct parameter_list *list, const struct model_config *config,
                      const char *part, int level, bool decoder, int in, int codes) {
  int out = decoder ? model_config_decoder_channels(config, level)
                    : model_config_level_channels(config, level);
  for (int j = 0; j < model_config_level_blocks(config, decoder, level); j++) {
    add_block(list, part_name("%s.block.%d", part, j).text, j ? out : in, out, codes);
    if (config->attention[level])
      add_attention(list, part_name("%s.attn.%d", part, j).text, out, codes);
  }
}

static void add_encoder(struct parameter_list *list, const struct model_config *config) {
  int channels = model_config_stem_channels(config);
  add_conv(list, "encoder.conv_in", model_config_pixel_channels(config), channels, 3);
  for (int level = 0; level < config->levels; level++) {
    struct part_name part = part_name("encoder.down.%d", level);
    add_level(list, config, part.text, level, false, channels, 0);
    channels = model_config_level_channels(config, level);
    if (level < config->levels - 1)
      add_conv(list, part_name("%s.downsample.conv", part.text).text, channels, channels, 3);
  }
  add_middle(list, config, "encoder", channels, 0);
  add_norm(list, "encoder.norm_out", channels);
  add_conv(list, "encoder.conv_out", channels, config->z_channels, 3);
}

static void add_decoder(struct parameter_list *list, const struct model_config *config) {
  int codes = config->spatial_norm ? model_config_code_channels(config) : 0;
  int channels = model_config_decoder_channels(config, config->levels - 1);
  add_conv(list, "decoder.conv_in", config->z_channels, channels, 3);
  add_middle(list, config, "decoder", channels, codes);
  for (int level = config->levels - 1; level >= 0; level--) {
    struct part_name part = part_name("decoder.up.%d", level);
    add_level(list, config, part.text, level, true, channels, codes);
    channels = model_config_decoder_channels(config, level);
    if (level == 0)
      break;
    int out = config->upsample_changes_channels ? model_config_decoder_channels(config, level - 1)
                                                : channels;
    add_conv(list, part_name("%s.upsample.conv", part.text).text, channels, out, 3);
    channels = out;
  }
  add_any_norm(list, "decoder.norm_out", channels, codes);
  add_conv(list, "decoder.conv_out", channels, model_config_pixel_channels(config), 3);
}

enum vqct_status network_parameters(const struct model_config *config, struct parameter_list *list,
                                    struct vqct_error *error) {
  int code_channels = model_config_code_channels(config);
  *list = (struct parameter_list){0};
  add_encoder(list, config);
  add_conv(list, "quant_conv", config->z_channels, code_channels, 1);
  if (config->decoder_blocks) {
    add_conv(list, "post_quant_conv", code_channels, config->z_channels, 1);
    add_decoder(list, config);
  }
  if (!list->failed)
    return VQCT_OK;
  parameter_list_free(list);
  return error_set(error, VQCT_MEMORY, "memory is exhausted listing the parameters of %s",
                   config->name);
}
