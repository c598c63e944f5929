/* Tables name every key with its place in the record, its range and how it is written; checking,
 * reading and writing JSON all walk them, so a new number is one row. What depends on several keys
 * (levels, the quantizer) is checked by a function of its own. */
#include "config.h"

#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "mapped_file.h"

#define CODES_MAX          (1 << 24)
#define LEVEL_CHANNELS_MAX 8192

/* The whole numbers of a configuration, in the order in which JSON shows them. */
static const struct whole_number {
  const char *key;
  size_t offset;
  int least, most;
} whole_numbers[] = {
    {"image_channels", offsetof(struct model_config, image_channels), 1, 3},
    {"channels", offsetof(struct model_config, channels), 1, 1024},
    {"encoder_blocks", offsetof(struct model_config, encoder_blocks), 1, 16},
    {"decoder_blocks", offsetof(struct model_config, decoder_blocks), 0, 16},
    {"z_channels", offsetof(struct model_config, z_channels), 1, 4096},
    {"code_dimension", offsetof(struct model_config, code_dimension), 1, 4096},
    {"adjective_k", offsetof(struct model_config, adjective_k), 1, 2},
    {"groups", offsetof(struct model_config, groups), 1, 1024},
    {"adjectives", offsetof(struct model_config, adjectives), 0, CODES_MAX},
    {"nouns", offsetof(struct model_config, nouns), 1, CODES_MAX},
};
#define WHOLE_NUMBERS (sizeof whole_numbers / sizeof *whole_numbers)

static const struct truth_value {
  const char *key;
  size_t offset;
} truth_values[] = {
    {"middle_attention", offsetof(struct model_config, middle_attention)},
    {"l2_normalize", offsetof(struct model_config, l2_normalize)},
};
#define TRUTH_VALUES (sizeof truth_values / sizeof *truth_values)

/* Those that are left out where they are false. */
static const struct truth_value features[] = {
    {"spatial_norm", offsetof(struct model_config, spatial_norm)},
    {"space_to_depth", offsetof(struct model_config, space_to_depth)},
    {"upsample_changes_channels", offsetof(struct model_config, upsample_changes_channels)},
};
#define FEATURES (sizeof features / sizeof *features)

static const char *const other_keys[] = {"name",
                                         "quantizer",
                                         "multipliers",
                                         "attention",
                                         "distance",
                                         "encoder_level_blocks",
                                         "decoder_level_blocks",
                                         "decoder_multipliers"};
#define OTHER_KEYS (sizeof other_keys / sizeof *other_keys)

static const char *const quantizer_names[] = {"vqct", "plain"};
static const char *const distance_names[] = {"euclidean", "dot"};

/* A number for each level, left out where all levels have what is one for all. */
static const struct level_list {
  const char *key;
  size_t offset;
  int most;
} level_lists[] = {
    {"encoder_level_blocks", offsetof(struct model_config, encoder_level_blocks), 16},
    {"decoder_level_blocks", offsetof(struct model_config, decoder_level_blocks), 16},
    {"decoder_multipliers", offsetof(struct model_config, decoder_multipliers), 64},
};
#define LEVEL_LISTS (sizeof level_lists / sizeof *level_lists)

static int *level_values(const struct model_config *config, const struct level_list *list) {
  return (int *)(uintptr_t)((const char *)config + list->offset);
}

static int number_value(const struct model_config *config, const struct whole_number *number) {
  int value;
  memcpy(&value, (const char *)config + number->offset, sizeof value);
  return value;
}

static bool truth_value(const struct model_config *config, const struct truth_value *truth) {
  bool value;
  memcpy(&value, (const char *)config + truth->offset, sizeof value);
  return value;
}

static void set_truth(struct model_config *config, const struct truth_value *truth, bool value) {
  memcpy((char *)config + truth->offset, &value, sizeof value);
}

