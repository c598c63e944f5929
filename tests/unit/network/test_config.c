/* Configurations: what JSON is taken, what is refused and with which words, and the presets. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../suite.h"
#include "config.h"
#include "network_parameters.h"
#include "presets.h"

static struct model_config tiny(void) {
  return model_preset_find("vqct-tiny")->config;
}

START_TEST(test_round_trip) {
  const struct model_preset *preset = model_preset((size_t)_i);
  struct model_config read;
  struct vqct_error error;
  char *json = model_config_json(&preset->config);
  ck_assert_ptr_nonnull(json);
  ck_assert_msg(model_config_parse(json, strlen(json), &read, &error) == VQCT_OK, "%s",
                error.message);
  ck_assert_mem_eq(&read, &preset->config, sizeof read);
  free(json);
}
END_TEST

/* What is left out where it is the usual is written where it is not. */
START_TEST(test_round_trip_of_what_may_be_left_out) {
  struct model_config config = tiny(), read;
  const int blocks[] = {3, 1, 2}, wide[] = {1, 1, 4};
  config.quantizer = QUANTIZER_PLAIN;
  config.adjectives = 0;
  config.adjective_k = 1;
  config.distance = DISTANCE_DOT;
  config.spatial_norm = config.space_to_depth = config.upsample_changes_channels = true;
  memcpy(config.encoder_level_blocks, blocks, sizeof blocks);
  memcpy(config.decoder_level_blocks, blocks, sizeof blocks);
  memcpy(config.decoder_multipliers, wide, sizeof wide);
  struct vqct_error error;
  char *json = model_config_json(&config);
  ck_assert_ptr_nonnull(json);
  ck_assert_msg(model_config_parse(json, strlen(json), &read, &error) == VQCT_OK, "%s",
                error.message);
  ck_assert_mem_eq(&read, &config, sizeof read);
  free(json);
}
END_TEST

/* What the configurations of today's files say, which the new keys must not change. */
START_TEST(test_left_out_is_usual) {
  struct model_config config = tiny();
  char *json = model_config_json(&config);
  ck_assert_ptr_null(strstr(json, "space_to_depth"));
  ck_assert_ptr_null(strstr(json, "upsample_changes_channels"));
  free(json);
  ck_assert_int_eq(model_config_downsampling(&config), 4);
  config.space_to_depth = true;
  ck_assert_int_eq(model_config_downsampling(&config), 8);
}
END_TEST

