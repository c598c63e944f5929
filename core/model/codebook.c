/* Neighbours are sought among all codes of the same part of speech, in double and one after the
 * other: it is asked for single codes by people, and needs no search structure. */
#include "vqct/codebook.h"

#include "model.h"

const char *vqct_part_of_speech_name(enum vqct_part_of_speech part) {
  return part == VQCT_ADJECTIVE ? "adjective" : part == VQCT_NOUN ? "noun" : "code";
}

bool vqct_model_code(const struct vqct_model *model, uint32_t token, struct vqct_code *code) {
  const struct model_file *file = &model->file;
  if (token >= (uint32_t)model_config_codes(&file->config))
    return false;
  *code = (struct vqct_code){.word = model_file_word(file, token),
                             .part = model_code_part(&file->config, token),
                             .training_count = file->training_counts[token],
                             .vector = file->codebook +
                                       (size_t)token * (size_t)file->config.code_dimension};
  return true;
}

enum vqct_status vqct_model_vectors(const struct vqct_model *model, const uint32_t *tokens,
                                    size_t positions, float *vectors, struct vqct_error *error) {
  return quantizer_decode(&model->quantizer, tokens, positions, vectors, error);
}

static float squared_distance(const float *a, const float *b, int dimension) {
  double sum = 0;
  for (int i = 0; i < dimension; i++) {
    double difference = (double)a[i] - (double)b[i];
    sum += difference * difference;
  }
  return (float)sum;
}

size_t vqct_model_nearest(const struct vqct_model *model, uint32_t token, size_t count,
                          uint32_t *tokens, float *distances) {
  const struct model_config *config = &model->file.config;
  const float *codebook = model->file.codebook;
  size_t dimension = (size_t)config->code_dimension, found = 0;
  uint32_t codes = (uint32_t)model_config_codes(config);
  if (token >= codes || count == 0)
    return 0;
  bool adjective = token < (uint32_t)config->adjectives;
  uint32_t first = adjective ? 0 : (uint32_t)config->adjectives;
  uint32_t end = adjective ? (uint32_t)config->adjectives : codes;
  for (uint32_t other = first; other < end; other++) {
    if (other == token)
      continue;
    float distance = squared_distance(codebook + token * dimension, codebook + other * dimension,
                                      config->code_dimension);
    if (found == count && distance >= distances[count - 1])
      continue;
    size_t place = found < count ? found++ : count - 1;
    for (; place > 0 && distances[place - 1] > distance; place--) {
      distances[place] = distances[place - 1];
      tokens[place] = tokens[place - 1];
    }
    distances[place] = distance;
    tokens[place] = other;
  }
  return found;
}