static bool name_is_printable(const char *name) {
  for (const char *c = name; *c; c++)
    if (*c < 0x20 || *c > 0x7e)
      return false;
  return *name != '\0';
}

static enum vqct_status check_levels(const struct model_config *config, struct vqct_error *error) {
  if (config->levels < 1 || config->levels > MODEL_LEVELS_MAX)
    return error_set(error, VQCT_MODEL, "configuration: multipliers must be 1 to %d numbers",
                     MODEL_LEVELS_MAX);
  if (config->channels % config->groups)
    return error_set(error, VQCT_MODEL, "configuration: groups %d does not divide channels %d",
                     config->groups, config->channels);
  for (int level = 0; level < config->levels; level++) {
    int multiplier = config->multipliers[level];
    if (multiplier < 1 || multiplier > 64 || multiplier * config->channels > LEVEL_CHANNELS_MAX)
      return error_set(error, VQCT_MODEL,
                       "configuration: multipliers[%d] is %d; it must be 1 to 64 and give at most "
                       "%d channels",
                       level, multiplier, LEVEL_CHANNELS_MAX);
  }
  for (size_t i = 0; i < LEVEL_LISTS; i++)
    for (int level = 0; level < config->levels; level++) {
      int value = level_values(config, &level_lists[i])[level];
      bool given = level_values(config, &level_lists[i])[0] != 0;
      if ((given && value < 1) || value < 0 || value > level_lists[i].most || (!given && value))
        return error_set(error, VQCT_MODEL, "configuration: %s[%d] is %d; it must be 1 to %d",
                         level_lists[i].key, level, value, level_lists[i].most);
    }
  for (int level = 0; level < config->levels; level++)
    if (model_config_decoder_channels(config, level) > LEVEL_CHANNELS_MAX)
      return error_set(error, VQCT_MODEL,
                       "configuration: decoder_multipliers[%d] gives more than %d channels", level,
                       LEVEL_CHANNELS_MAX);
  if (!config->decoder_blocks &&
      (config->decoder_level_blocks[0] || config->decoder_multipliers[0] ||
       config->upsample_changes_channels))
    return error_set(error, VQCT_MODEL,
                     "configuration: levels or upsampling of a decoder that is not there");
  return VQCT_OK;
}

static enum vqct_status check_quantizer(const struct model_config *config,
                                        struct vqct_error *error) {
  if (config->quantizer == QUANTIZER_PLAIN) {
    if (config->adjectives != 0 || config->adjective_k != 1)
      return error_set(error, VQCT_MODEL,
                       "configuration: a plain quantizer has adjectives 0 and adjective_k 1");
    return VQCT_OK;
  }
  if (config->quantizer != QUANTIZER_VQCT)
    return error_set(error, VQCT_MODEL, "configuration: quantizer must be vqct or plain");
  if (config->l2_normalize || config->distance != DISTANCE_EUCLIDEAN)
    return error_set(error, VQCT_MODEL,
                     "configuration: l2_normalize and distance are only for the plain quantizer");
  if (config->adjectives < config->adjective_k)
    return error_set(error, VQCT_MODEL,
                     "configuration: adjectives is %d, less than adjective_k, %d",
                     config->adjectives, config->adjective_k);
  return VQCT_OK;
}

enum vqct_status model_config_check(const struct model_config *config, struct vqct_error *error) {
  if (!memchr(config->name, '\0', sizeof config->name) || !name_is_printable(config->name))
    return error_set(error, VQCT_MODEL,
                     "configuration: name must be 1 to %zu printable ASCII characters",
                     sizeof config->name - 1);
  for (size_t i = 0; i < WHOLE_NUMBERS; i++) {
    const struct whole_number *number = &whole_numbers[i];
    int value = number_value(config, number);
    if (value < number->least || value > number->most)
      return error_set(error, VQCT_MODEL, "configuration: %s is %d; it must be %d to %d",
                       number->key, value, number->least, number->most);
  }
  enum vqct_status status = check_levels(config, error);
  return status ? status : check_quantizer(config, error);
}

