/* Model files: written, read, and refused one fault after another. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../suite.h"
#include "presets.h"
#include "rng.h"
#include "weights.h"

static char directory[] = "/tmp/vqct-test-XXXXXX", path[64];
static struct model_config config;
static struct parameter_list list;
static float *block, codebook[32 * 8];
static const char *words[32];
static uint64_t counts[32];
static struct model_content content;

static void set_up(void) {
  strcpy(directory, "/tmp/vqct-test-XXXXXX");
  ck_assert_ptr_nonnull(mkdtemp(directory));
  snprintf(path, sizeof path, "%s/m.safetensors", directory);
  config = model_preset_find("vqct-tiny")->config;
  ck_assert_int_eq(network_parameters(&config, &list, NULL), VQCT_OK);
  block = malloc(list.total * sizeof *block);
  parameters_initialize(&list, 7, block);
  struct rng rng;
  rng_seed(&rng, 7, 99);
  for (size_t i = 0; i < 32 * 8; i++)
    codebook[i] = rng_normal(&rng);
  for (size_t i = 0; i < 32; i++) {
    static const char *const some[] = {"red", "", "caf\xc3\xa9", "tall grass"};
    words[i] = some[i % 4];
    counts[i] = i << 33;
  }
  content = (struct model_content){&config, block, codebook, words, counts};
}

static void tear_down(void) {
  free(block);
  parameter_list_free(&list);
  unlink(path);
  ck_assert_int_eq(rmdir(directory), 0); /* so no temporary file was left */
}

static void check_rest(const struct model_file *file) {
  ck_assert_mem_eq(file->codebook, codebook, sizeof codebook);
  ck_assert_mem_eq(file->training_counts, counts, sizeof counts);
  for (size_t i = 0; i < 32; i++)
    ck_assert_str_eq(model_file_word(file, i), words[i]);
}

static void check_content(const struct model_file *file, double tolerance) {
  float *read = malloc(list.total * sizeof *read);
  ck_assert_mem_eq(&file->config, &config, sizeof config);
  weights_to_block(file, read);
  for (size_t i = 0; i < list.total; i++)
    ck_assert_double_le(fabs((double)(read[i] - block[i])),
                        tolerance * fmax(fabs((double)block[i]), 0x1p-14)); /* below: subnormal */
  check_rest(file);
  free(read);
}

START_TEST(test_round_trip) {
  static const struct {
    enum tensor_type type;
    double tolerance; /* half a unit in the last place of 24, 11 and 8 bits */
  } types[] = {{TENSOR_F32, 0}, {TENSOR_F16, 0x1p-11}, {TENSOR_BF16, 0x1p-8}};
  struct model_file file;
  struct vqct_error error;
  ck_assert_int_eq(model_file_save(path, &content, types[_i].type, NULL), VQCT_OK);
  ck_assert_msg(model_file_open(path, &file, &error) == VQCT_OK, "%s", error.message);
  check_content(&file, types[_i].tolerance);

  struct weights weights;
  const float *values, *again;
  ck_assert_int_eq(weights_init(&weights, &file, NULL), VQCT_OK);
  struct parameter_source source = weights_source(&weights);
  float *read = malloc(list.total * sizeof *read);
  weights_to_block(&file, read);
  for (int i = 0; i < (int)list.count; i++) {
    const struct parameter *p = &list.parameter[i];
    ck_assert_int_eq(source.get(source.context, i, &values, NULL), VQCT_OK);
    ck_assert_int_eq(source.get(source.context, i, &again, NULL), VQCT_OK);
    ck_assert_ptr_eq(values, again);
    ck_assert_mem_eq(values, read + p->offset, p->count * sizeof *values);
  }
  for (int i = 0; i < (int)list.count; i++) {
    source.release(source.context, i);
    check_rest(&file);
    for (int n = i + 1; n < (int)list.count; n += 7) { /* what is not released is as it was */
      const struct parameter *p = &list.parameter[n];
      ck_assert_int_eq(source.get(source.context, n, &values, NULL), VQCT_OK);
      ck_assert_mem_eq(values, read + p->offset, p->count * sizeof *values);
    }
  }
  free(read);
  weights_free(&weights);
  model_file_close(&file);
  model_file_close(&file);
}
END_TEST

