#include "presets.h"

#include <string.h>

/* What the small ones share. No attention, so that the cost stays proportional to the pixels and
 * pictures of any size are treated alike. Codes of few numbers: with 64 the encodings fall onto a
 * plane in each half, and most of the code's room is idle. */
#define SMALL(...)                                                                                 \
  {                                                                                                \
    .quantizer = QUANTIZER_VQCT, .image_channels = 3, .channels = 32, .encoder_blocks = 1,         \
    .decoder_blocks = 2, .z_channels = 64, .code_dimension = 8, .adjective_k = 1, .groups = 8,     \
    .adjectives = 900, .nouns = 2900, __VA_ARGS__                                                  \
  }

static const struct model_preset presets[] = {
    /* The paper's network and the size of its vocabulary. How many of its 6,207 words are
     * adjectives is not published: the share is that of our captions' vocabulary. A prior replaces
     * both numbers. */
    {.summary = "the paper's network: 16 pixels a token, 72 M parameters, 6,207 codes",
     .config = {.name = "vqct-f16",
                .quantizer = QUANTIZER_VQCT,
                .image_channels = 3,
                .channels = 128,
                .levels = 5,
                .multipliers = {1, 1, 2, 2, 4},
                .encoder_blocks = 2,
                .decoder_blocks = 3,
                .attention = {false, false, false, false, true},
                .middle_attention = true,
                .z_channels = 256,
                .code_dimension = 256,
                .adjective_k = 1,
                .groups = 32,
                .adjectives = 1471,
                .nouns = 4736}},
    /* Small enough to ship and to train on a processor. */
    {.summary = "small and quick: 8 pixels a token, 3 M parameters, 3,800 codes",
     .config = SMALL(.name = "vqct-f8-small", .levels = 4, .multipliers = {1, 2, 2, 4})},
    /* The same work moved down: a layer at the full resolution costs four times one of the same
     * channels at half of it, so none stands there and the levels below are wider. */
    {.summary = "wider and quicker: 8 pixels a token, 4.6 M parameters, 3,800 codes",
     .config = SMALL(.name = "vqct-small", .levels = 3, .multipliers = {2, 3, 5},
                     .space_to_depth = true)},
    /* As many tokens as the paper's. What a code leaves out the decoder must invent, so it has most
     * of the parameters. */
    {.summary =
         "the same of the paper's sequence: 16 pixels a token, 5.8 M parameters, 3,800 codes",
     .config = SMALL(.name = "vqct-small-f16", .levels = 4, .multipliers = {2, 3, 4, 4},
                     .decoder_multipliers = {2, 4, 5, 5}, .space_to_depth = true,
                     .upsample_changes_channels = true)},
    /* Most features of the architecture in as few numbers as will do. */
    {.summary = "for tests: 4 pixels a token, attention, 32 codes",
     .config = {.name = "vqct-tiny",
                .quantizer = QUANTIZER_VQCT,
                .image_channels = 3,
                .channels = 8,
                .levels = 3,
                .multipliers = {1, 2, 2},
                .encoder_blocks = 1,
                .decoder_blocks = 2,
                .attention = {false, false, true},
                .middle_attention = true,
                .z_channels = 12,
                .code_dimension = 8,
                .adjective_k = 2,
                .groups = 4,
                .adjectives = 12,
                .nouns = 20}},
};

const struct model_preset *model_preset(size_t index) {
  return index < sizeof presets / sizeof *presets ? &presets[index] : NULL;
}

const struct model_preset *model_preset_find(const char *name) {
  for (size_t i = 0; i < sizeof presets / sizeof *presets; i++)
    if (strcmp(name, presets[i].config.name) == 0)
      return &presets[i];
  return NULL;
}