static bool key_is_known(const char *key) {
  for (size_t i = 0; i < WHOLE_NUMBERS; i++)
    if (strcmp(key, whole_numbers[i].key) == 0)
      return true;
  for (size_t i = 0; i < TRUTH_VALUES; i++)
    if (strcmp(key, truth_values[i].key) == 0)
      return true;
  for (size_t i = 0; i < FEATURES; i++)
    if (strcmp(key, features[i].key) == 0)
      return true;
  for (size_t i = 0; i < OTHER_KEYS; i++)
    if (strcmp(key, other_keys[i]) == 0)
      return true;
  return false;
}

static enum vqct_status check_keys(json_t *root, struct vqct_error *error) {
  if (!json_is_object(root))
    return error_set(error, VQCT_MODEL, "configuration: it must be a JSON object");
  const char *key;
  json_t *value;
  json_object_foreach(root, key, value) {
    if (!key_is_known(key))
      return error_set(error, VQCT_MODEL, "configuration: unknown key \"%.60s\"", key);
  }
  return VQCT_OK;
}

static enum vqct_status read_scalars(const json_t *root, struct model_config *config,
                                     struct vqct_error *error) {
  for (size_t i = 0; i < WHOLE_NUMBERS; i++) {
    const struct whole_number *number = &whole_numbers[i];
    const json_t *value = json_object_get(root, number->key);
    json_int_t whole = json_integer_value(value);
    if (!json_is_integer(value) || whole < number->least || whole > number->most)
      return error_set(error, VQCT_MODEL,
                       "configuration: %s must be there as a whole number, %d to %d", number->key,
                       number->least, number->most);
    int narrow = (int)whole;
    memcpy((char *)config + number->offset, &narrow, sizeof narrow);
  }
  for (size_t i = 0; i < TRUTH_VALUES; i++) {
    const json_t *value = json_object_get(root, truth_values[i].key);
    if (!json_is_boolean(value))
      return error_set(error, VQCT_MODEL, "configuration: %s must be there as true or false",
                       truth_values[i].key);
    set_truth(config, &truth_values[i], json_is_true(value));
  }
  return VQCT_OK;
}

static enum vqct_status read_texts(const json_t *root, struct model_config *config,
                                   struct vqct_error *error) {
  const json_t *name = json_object_get(root, "name");
  if (!json_is_string(name) || json_string_length(name) >= sizeof config->name)
    return error_set(error, VQCT_MODEL,
                     "configuration: name must be there as a string of 1 to %zu characters",
                     sizeof config->name - 1);
  memcpy(config->name, json_string_value(name), json_string_length(name) + 1);
  const char *quantizer = json_string_value(json_object_get(root, "quantizer"));
  if (quantizer && strcmp(quantizer, quantizer_names[QUANTIZER_VQCT]) == 0)
    config->quantizer = QUANTIZER_VQCT;
  else if (quantizer && strcmp(quantizer, quantizer_names[QUANTIZER_PLAIN]) == 0)
    config->quantizer = QUANTIZER_PLAIN;
  else
    return error_set(error, VQCT_MODEL, "configuration: quantizer must be \"vqct\" or \"plain\"");
  return VQCT_OK;
}

static enum vqct_status read_level_lists(const json_t *root, struct model_config *config,
                                         struct vqct_error *error) {
  for (size_t i = 0; i < LEVEL_LISTS; i++) {
    const struct level_list *list = &level_lists[i];
    const json_t *values = json_object_get(root, list->key);
    if (values && json_array_size(values) != (size_t)config->levels)
      return error_set(error, VQCT_MODEL, "configuration: %s must be a list of %d numbers",
                       list->key, config->levels);
    for (size_t level = 0; values && level < (size_t)config->levels; level++) {
      json_int_t whole = json_integer_value(json_array_get(values, level));
      if (whole < 1 || whole > list->most)
        return error_set(error, VQCT_MODEL,
                         "configuration: %s[%zu] must be a whole number, 1 to %d", list->key, level,
                         list->most);
      level_values(config, list)[level] = (int)whole;
    }
  }
  return VQCT_OK;
}