START_TEST(test_without_words) {
  struct model_file file;
  content.words = NULL;
  content.training_counts = NULL;
  ck_assert_int_eq(model_file_save(path, &content, TENSOR_F32, NULL), VQCT_OK);
  ck_assert_int_eq(model_file_open(path, &file, NULL), VQCT_OK);
  for (size_t i = 0; i < 32; i++)
    ck_assert(*model_file_word(&file, i) == '\0' && file.training_counts[i] == 0);
  model_file_close(&file);
}
END_TEST

START_TEST(test_parts) {
  ck_assert_int_eq(model_code_part(&config, 11), VQCT_ADJECTIVE);
  ck_assert_int_eq(model_code_part(&config, 12), VQCT_NOUN);
  config.quantizer = QUANTIZER_PLAIN;
  ck_assert_int_eq(model_code_part(&config, 0), VQCT_NO_PART);
}
END_TEST

START_TEST(test_save_refused) {
  char long_word[300] = "";
  memset(long_word, 'a', sizeof long_word - 1);
  struct vqct_error error;
  block[list.parameter[4].offset + 3] = NAN;
  ck_assert_int_eq(model_file_save(path, &content, TENSOR_F32, &error), VQCT_NOT_FINITE);
  ck_assert_ptr_nonnull(strstr(error.message, list.parameter[4].name));
  ck_assert_ptr_nonnull(strstr(error.message, "at number 3"));
  block[list.parameter[4].offset + 3] = 1e6f; /* not a half */
  ck_assert_int_eq(model_file_save(path, &content, TENSOR_F16, &error), VQCT_NOT_FINITE);
  block[list.parameter[4].offset + 3] = 1;
  codebook[0] = INFINITY;
  ck_assert_int_eq(model_file_save(path, &content, TENSOR_F32, &error), VQCT_NOT_FINITE);
  codebook[0] = 0;
  words[5] = "\xff";
  ck_assert_int_eq(model_file_save(path, &content, TENSOR_F32, &error), VQCT_INVALID);
  words[5] = "\x1b[1m";
  ck_assert_int_eq(model_file_save(path, &content, TENSOR_F32, &error), VQCT_INVALID);
  words[5] = long_word;
  ck_assert_int_eq(model_file_save(path, &content, TENSOR_F32, &error), VQCT_INVALID);
  ck_assert_int_eq(access(path, F_OK), -1);
  words[5] = "";
  ck_assert_int_eq(model_file_save("/dev/full", &content, TENSOR_F32, &error), VQCT_WRITE);
}
END_TEST

/* The tensors and texts of a sound file, to be changed in one point. */
struct parts {
  struct safetensors *source;
  struct tensor tensor[256];
  size_t tensors;
  struct safetensors_text text[2];
};

static struct tensor *part(struct parts *parts, const char *name) {
  for (size_t i = 0; i < parts->tensors; i++)
    if (strcmp(parts->tensor[i].name, name) == 0)
      return &parts->tensor[i];
  ck_abort_msg("no tensor %s", name);
}

static char bytes[4096];

/* A copy of the tensor's data that may be changed. */
static char *copy_data(struct tensor *tensor) {
  size_t size = tensor->count * tensor_type_size(tensor->type);
  ck_assert_uint_le(size, sizeof bytes);
  memcpy(bytes, tensor->data, size);
  tensor->data = bytes;
  return bytes;
}

static void drop_weight(struct parts *p) {
  *part(p, "decoder.conv_out.bias") = p->tensor[--p->tensors];
}

static void drop_counts(struct parts *p) {
  *part(p, "codebook.training_counts") = p->tensor[--p->tensors];
}

static void add_tensor(struct parts *p) {
  p->tensor[p->tensors] = p->tensor[0];
  p->tensor[p->tensors++].name = "loss.weight";
}

static void transpose_shape(struct parts *p) {
  struct tensor *tensor = part(p, "encoder.conv_in.weight");
  tensor->shape[0] = 3, tensor->shape[1] = 8;
}

static void drop_dimension(struct parts *p) {
  struct tensor *tensor = part(p, "quant_conv.weight");
  tensor->dims = 2;
}

