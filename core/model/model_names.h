/* Names inside a model file, for its reader and its writer. */
#ifndef MODEL_MODEL_NAMES_H
#define MODEL_MODEL_NAMES_H

#define MODEL_FORMAT_KEY    "vqct.format"
#define MODEL_FORMAT        "1"
#define MODEL_CONFIG_KEY    "vqct.config"
#define MODEL_CODEBOOK      "codebook.weight"
#define MODEL_WORDS         "codebook.words"
#define MODEL_WORD_OFFSETS  "codebook.word_offsets"
#define MODEL_PARTS         "codebook.parts_of_speech"
#define MODEL_COUNTS        "codebook.training_counts"
#define MODEL_OTHER_TENSORS 5 /* those above, beside the parameters */

#endif