static bool put_level_lists(json_t *root, const struct model_config *config) {
  bool fine = true;
  for (size_t i = 0; fine && i < LEVEL_LISTS; i++) {
    const int *values = level_values(config, &level_lists[i]);
    json_t *list = values[0] ? json_array() : NULL;
    fine = !values[0] || json_object_set_new(root, level_lists[i].key, list) == 0;
    for (int level = 0; fine && list && level < config->levels; level++)
      fine = json_array_append_new(list, json_integer(values[level])) == 0;
  }
  return fine;
}

static enum vqct_status read_features(const json_t *root, struct model_config *config,
                                      struct vqct_error *error) {
  for (size_t i = 0; i < FEATURES; i++) {
    const json_t *value = json_object_get(root, features[i].key);
    if (value && !json_is_boolean(value))
      return error_set(error, VQCT_MODEL, "configuration: %s must be true or false",
                       features[i].key);
    set_truth(config, &features[i], json_is_true(value));
  }
  return VQCT_OK;
}

static enum vqct_status read_distance(const json_t *root, struct model_config *config,
                                      struct vqct_error *error) {
  const json_t *value = json_object_get(root, "distance");
  const char *name = json_string_value(value);
  for (int i = 0; name && i < 2; i++)
    if (strcmp(name, distance_names[i]) == 0) {
      config->distance = (enum model_distance)i;
      return VQCT_OK;
    }
  return value ? error_set(error, VQCT_MODEL,
                           "configuration: distance must be \"euclidean\" or \"dot\"")
               : VQCT_OK;
}

static enum vqct_status read_levels(const json_t *root, struct model_config *config,
                                    struct vqct_error *error) {
  const json_t *multipliers = json_object_get(root, "multipliers");
  const json_t *attention = json_object_get(root, "attention");
  size_t levels = json_array_size(multipliers);
  if (levels < 1 || levels > MODEL_LEVELS_MAX || json_array_size(attention) != levels)
    return error_set(error, VQCT_MODEL,
                     "configuration: multipliers and attention must be lists of one length, 1 to "
                     "%d",
                     MODEL_LEVELS_MAX);
  config->levels = (int)levels;
  for (size_t i = 0; i < levels; i++) {
    const json_t *multiplier = json_array_get(multipliers, i);
    json_int_t whole = json_integer_value(multiplier);
    if (!json_is_integer(multiplier) || whole < 1 || whole > 64)
      return error_set(error, VQCT_MODEL,
                       "configuration: multipliers[%zu] must be a whole number, 1 to 64", i);
    if (!json_is_boolean(json_array_get(attention, i)))
      return error_set(error, VQCT_MODEL, "configuration: attention[%zu] must be true or false", i);
    config->multipliers[i] = (int)whole;
    config->attention[i] = json_is_true(json_array_get(attention, i));
  }
  return VQCT_OK;
}

static enum vqct_status read_root(json_t *root, struct model_config *config,
                                  struct vqct_error *error) {
  enum vqct_status status = check_keys(root, error);
  if (status)
    return status;
  status = read_texts(root, config, error);
  if (status)
    return status;
  status = read_scalars(root, config, error);
  if (status)
    return status;
  status = read_levels(root, config, error);
  if (status)
    return status;
  status = read_level_lists(root, config, error);
  if (status)
    return status;
  status = read_distance(root, config, error);
  if (status)
    return status;
  status = read_features(root, config, error);
  if (status)
    return status;
  return model_config_check(config, error);
}

