/* The model file: one self-contained safetensors file (docs/model-file.md).
 *
 * It holds the configuration, the weights of its parameter list in fp32, fp16 or bf16, the codebook
 * as it came out of the transfer, and for every code its word, part of speech and training count.
 * Letters: N codes of d numbers, adjectives first.
 */
#ifndef MODEL_MODEL_FILE_H
#define MODEL_MODEL_FILE_H

#include "checksum.h"
#include "config.h"
#include "network_parameters.h"
#include "safetensors.h"
#include "vqct/codebook.h"

#define MODEL_WORD_BYTES_MAX 255

/** An opened file, read only. All pointers end with it. */
struct model_file {
  struct safetensors *file; /* NULL once detached */
  struct model_config config;
  struct parameter_list parameters;
  const struct tensor **weight;    /* one for each parameter, of its shape: F32, F16 or BF16;
                                      NULL once detached */
  enum tensor_type weight_type;    /* of the first of them */
  const float *codebook;           /* N,d */
  const char *words;               /* N words, a zero byte after each */
  const uint64_t *word_offsets;    /* N + 1: of the first byte of each word, and the end */
  const uint64_t *training_counts; /* N; all 0 where they were not recorded */
  void *copies;                    /* of these four, once detached */
  size_t bytes;                    /* of the whole file */
  char checksum[CHECKSUM_SIZE];
};

/** Copies a model file into memory and checks all of it: every tensor there and no other, types,
 * shapes, words, and that no number is NaN or infinite. Errors: READ, MODEL and NOT_FINITE (naming
 * the tensor and the fault), MEMORY; *file is then empty. */
enum vqct_status model_file_open(const char *path, struct model_file *file,
                                 struct vqct_error *error);

/** The same for a file in memory, which must outlive the result and be aligned to 8 bytes. */
enum vqct_status model_file_parse(const char *name, const void *data, size_t size,
                                  struct model_file *file, struct vqct_error *error);

/** Copies the codebook, words and counts and lets go of the file and its weights, so that whatever
 * is done to the file does not matter any more. Errors: MEMORY; nothing is changed then. */
enum vqct_status model_file_detach(struct model_file *file, struct vqct_error *error);

/** Frees and clears; may be called again. */
void model_file_close(struct model_file *file);

/** The word of a code, 0 to N - 1; "" where it has none. */
const char *model_file_word(const struct model_file *file, size_t code);

/** The part of speech of a code of a configuration. */
enum vqct_part_of_speech model_code_part(const struct model_config *config, size_t code);

/** What a model file is made of. */
struct model_content {
  const struct model_config *config;
  const float *weights;            /* flat block of the configuration's parameter list */
  const float *codebook;           /* N,d */
  const char *const *words;        /* N, UTF-8, at most MODEL_WORD_BYTES_MAX; NULL: all empty */
  const uint64_t *training_counts; /* N; NULL: not recorded */
};

/** Writes a model file, with the kernels of convolutions in the given type (F32, F16 or BF16) and
 * everything else in fp32. It appears whole or not at all. Errors: WRITE, MEMORY, NOT_FINITE (a
 * number is, or becomes so in the type; naming the tensor), INVALID (a word). */
enum vqct_status model_file_save(const char *path, const struct model_content *content,
                                 enum tensor_type type, struct vqct_error *error);

#endif
