/* The architecture of a network as data: what the model file stores, what presets name, what the
 * importer infers and what encoder, decoder and quantizer are built from.
 *
 * Letters: d is the code dimension; level 0 has the resolution of the image, or half of it with
 * space_to_depth, and level levels - 1 that of the tokens. Names of the parts are those of
 * taming-transformers' state dicts.
 */
#ifndef NETWORK_CONFIG_H
#define NETWORK_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "vqct/status.h"

#define MODEL_LEVELS_MAX 8

enum model_quantizer {
  QUANTIZER_VQCT, /* an adjective codebook and a noun codebook, each for half of the 2d channels */
  QUANTIZER_PLAIN /* one codebook for all d channels */
};

/* How the code of a vector is chosen. */
enum model_distance {
  DISTANCE_EUCLIDEAN, /* the nearest */
  DISTANCE_DOT        /* that of the greatest dot product; PLAIN only */
};

/** One architecture. Every value lies in the range given here once model_config_check passed. */
struct model_config {
  char name[64]; /* printable ASCII, not empty */
  enum model_quantizer quantizer;
  int image_channels;                /* 1 to 3 */
  int channels;                      /* of multiplier 1, and of conv_in; 1 to 1024 */
  int levels;                        /* 1 to MODEL_LEVELS_MAX; each but the last halves the sides */
  int multipliers[MODEL_LEVELS_MAX]; /* of channels, per level; 1 to 64 */
  int encoder_blocks;                /* residual blocks of each encoder level; 1 to 16 */
  int decoder_blocks;                /* the same in the decoder, all counted; 0 to 16; 0: there
                                      * is no decoder */
  /* Where levels differ in what is one for all above; all 0: they do not. */
  int encoder_level_blocks[MODEL_LEVELS_MAX], decoder_level_blocks[MODEL_LEVELS_MAX]; /* 1 to 16 */
  int decoder_multipliers[MODEL_LEVELS_MAX]; /* those of the decoder; 1 to 64 */
  bool attention[MODEL_LEVELS_MAX]; /* after each block of the level, encoder and decoder */
  bool middle_attention;            /* between the two middle blocks */
  int z_channels;                   /* between encoder and quant_conv; 1 to 4096 */
  int code_dimension;               /* d, of one code; 1 to 4096 */
  int adjective_k;                  /* adjectives chosen for each position: 1 or 2; PLAIN: 1 */
  int groups;                       /* of every GroupNorm; divides the channels of every level */
  bool l2_normalize;                /* vectors and codes are scaled to length 1; PLAIN only */
  enum model_distance distance;
  bool spatial_norm;              /* of the decoder, reading the codes (MoVQ) */
  bool space_to_depth;            /* the encoder begins by making a 2 x 2 square of pixels one
                                   * position, the decoder ends by the reverse */
  bool upsample_changes_channels; /* the decoder's upsampling convolutions give the channels of the
                                   * level that they lead to */
  int adjectives;                 /* codes; at least adjective_k, at most 2^24; PLAIN: 0 */
  int nouns;                      /* codes; 1 to 2^24; PLAIN: all codes */
};

/** Whether every value is in range and they fit together. Errors: MODEL, naming the value. */
enum vqct_status model_config_check(const struct model_config *config, struct vqct_error *error);

/** Reads and checks a configuration of `size` bytes of JSON: an object with every key of
 * docs/model-file.md and no other; those that are left out where they have their usual value need
 * not be there. Errors: MODEL (naming key and fault), MEMORY. */
enum vqct_status model_config_parse(const char *json, size_t size, struct model_config *config,
                                    struct vqct_error *error);

/** Reads a configuration from a JSON file. Errors: READ, MODEL (naming the file too), MEMORY. */
enum vqct_status model_config_read(const char *path, struct model_config *config,
                                   struct vqct_error *error);

/** The configuration as one line of JSON, keys in a fixed order; from malloc, the caller frees it.
 * NULL if memory is exhausted. */
char *model_config_json(const struct model_config *config);

/** Pixels a token along each side: 2^(levels - 1), twice that with space_to_depth. */
int model_config_downsampling(const struct model_config *config);

/** Channels of a position at the resolution of level 0: those of the image, or of a square of its
 * pixels with space_to_depth. */
int model_config_pixel_channels(const struct model_config *config);

/** Channels that the encoder's first convolution gives: `channels`, or those of level 0 with
 * space_to_depth, which leaves out the level that would have them. */
int model_config_stem_channels(const struct model_config *config);

/** Channels of a level: channels * multipliers[level]. */
int model_config_level_channels(const struct model_config *config, int level);

/** The same of the decoder, whose multipliers may be others. */
int model_config_decoder_channels(const struct model_config *config, int level);

/** Residual blocks of a level of the encoder or the decoder. */
int model_config_level_blocks(const struct model_config *config, bool decoder, int level);

/** Channels between quant_conv and post_quant_conv: 2d, or d with a plain codebook. */
int model_config_code_channels(const struct model_config *config);

/** Rows of the whole codebook: adjectives + nouns. */
int model_config_codes(const struct model_config *config);

/** Planes of tokens an image gives: adjective_k + 1, or 1 with a plain codebook. */
int model_config_planes(const struct model_config *config);

#endif