enum vqct_status model_config_parse(const char *json, size_t size, struct model_config *config,
                                    struct vqct_error *error) {
  json_error_t fault;
  json_t *root = json_loadb(size ? json : "", size, JSON_REJECT_DUPLICATES, &fault);
  if (!root)
    return error_set(error, VQCT_MODEL, "configuration: line %d: %s", fault.line, fault.text);
  memset(config, 0, sizeof *config);
  enum vqct_status status = read_root(root, config, error);
  json_decref(root);
  return status;
}

enum vqct_status model_config_read(const char *path, struct model_config *config,
                                   struct vqct_error *error) {
  struct mapped_file file;
  enum vqct_status status = mapped_file_open(path, &file, error);
  if (status)
    return status;
  status = model_config_parse((const char *)file.data, file.size, config, error);
  mapped_file_close(&file);
  return status ? error_prefix(error, "%s", path) : VQCT_OK;
}

/* Adds a new value to the object; false when memory ran out, now or for the value itself. */
static bool put(json_t *object, const char *key, json_t *value) {
  return json_object_set_new(object, key, value) == 0;
}

static bool put_levels(json_t *root, const struct model_config *config) {
  json_t *multipliers = json_array(), *attention = json_array();
  bool fine = put(root, "multipliers", multipliers);
  fine = put(root, "attention", attention) && fine;
  for (int level = 0; fine && level < config->levels; level++)
    fine = json_array_append_new(multipliers, json_integer(config->multipliers[level])) == 0 &&
           json_array_append_new(attention, json_boolean(config->attention[level])) == 0;
  return fine;
}

char *model_config_json(const struct model_config *config) {
  json_t *root = json_object();
  bool fine = put(root, "name", json_string(config->name)) &&
              put(root, "quantizer", json_string(quantizer_names[config->quantizer])) &&
              put_levels(root, config);
  for (size_t i = 0; fine && i < WHOLE_NUMBERS; i++)
    fine = put(root, whole_numbers[i].key, json_integer(number_value(config, &whole_numbers[i])));
  for (size_t i = 0; fine && i < TRUTH_VALUES; i++)
    fine = put(root, truth_values[i].key, json_boolean(truth_value(config, &truth_values[i])));
  if (fine && config->distance != DISTANCE_EUCLIDEAN)
    fine = put(root, "distance", json_string(distance_names[config->distance]));
  for (size_t i = 0; fine && i < FEATURES; i++)
    fine = !truth_value(config, &features[i]) || put(root, features[i].key, json_true());
  fine = fine && put_level_lists(root, config);
  char *text = fine ? json_dumps(root, JSON_COMPACT) : NULL;
  json_decref(root);
  return text;
}

int model_config_downsampling(const struct model_config *config) {
  return 1 << (config->levels - (config->space_to_depth ? 0 : 1));
}

int model_config_pixel_channels(const struct model_config *config) {
  return config->space_to_depth ? 4 * config->image_channels : config->image_channels;
}

int model_config_stem_channels(const struct model_config *config) {
  return config->space_to_depth ? model_config_level_channels(config, 0) : config->channels;
}

int model_config_level_channels(const struct model_config *config, int level) {
  return config->channels * config->multipliers[level];
}

int model_config_decoder_channels(const struct model_config *config, int level) {
  const int *own = config->decoder_multipliers;
  return config->channels * (own[0] ? own : config->multipliers)[level];
}

int model_config_level_blocks(const struct model_config *config, bool decoder, int level) {
  const int *own = decoder ? config->decoder_level_blocks : config->encoder_level_blocks;
  return own[0] ? own[level] : decoder ? config->decoder_blocks : config->encoder_blocks;
}

int model_config_code_channels(const struct model_config *config) {
  return config->quantizer == QUANTIZER_VQCT ? 2 * config->code_dimension : config->code_dimension;
}

int model_config_codes(const struct model_config *config) {
  return config->adjectives + config->nouns;
}

int model_config_planes(const struct model_config *config) {
  return config->quantizer == QUANTIZER_VQCT ? config->adjective_k + 1 : 1;
}
