/* Every allocation of a transfer, of embeddings and of CLIP fails once: the result is MEMORY and
 * nothing is left behind, which AddressSanitizer's build of this test sees. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../failing_memory.h"
#include "../folder.h"
#include "../suite.h"
#include "clip.h"
#include "embeddings.h"
#include "prior_embed.h"
#include "safetensors.h"
#include "transfer.h"

/* ---- a folder of files ----------------------------------------------------------------------- */

/* All bytes in GPT-2's alphabet, alone and at the end of a word, and two merges. */
static size_t write_tokenizer(void) {
  FILE *file = folder_create("vocab.json");
  unsigned number = 2;
  fputs("{\"<|startoftext|>\":0,\"<|endoftext|>\":1", file);
  for (unsigned c = 0x21; c <= 0x143; c++)
    if (c <= 0x7e || (c >= 0xa1 && c != 0xad))
      for (int last = 0; last < 2; last++)
        fprintf(file, ",\"\\u%04x%s\":%u", c, last ? "</w>" : "", number++);
  fprintf(file, ",\"do\":%u,\"dog</w>\":%u}", number, number + 1);
  fclose(file);
  file = folder_create("merges.txt");
  fputs("#version: 0.2\nd o\ndo g</w>\n", file);
  fclose(file);
  return number + 2;
}

#define WIDTH  ((size_t)8)
#define HIDDEN ((size_t)12)

static const struct {
  const char *name;
  size_t rows, columns; /* columns 0: one dimension */
} layer_tensors[] = {
    {"layer_norm1.weight", WIDTH, 0},
    {"layer_norm1.bias", WIDTH, 0},
    {"layer_norm2.weight", WIDTH, 0},
    {"layer_norm2.bias", WIDTH, 0},
    {"self_attn.q_proj.weight", WIDTH, WIDTH},
    {"self_attn.q_proj.bias", WIDTH, 0},
    {"self_attn.k_proj.weight", WIDTH, WIDTH},
    {"self_attn.k_proj.bias", WIDTH, 0},
    {"self_attn.v_proj.weight", WIDTH, WIDTH},
    {"self_attn.v_proj.bias", WIDTH, 0},
    {"self_attn.out_proj.weight", WIDTH, WIDTH},
    {"self_attn.out_proj.bias", WIDTH, 0},
    {"mlp.fc1.weight", HIDDEN, WIDTH},
    {"mlp.fc1.bias", HIDDEN, 0},
    {"mlp.fc2.weight", WIDTH, HIDDEN},
    {"mlp.fc2.bias", WIDTH, 0},
};
#define LAYER_TENSORS (sizeof layer_tensors / sizeof *layer_tensors)

static struct tensor half_tensor(const char *name, size_t rows, size_t columns,
                                 const uint16_t *data) {
  return (struct tensor){.name = name,
                         .type = TENSOR_F16,
                         .dims = columns ? 2 : 1,
                         .shape = {rows, columns},
                         .data = data};
}

/* One layer in fp16, so that every tensor is converted. */
static void write_model(size_t tokens) {
  size_t most = tokens * WIDTH, count = 0;
  uint16_t *numbers = calloc(most, sizeof *numbers);
  static char names[LAYER_TENSORS][96];
  struct tensor tensors[LAYER_TENSORS + 5];
  ck_assert_ptr_nonnull(numbers);
  for (size_t i = 0; i < most; i++)
    numbers[i] = (uint16_t)(0x3000 + i * 37 % 2048); /* 0.125 to 0.5 */
  for (; count < LAYER_TENSORS; count++) {
    snprintf(names[count], sizeof names[count], "text_model.encoder.layers.0.%s",
             layer_tensors[count].name);
    tensors[count] =
        half_tensor(names[count], layer_tensors[count].rows, layer_tensors[count].columns, numbers);
  }
  tensors[count++] =
      half_tensor("text_model.embeddings.token_embedding.weight", tokens, WIDTH, numbers);
  tensors[count++] =
      half_tensor("text_model.embeddings.position_embedding.weight", 32, WIDTH, numbers);
  tensors[count++] = half_tensor("text_model.final_layer_norm.weight", WIDTH, 0, numbers);
  tensors[count++] = half_tensor("text_model.final_layer_norm.bias", WIDTH, 0, numbers);
  tensors[count++] = half_tensor("text_projection.weight", 6, WIDTH, numbers);
  ck_assert_int_eq(
      safetensors_save(in_folder("model.safetensors").text, tensors, count, NULL, 0, NULL),
      VQCT_OK);
  free(numbers);
}