/* One text of the tiny configuration replaced by another, and a part of the message it gives. */
static const struct {
  const char *from, *to, *message;
} refused[] = {
    {"\"channels\":8", "\"channels\":0", "channels must be there as a whole number, 1 to 1024"},
    {"\"channels\":8", "\"channels\":8.0", "channels must be there"},
    {"\"channels\":8", "\"channels\":4294967304", "channels must be there"},
    {"\"channels\":8", "\"channels\":6", "groups 4 does not divide channels 6"},
    {"\"channels\":8", "\"chanels\":8", "unknown key \"chanels\""},
    {"\"channels\":8,", "", "channels must be there"},
    {"\"channels\":8", "\"channels\":8,\"channels\":8", "duplicate"},
    {"[1,2,2]", "[1,2]", "lists of one length"},
    {"[1,2,2]", "[1,2,-2]", "multipliers[2] must be a whole number, 1 to 64"},
    {"[1,2,2]", "[1,2,65]", "multipliers[2]"},
    {"[1,2,2]", "{}", "lists of one length"},
    {"[false,false,true]", "[false,false,1]", "attention[2] must be true or false"},
    {"\"quantizer\":\"vqct\"", "\"quantizer\":\"vq\"", "quantizer must be"},
    {"\"quantizer\":\"vqct\"", "\"quantizer\":\"plain\"", "a plain quantizer has adjectives 0"},
    {"\"l2_normalize\":false", "\"l2_normalize\":true", "only for the plain quantizer"},
    {"\"l2_normalize\":false", "\"l2_normalize\":0", "l2_normalize must be there as true or false"},
    {"\"adjectives\":12", "\"adjectives\":1", "less than adjective_k, 2"},
    {"\"adjective_k\":2", "\"adjective_k\":3", "adjective_k must be there"},
    {"\"nouns\":20", "\"nouns\":16777217", "nouns must be there as a whole number, 1 to 16777216"},
    {"\"name\":\"vqct-tiny\"", "\"name\":\"\"", "name must be"},
    {"\"name\":\"vqct-tiny\"", "\"name\":\"a\\nb\"", "name must be 1 to 63 printable"},
    {"\"name\":\"vqct-tiny\"", "\"name\":7", "name must be there as a string"},
    {"\"nouns\":20", "\"nouns\":20,\"distance\":\"dot\"", "only for the plain quantizer"},
    {"\"nouns\":20", "\"nouns\":20,\"distance\":1", "distance must be \"euclidean\" or \"dot\""},
    {"\"nouns\":20", "\"nouns\":20,\"spatial_norm\":1", "spatial_norm must be true or false"},
    {"\"nouns\":20", "\"nouns\":20,\"encoder_level_blocks\":[1,2]", "must be a list of 3 numbers"},
    {"\"nouns\":20", "\"nouns\":20,\"encoder_level_blocks\":[1,2,0]", "blocks[2] must be a whole"},
    {"\"nouns\":20", "\"nouns\":20,\"decoder_level_blocks\":[17,2,1]", "1 to 16"},
    {"\"nouns\":20", "\"nouns\":20,\"decoder_multipliers\":[1,65,1]", "1 to 64"},
    {"\"nouns\":20", "\"nouns\":20,\"space_to_depth\":2", "space_to_depth must be true or false"},
    {"\"nouns\":20", "\"nouns\":20,\"space_to_deep\":true", "unknown key \"space_to_deep\""},
    {"\"nouns\":20", "\"nouns\":20,\"upsample_changes_channels\":\"yes\"", "must be true or false"},
    {"\"decoder_blocks\":2", "\"decoder_blocks\":0,\"upsample_changes_channels\":true",
     "a decoder that is not there"},
    {"\"channels\":8", "\"channels\":1024,\"decoder_multipliers\":[1,2,9]",
     "decoder_multipliers[2] gives more than 8192 channels"},
    {"{\"name\"", "[{\"name\"", "line 1"},
    {"{\"name\"", "7{\"name\"", "line 1"},
};

START_TEST(test_refused) {
  struct model_config config = tiny(), read;
  char *json = model_config_json(&config), changed[1024];
  const char *at = strstr(json, refused[_i].from);
  ck_assert_ptr_nonnull(at);
  snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - json), json, refused[_i].to,
           at + strlen(refused[_i].from));
  struct vqct_error error = {VQCT_OK, ""};
  ck_assert_int_eq(model_config_parse(changed, strlen(changed), &read, &error), VQCT_MODEL);
  ck_assert_msg(strstr(error.message, refused[_i].message) != NULL, "%s", error.message);
  free(json);
}
END_TEST

/* Counted from a PyTorch re-implementation of the same networks. */
START_TEST(test_parameter_counts) {
  struct parameter_list list;
  struct model_config config = model_preset_find("vqct-f16")->config;
  ck_assert_int_eq(network_parameters(&config, &list, NULL), VQCT_OK);
  size_t encoder = 0, decoder = 0, offset = 0;
  for (size_t i = 0; i < list.count; i++) {
    const struct parameter *p = &list.parameter[i];
    ck_assert_uint_eq(p->offset, offset);
    offset += p->count;
    ck_assert_ptr_eq(parameter_find(&list, p->name), p);
    bool first_half = strncmp(p->name, "encoder.", 8) == 0 || strncmp(p->name, "quant_", 6) == 0;
    *(first_half ? &encoder : &decoder) += p->count;
  }
  ck_assert_uint_eq(offset, list.total);
  ck_assert_uint_eq(encoder, 29429760);
  ck_assert_uint_eq(decoder, 42581123);
  ck_assert_uint_eq(list.largest, 512u * 512 * 9);
  parameter_list_free(&list);
  parameter_list_free(&list);
}
END_TEST

