#include "parameters.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "rng.h"

/* A list under construction. A failed allocation is kept and reported once at the end. */
struct list_builder {
  struct parameter_list *list;
  size_t room;
  bool exhausted;
};

static struct parameter *append(struct list_builder *b) {
  struct parameter_list *list = b->list;
  if (list->count == b->room) {
    size_t room = b->room ? 2 * b->room : 128;
    struct parameter *grown = realloc(list->parameter, room * sizeof *grown);
    if (!grown) {
      b->exhausted = true;
      return NULL;
    }
    list->parameter = grown;
    b->room = room;
  }
  return &list->parameter[list->count++];
}

static void add(struct list_builder *b, const char *part, const char *leaf,
                struct parameter shape) {
  struct parameter *p = append(b);
  if (!p)
    return;
  *p = shape;
  snprintf(p->name, sizeof p->name, "%s.%s", part, leaf);
  p->count = 1;
  for (int i = 0; i < 4; i++)
    p->count *= (size_t)p->shape[i];
  p->offset = b->list->total;
  b->list->total += p->count;
  if (p->count > b->list->largest)
    b->list->largest = p->count;
}

static void add_conv(struct list_builder *b, const char *part, int in, int out, int kernel) {
  int fan_in = in * kernel * kernel;
  add(b, part, "weight",
      (struct parameter){.role = PARAMETER_KERNEL,
                         .dims = 4,
                         .shape = {out, in, kernel, kernel},
                         .fan_in = fan_in});
  add(b, part, "bias",
      (struct parameter){
          .role = PARAMETER_BIAS, .dims = 1, .shape = {out, 1, 1, 1}, .fan_in = fan_in});
}

static void add_norm(struct list_builder *b, const char *part, int channels) {
  add(b, part, "weight",
      (struct parameter){.role = PARAMETER_SCALE, .dims = 1, .shape = {channels, 1, 1, 1}});
  add(b, part, "bias",
      (struct parameter){.role = PARAMETER_SHIFT, .dims = 1, .shape = {channels, 1, 1, 1}});
}

/* "PREFIX.LEAF" in a buffer; the longest name that a configuration can give has 44 characters. */
struct part_name {
  char text[48];
};

__attribute__((format(printf, 1, 2))) static struct part_name part_name(const char *format, ...) {
  struct part_name name;
  va_list args;
  va_start(args, format);
  vsnprintf(name.text, sizeof name.text, format, args);
  va_end(args);
  return name;
}

static void add_block(struct list_builder *b, const char *part, int in, int out) {
  add_norm(b, part_name("%s.norm1", part).text, in);
  add_conv(b, part_name("%s.conv1", part).text, in, out, 3);
  add_norm(b, part_name("%s.norm2", part).text, out);
  add_conv(b, part_name("%s.conv2", part).text, out, out, 3);
  if (in != out)
    add_conv(b, part_name("%s.nin_shortcut", part).text, in, out, 1);
}

static void add_attention(struct list_builder *b, const char *part, int channels) {
  static const char *const convolutions[] = {"q", "k", "v", "proj_out"};
  add_norm(b, part_name("%s.norm", part).text, channels);
  for (size_t i = 0; i < sizeof convolutions / sizeof *convolutions; i++)
    add_conv(b, part_name("%s.%s", part, convolutions[i]).text, channels, channels, 1);
}

static void add_middle(struct list_builder *b, const struct model_config *config, const char *side,
                       int channels) {
  add_block(b, part_name("%s.mid.block_1", side).text, channels, channels);
  if (config->middle_attention)
    add_attention(b, part_name("%s.mid.attn_1", side).text, channels);
  add_block(b, part_name("%s.mid.block_2", side).text, channels, channels);
}

/* The blocks and attentions of one level, "encoder.down.2" or "decoder.up.2". */
static void add_level(struct list_builder *b, const struct model_config *config, const char *part,
                      int level, int blocks, int in) {
  int out = model_config_level_channels(config, level);
  for (int j = 0; j < blocks; j++) {
    add_block(b, part_name("%s.block.%d", part, j).text, j ? out : in, out);
    if (config->attention[level])
      add_attention(b, part_name("%s.attn.%d", part, j).text, out);
  }
}

static void add_encoder(struct list_builder *b, const struct model_config *config) {
  int channels = config->channels;
  add_conv(b, "encoder.conv_in", config->image_channels, channels, 3);
  for (int level = 0; level < config->levels; level++) {
    struct part_name part = part_name("encoder.down.%d", level);
    add_level(b, config, part.text, level, config->encoder_blocks, channels);
    channels = model_config_level_channels(config, level);
    if (level < config->levels - 1)
      add_conv(b, part_name("%s.downsample.conv", part.text).text, channels, channels, 3);
  }
  add_middle(b, config, "encoder", channels);
  add_norm(b, "encoder.norm_out", channels);
  add_conv(b, "encoder.conv_out", channels, config->z_channels, 3);
}

static void add_decoder(struct list_builder *b, const struct model_config *config) {
  int channels = model_config_level_channels(config, config->levels - 1);
  add_conv(b, "decoder.conv_in", config->z_channels, channels, 3);
  add_middle(b, config, "decoder", channels);
  for (int level = config->levels - 1; level >= 0; level--) {
    struct part_name part = part_name("decoder.up.%d", level);
    add_level(b, config, part.text, level, config->decoder_blocks, channels);
    channels = model_config_level_channels(config, level);
    if (level > 0)
      add_conv(b, part_name("%s.upsample.conv", part.text).text, channels, channels, 3);
  }
  add_norm(b, "decoder.norm_out", channels);
  add_conv(b, "decoder.conv_out", channels, config->image_channels, 3);
}

enum vqct_status parameter_list_init(const struct model_config *config, struct parameter_list *list,
                                     struct vqct_error *error) {
  struct list_builder b = {.list = list};
  *list = (struct parameter_list){0};
  int code_channels = model_config_code_channels(config);
  add_encoder(&b, config);
  add_conv(&b, "quant_conv", config->z_channels, code_channels, 1);
  add_conv(&b, "post_quant_conv", code_channels, config->z_channels, 1);
  add_decoder(&b, config);
  if (!b.exhausted)
    return VQCT_OK;
  parameter_list_free(list);
  return error_set(error, VQCT_MEMORY, "memory is exhausted listing the parameters of %s",
                   config->name);
}

void parameter_list_free(struct parameter_list *list) {
  free(list->parameter);
  *list = (struct parameter_list){0};
}

const struct parameter *parameter_find(const struct parameter_list *list, const char *name) {
  for (size_t i = 0; i < list->count; i++)
    if (strcmp(list->parameter[i].name, name) == 0)
      return &list->parameter[i];
  return NULL;
}

void parameters_initialize(const struct parameter_list *list, uint64_t seed, float *block) {
  for (size_t i = 0; i < list->count; i++) {
    const struct parameter *p = &list->parameter[i];
    float *values = block + p->offset;
    float bound = p->fan_in ? 1.0f / sqrtf((float)p->fan_in) : 0.0f;
    float constant = p->role == PARAMETER_SCALE ? 1.0f : 0.0f;
    struct rng rng;
    rng_seed(&rng, seed, i);
    for (size_t n = 0; n < p->count; n++)
      values[n] = p->fan_in ? bound * (2.0f * rng_uniform(&rng) - 1.0f) : constant;
  }
}