static void make_folder(void) {
  folder_make();
  write_model(write_tokenizer());
  FILE *file = folder_create("config.json");
  fputs("{\"num_attention_heads\": 2}", file);
  fclose(file);
  file = folder_create("vectors.txt");
  fputs("red 1 2 3\ndog 4 5 6\n", file);
  fclose(file);
  file = folder_create("vectors.json");
  fputs("{\"dimensions\": 2, \"vectors\": {\"red\": [1, 2], \"dog\": [3, 4]}}", file);
  fclose(file);
}

static void remove_folder(void) {
  static const char *const names[] = {"vocab.json",  "merges.txt",  "model.safetensors",
                                      "config.json", "vectors.txt", "vectors.json"};
  folder_remove(names, sizeof names / sizeof *names);
}

/* ---- what is done while memory fails --------------------------------------------------------- */

static const char *const words[] = {"red", "dog", "house"};
static const uint64_t counts[] = {3, 2, 1};
static const float vectors[] = {1, 2, 3, 4, 5, 6};
static const struct prior_edge edges[] = {{0, 1, 2}, {0, 2, 1}};

static struct prior sample(void) {
  return (struct prior){.adjectives = 1,
                        .nouns = 2,
                        .words = 3,
                        .dimension = 2,
                        .edge_count = 2,
                        .word = words,
                        .count = counts,
                        .embeddings = vectors,
                        .edges = edges,
                        .provenance = "{}"};
}

/* Makes a transfer and runs it forward and backward. */
static enum vqct_status run_transfer(enum vqct_train_codes kind, const struct exec *exec,
                                     struct vqct_error *error) {
  struct transfer_config config = {
      .kind = kind, .codes = 3, .code_dimension = 4, .standardize = true, .dropout = 0.5F};
  struct prior prior = sample();
  struct transfer *transfer;
  float parameters[64], gradients[64] = {0}, codes[12];
  enum vqct_status status = transfer_new(&config, &prior, exec, &transfer, error);
  if (status != VQCT_OK)
    return status;
  parameters_initialize(transfer_parameters(transfer), 1, parameters);
  status = transfer_forward(transfer, parameters, true, 0, codes, exec);
  if (status == VQCT_OK)
    status = transfer_backward(transfer, parameters, codes, gradients, exec);
  transfer_free(transfer);
  return status;
}

static enum vqct_status load_embeddings(const char *name, struct vqct_error *error) {
  struct word_table wanted = {0};
  struct embeddings result;
  uint32_t id;
  struct path path = in_folder(name);
  const struct embeddings_source source = {.path = path.text};
  enum vqct_status status = VQCT_MEMORY;
  if (word_table_add(&wanted, "red", 3, &id) && word_table_add(&wanted, "dog", 3, &id))
    status = embeddings_load(&source, &wanted, &result, error);
  if (status == VQCT_OK)
    embeddings_free(&result);
  word_table_free(&wanted);
  return status;
}

static enum vqct_status embed_words(const struct exec *exec, struct vqct_error *error) {
  const struct prior_prompts prompts = PRIOR_PROMPTS_DEFAULT;
  struct prior prior = sample();
  struct clip *clip;
  enum vqct_status status = clip_open(folder, &clip, error);
  if (status != VQCT_OK)
    return status;
  arena_init(&prior.memory, 0);
  status = prior_embed(&prior, clip, "clip", &prompts, NULL, NULL, exec, error);
  clip_close(clip);
  arena_free(&prior.memory);
  return status;
}

enum operation { TEXT = VQCT_CODES_EMA, JSON, CLIP, OPERATIONS };

START_TEST(each_failure_is_reported) {
  size_t failures = 0;
  for (bool failed = true; failed; failures += failed) {
    struct vqct_error error = {VQCT_OK, ""};
    struct arena arena;
    const struct exec exec = {.arena = &arena};
    enum vqct_status status;
    arena_init(&arena, 0);
    failing_memory_arm(failures);
    if (_i == CLIP)
      status = embed_words(&exec, &error);
    else if (_i >= TEXT)
      status = load_embeddings(_i == TEXT ? "vectors.txt" : "vectors.json", &error);
    else
      status = run_transfer((enum vqct_train_codes)_i, &exec, &error);
    failed = failing_memory_disarm();
    arena_free(&arena);
    ck_assert_msg(status == (failed ? VQCT_MEMORY : VQCT_OK), "operation %d, allocation %zu: %s %s",
                  _i, failures, vqct_status_name(status), error.message);
  }
  ck_assert_uint_ge(failures, _i == CLIP ? 30 : _i == VQCT_CODES_FREE ? 1 : 2);
}
END_TEST

int main(void) {
  TCase *tests = tcase_create("each allocation");
  tcase_add_unchecked_fixture(tests, make_folder, remove_folder);
  tcase_add_loop_test(tests, each_failure_is_reported, 0, OPERATIONS);
  return suite_run("language memory", tests);
}
