/* Every allocation that writing, opening and importing a model make fails once: the result is
 * MEMORY, nothing is left and no file was written. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../failing_memory.h"
#include "../suite.h"
#include "import.h"
#include "presets.h"
#include "vqct/model.h"

static char directory[] = "/tmp/vqct-test-XXXXXX", model[64], checkpoint[64], output[64];
static struct model_config config;
static struct parameter_list list;
static struct model_content content;
static float *weights, *codebook;

/* A plain model, and its tensors as a checkpoint of taming. */
static void set_up(void) {
  strcpy(directory + sizeof directory - 7, "XXXXXX");
  ck_assert_ptr_nonnull(mkdtemp(directory));
  snprintf(model, sizeof model, "%s/model", directory);
  snprintf(checkpoint, sizeof checkpoint, "%s/checkpoint", directory);
  snprintf(output, sizeof output, "%s/output", directory);
  config = model_preset_find("vqct-tiny")->config;
  config.quantizer = QUANTIZER_PLAIN;
  config.adjectives = 0;
  config.adjective_k = 1;
  ck_assert_int_eq(network_parameters(&config, &list, NULL), VQCT_OK);
  weights = malloc(list.total * sizeof *weights);
  codebook = calloc((size_t)config.nouns * 8, sizeof *codebook);
  parameters_initialize(&list, 1, weights);
  content = (struct model_content){.config = &config, .weights = weights, .codebook = codebook};
  ck_assert_int_eq(model_file_save(model, &content, TENSOR_F16, NULL), VQCT_OK);
  struct tensor *tensors = calloc(list.count + 1, sizeof *tensors);
  for (size_t i = 0; i < list.count; i++) {
    const struct parameter *p = &list.parameter[i];
    tensors[i] = (struct tensor){
        .name = p->name, .type = TENSOR_F32, .dims = p->dims, .data = weights + p->offset};
    for (int n = 0; n < p->dims; n++)
      tensors[i].shape[n] = (size_t)p->shape[n];
  }
  tensors[list.count] = (struct tensor){.name = "quantize.embedding.weight",
                                        .type = TENSOR_F32,
                                        .dims = 2,
                                        .shape = {(size_t)config.nouns, 8},
                                        .data = codebook};
  ck_assert_int_eq(safetensors_save(checkpoint, tensors, list.count + 1, NULL, 0, NULL), VQCT_OK);
  free(tensors);
}

static void tear_down(void) {
  free(weights);
  free(codebook);
  parameter_list_free(&list);
  unlink(model);
  unlink(checkpoint);
  ck_assert_int_eq(rmdir(directory), 0); /* so nothing else was left */
}

static enum vqct_status save(struct vqct_error *error) {
  return model_file_save(output, &content, TENSOR_F16, error);
}

static enum vqct_status open_and_close(struct vqct_error *error) {
  struct vqct_model *opened;
  enum vqct_status status = vqct_model_open(model, &opened, error);
  vqct_model_close(opened);
  return status;
}

static enum vqct_status import(struct vqct_error *error) {
  struct arena arena;
  struct import import;
  struct exec exec = {.arena = &arena};
  struct import_request request = {
      .path = checkpoint, .name = "m", .config = &config, .distance = IMPORT_EUCLIDEAN};
  arena_init(&arena, 0);
  enum vqct_status status = import_read(&request, &exec, &import, error);
  import_free(&import);
  arena_free(&arena);
  return status;
}

static const struct {
  enum vqct_status (*perform)(struct vqct_error *);
  size_t least; /* allocations that there must be, or the test does not test */
} operations[] = {{save, 4}, {open_and_close, 20}, {import, 7}};

START_TEST(test_each_failure_is_reported) {
  size_t failures = 0;
  for (;; failures++) {
    struct vqct_error error = {.message = ""};
    failing_memory_arm(failures);
    enum vqct_status status = operations[_i].perform(&error);
    bool failed = failing_memory_disarm();
    if (!failed) {
      ck_assert_int_eq(status, VQCT_OK);
      break;
    }
    ck_assert_msg(status == VQCT_MEMORY, "allocation %zu: %s: %s", failures,
                  vqct_status_name(status), error.message);
    ck_assert_int_eq(error.status, VQCT_MEMORY);
    ck_assert_int_eq(access(output, F_OK), -1);
  }
  ck_assert_msg(failures >= operations[_i].least, "%zu", failures);
  unlink(output);
}
END_TEST

int main(void) {
  TCase *cases = tcase_create("failures");
  tcase_add_checked_fixture(cases, set_up, tear_down);
  tcase_add_loop_test(cases, test_each_failure_is_reported, 0,
                      sizeof operations / sizeof *operations);
  return suite_run("model memory", cases);
}