static void change_type(struct parts *p) {
  struct tensor *tensor = part(p, "quant_conv.bias");
  tensor->type = TENSOR_I32;
}

static void not_a_number(struct parts *p) {
  ((float *)(void *)copy_data(part(p, "encoder.norm_out.bias")))[2] = NAN;
}

static void infinite_code(struct parts *p) {
  ((float *)(void *)copy_data(part(p, "codebook.weight")))[9] = -INFINITY;
}

static void half_codebook(struct parts *p) {
  part(p, "codebook.weight")->type = TENSOR_F16;
  copy_data(part(p, "codebook.weight"));
}

static void fewer_codes(struct parts *p) {
  part(p, "codebook.weight")->shape[0] = 31;
}

static void other_format(struct parts *p) {
  p->text[0].value = "2";
}

static void no_config(struct parts *p) {
  p->text[1].key = "config";
}

static void bad_config(struct parts *p) {
  p->text[1].value = "{}";
}

static void wrong_part(struct parts *p) {
  copy_data(part(p, "codebook.parts_of_speech"))[12] = 0;
}

static uint64_t *offsets_of(struct parts *p) {
  return (uint64_t *)(void *)copy_data(part(p, "codebook.word_offsets"));
}

static void first_offset(struct parts *p) {
  offsets_of(p)[0] = 1;
}

static void last_offset(struct parts *p) {
  offsets_of(p)[32]--;
}

static void huge_offset(struct parts *p) {
  offsets_of(p)[3] = UINT64_MAX;
}

static void falling_offset(struct parts *p) {
  offsets_of(p)[3] = 0;
}

static void few_offsets(struct parts *p) {
  part(p, "codebook.word_offsets")->shape[0] = 32;
}

static void unended_word(struct parts *p) {
  copy_data(part(p, "codebook.words"))[3] = 'x';
}

static void word_with_zero(struct parts *p) {
  copy_data(part(p, "codebook.words"))[1] = '\0';
}

static void word_not_utf8(struct parts *p) {
  copy_data(part(p, "codebook.words"))[1] = '\xff';
}

static void word_with_escape(struct parts *p) {
  copy_data(part(p, "codebook.words"))[1] = '\x1b';
}

static const struct {
  void (*change)(struct parts *);
  enum vqct_status status;
  const char *message;
} faults[] = {
    {drop_weight, VQCT_MODEL, "tensor \"decoder.conv_out.bias\" is missing"},
    {drop_counts, VQCT_MODEL, "tensor \"codebook.training_counts\" is missing"},
    {add_tensor, VQCT_MODEL, "tensor \"loss.weight\" is unexpected"},
    {transpose_shape, VQCT_MODEL,
     "\"encoder.conv_in.weight\" has shape [3, 8, 3, 3], not [8, 3, 3, 3]"},
    {drop_dimension, VQCT_MODEL, "\"quant_conv.weight\" has shape [16, 12], not [16, 12, 1, 1]"},
    {change_type, VQCT_MODEL, "\"quant_conv.bias\" is not of type F32, F16 or BF16"},
    {not_a_number, VQCT_NOT_FINITE, "\"encoder.norm_out.bias\" has NaN or infinity at number 2"},
    {infinite_code, VQCT_NOT_FINITE, "\"codebook.weight\" has NaN or infinity at number 9"},
    {half_codebook, VQCT_MODEL, "\"codebook.weight\" is not of type F32"},
    {fewer_codes, VQCT_MODEL, "\"codebook.weight\" has shape [31, 8], not [32, 8]"},
    {other_format, VQCT_MODEL, "format \"2\" is not known"},
    {no_config, VQCT_MODEL, "not a vqct model: its metadata has no vqct.config"},
    {bad_config, VQCT_MODEL, "configuration: name must be there"},
    {wrong_part, VQCT_MODEL, "\"codebook.parts_of_speech\" says 0 of code 12, not 1"},
    {first_offset, VQCT_MODEL, "does not cover all bytes"},
    {last_offset, VQCT_MODEL, "does not cover all bytes"},
    {huge_offset, VQCT_MODEL, "the word of code 2 is not 0 to 255 bytes long"},
    {falling_offset, VQCT_MODEL, "the word of code 2 is not 0 to 255 bytes long"},
    {few_offsets, VQCT_MODEL, "\"codebook.word_offsets\" has shape [32], not [33]"},
    {unended_word, VQCT_MODEL, "the word of code 0 is not UTF-8 text"},
    {word_with_zero, VQCT_MODEL, "the word of code 0 is not UTF-8 text"},
    {word_with_escape, VQCT_MODEL, "the word of code 0 is not UTF-8 text"},
    {word_not_utf8, VQCT_MODEL, "the word of code 0 is not UTF-8 text"},
};