/* The longest names and the most parameters that a configuration can give. */
START_TEST(test_largest_configuration) {
  struct model_config config = tiny();
  config.levels = MODEL_LEVELS_MAX;
  config.encoder_blocks = config.decoder_blocks = 16;
  for (int level = 0; level < config.levels; level++) {
    config.multipliers[level] = 1 + level % 2;
    config.attention[level] = true;
  }
  ck_assert_int_eq(model_config_check(&config, NULL), VQCT_OK);
  struct parameter_list list;
  ck_assert_int_eq(network_parameters(&config, &list, NULL), VQCT_OK);
  ck_assert_ptr_nonnull(parameter_find(&list, "encoder.down.7.block.15.conv2.weight"));
  ck_assert_ptr_nonnull(parameter_find(&list, "decoder.up.7.attn.15.proj_out.weight"));
  ck_assert_ptr_null(parameter_find(&list, "decoder.up.7.block.0.nin_shortcut.weight"));
  ck_assert_ptr_nonnull(parameter_find(&list, "decoder.up.6.block.0.nin_shortcut.weight"));
  parameter_list_free(&list);
}
END_TEST

/* PyTorch's default range for the weight and the bias of a convolution; 0 for those of a norm. */
static double initial_bound(const struct parameter_list *list, size_t index) {
  const struct parameter *p = &list->parameter[index];
  const struct parameter *kernel = strstr(p->name, ".bias") ? p - 1 : p;
  const int *shape = kernel->shape;
  return kernel->dims == 4 ? 1 / sqrt(shape[1] * shape[2] * shape[3]) : 0;
}

START_TEST(test_initial_values) {
  struct parameter_list list;
  struct model_config config = tiny();
  ck_assert_int_eq(network_parameters(&config, &list, NULL), VQCT_OK);
  float *block = malloc(list.total * sizeof *block);
  float *other = malloc(list.total * sizeof *block);
  parameters_initialize(&list, 1, block);
  parameters_initialize(&list, 2, other);
  for (size_t i = 0; i < list.count; i++) {
    const struct parameter *p = &list.parameter[i];
    double sum = 0, square = 0, bound = initial_bound(&list, i);
    double constant = strstr(p->name, ".weight") != NULL;
    for (size_t n = 0; n < p->count; n++) {
      double value = block[p->offset + n];
      ck_assert(bound > 0 ? fabs(value) <= bound : value == constant);
      sum += value;
      square += value * value;
    }
    if (p->count < 1000)
      continue;
    /* A uniform variable: mean 0, variance bound^2 / 3; five standard errors are allowed. */
    double count = (double)p->count;
    ck_assert_double_lt(fabs(sum / count), 5 * bound / sqrt(3 * count));
    ck_assert_double_lt(fabs(3 * square / count / (bound * bound) - 1), 5 * 0.9 / sqrt(count));
    ck_assert(memcmp(block + p->offset, other + p->offset, p->count * sizeof *block) != 0);
  }
  free(block);
  free(other);
  parameter_list_free(&list);
}
END_TEST

int main(void) {
  TCase *cases = tcase_create("config");
  tcase_add_loop_test(cases, test_round_trip, 0, 5);
  tcase_add_test(cases, test_round_trip_of_what_may_be_left_out);
  tcase_add_test(cases, test_left_out_is_usual);
  tcase_add_loop_test(cases, test_refused, 0, sizeof refused / sizeof *refused);
  tcase_add_test(cases, test_parameter_counts);
  tcase_add_test(cases, test_largest_configuration);
  tcase_add_test(cases, test_initial_values);
  return suite_run("config", cases);
}