START_TEST(test_faults) {
  struct parts p = {0};
  struct vqct_error error = {VQCT_OK, ""};
  ck_assert_int_eq(model_file_save(path, &content, TENSOR_F32, NULL), VQCT_OK);
  ck_assert_int_eq(safetensors_open(path, &p.source, NULL), VQCT_OK);
  p.tensors = safetensors_count(p.source);
  ck_assert_uint_lt(p.tensors, 256);
  for (size_t i = 0; i < p.tensors; i++)
    p.tensor[i] = *safetensors_tensor(p.source, i);
  static const char *const keys[] = {"vqct.format", "vqct.config"};
  for (size_t i = 0; i < 2; i++)
    p.text[i] = (struct safetensors_text){keys[i], safetensors_metadata(p.source, keys[i])};
  faults[_i].change(&p);
  ck_assert_int_eq(safetensors_save(path, p.tensor, p.tensors, p.text, 2, NULL), VQCT_OK);
  struct model_file file;
  ck_assert_int_eq(model_file_open(path, &file, &error), faults[_i].status);
  ck_assert_msg(strstr(error.message, faults[_i].message) != NULL, "%s", error.message);
  ck_assert_int_eq(strncmp(error.message, path, strlen(path)), 0);
  safetensors_close(p.source);
}
END_TEST

/* Damage within the header, and truncation, is refused or leaves a sound model. */
START_TEST(test_damage) {
  struct model_file file;
  uint64_t header;
  ck_assert_int_eq(model_file_save(path, &content, TENSOR_F16, NULL), VQCT_OK);
  FILE *stream = fopen(path, "rb");
  ck_assert_ptr_nonnull(stream);
  fseek(stream, 0, SEEK_END);
  size_t size = (size_t)ftell(stream);
  rewind(stream);
  char *data = malloc(size);
  ck_assert_uint_eq(fread(data, 1, size, stream), size);
  fclose(stream);
  ck_assert_int_eq(model_file_parse("F", data, size, &file, NULL), VQCT_OK);
  check_content(&file, 0x1p-11);
  model_file_close(&file);
  memcpy(&header, data, sizeof header);
  for (size_t cut = 0; cut < size; cut += 1 + cut / 8)
    ck_assert_int_eq(model_file_parse("F", data, cut, &file, NULL), VQCT_MODEL);
  for (size_t byte = 0; byte < 8 + header; byte += byte < 1024 ? 3 : 23) {
    data[byte] ^= (char)(1 << byte % 8);
    if (model_file_parse("F", data, size, &file, NULL) == VQCT_OK)
      model_file_close(&file);
    data[byte] ^= (char)(1 << byte % 8);
  }
  free(data);
}
END_TEST

/* The example of FIPS 180-2. */
START_TEST(test_checksum) {
  char text[CHECKSUM_SIZE];
  ck_assert_int_eq(checksum_bytes("abc", 3, text, NULL), VQCT_OK);
  ck_assert_str_eq(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
END_TEST

int main(void) {
  TCase *cases = tcase_create("model_file");
  tcase_set_timeout(cases, 60);
  tcase_add_checked_fixture(cases, set_up, tear_down);
  tcase_add_loop_test(cases, test_round_trip, 0, 3);
  tcase_add_test(cases, test_without_words);
  tcase_add_test(cases, test_parts);
  tcase_add_test(cases, test_save_refused);
  tcase_add_loop_test(cases, test_faults, 0, sizeof faults / sizeof *faults);
  tcase_add_test(cases, test_damage);
  tcase_add_test(cases, test_checksum);
  return suite_run("model_file", cases);
}
