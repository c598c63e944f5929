/* Every allocation that reading other people's files makes fails once: checkpoints of PyTorch, an
 * index with shards of both kinds, a family's configuration, and the words of a released VQCT. The
 * result is MEMORY, and nothing is left behind, which AddressSanitizer's build of this test sees.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zip.h>

#include "../failing_memory.h"
#include "../folder.h"
#include "../suite.h"
#include "import.h"
#include "presets.h"
#include "prior_convert.h"
#include "safetensors.h"

#define TENSORS_MAX 400

/* ---- a checkpoint ---------------------------------------------------------------------------- */

static char averages[TENSORS_MAX / 2][96];
static struct tensor tensors[TENSORS_MAX];
static size_t tensor_count;

/* A plain model's tensors under taming's names, and their averages. */
static void make_tensors(float *numbers) {
  struct model_config config = model_preset_find("vqct-tiny")->config;
  static struct parameter_list list;
  config.quantizer = QUANTIZER_PLAIN;
  config.adjectives = 0;
  config.adjective_k = 1;
  ck_assert_int_eq(network_parameters(&config, &list, NULL), VQCT_OK);
  ck_assert_uint_lt(2 * list.count + 2, TENSORS_MAX);
  for (size_t i = 0; i < list.count; i++) {
    const struct parameter *p = &list.parameter[i];
    struct tensor *tensor = &tensors[tensor_count++];
    *tensor =
        (struct tensor){.name = p->name, .type = TENSOR_F32, .dims = p->dims, .data = numbers};
    for (int n = 0; n < p->dims; n++)
      tensor->shape[n] = (size_t)p->shape[n];
  }
  tensors[tensor_count++] = (struct tensor){.name = "quantize.embedding.weight",
                                            .type = TENSOR_F32,
                                            .dims = 2,
                                            .shape = {(size_t)config.nouns, 8},
                                            .data = numbers};
  for (size_t i = 0, count = tensor_count; i < count; i++) {
    size_t used = (size_t)snprintf(averages[i], sizeof averages[i], "model_ema.");
    for (const char *c = tensors[i].name; *c; c++)
      if (*c != '.')
        averages[i][used++] = *c;
    tensors[tensor_count] = tensors[i];
    tensors[tensor_count++].name = averages[i];
  }
}

static void put_text(FILE *file, const char *text) {
  unsigned length = (unsigned)strlen(text);
  fprintf(file, "X%c%c%c%c%s", (int)(length & 255), (int)(length >> 8), 0, 0, text);
}

static void put_integers(FILE *file, const size_t *numbers, int count) {
  fputc('(', file);
  for (int i = 0; i < count; i++)
    fprintf(file, "I%zu\n", numbers[i]);
  fputc('t', file);
}

/* The pickle of a dictionary of tensors, all views of one storage. */
static void put_pickle(FILE *file, size_t first, size_t end, size_t numbers) {
  fputs("\x80\x02}(", file);
  for (size_t i = first; i < end; i++) {
    size_t stride[TENSOR_DIMS_MAX], step = 1;
    for (int n = tensors[i].dims - 1; n >= 0; n--) {
      stride[n] = step;
      step *= tensors[i].shape[n];
    }
    put_text(file, tensors[i].name);
    fputs("ctorch._utils\n_rebuild_tensor_v2\n((Vstorage\nctorch\nFloatStorage\nV0\nVcpu\n", file);
    fprintf(file, "I%zu\ntQI0\n", numbers);
    put_integers(file, tensors[i].shape, tensors[i].dims);
    put_integers(file, stride, tensors[i].dims);
    fputs("\x89)tR", file);
  }
  fputs("u.", file);
}

static void write_torch_file(const char *name, size_t first, size_t end, const float *numbers,
                             size_t count) {
  char *pickle;
  size_t size;
  int fault;
  FILE *stream = open_memstream(&pickle, &size);
  put_pickle(stream, first, end, count);
  fclose(stream);
  zip_t *zip = zip_open(in_folder(name).text, ZIP_CREATE, &fault);
  zip_file_add(zip, "f/data.pkl", zip_source_buffer(zip, pickle, size, 0), 0);
  zip_file_add(zip, "f/data/0", zip_source_buffer(zip, numbers, count * sizeof *numbers, 0), 0);
  zip_file_add(zip, "f/byteorder", zip_source_buffer(zip, "little", 6, 0), 0);
  for (zip_uint64_t i = 0; i < 3; i++)
    ck_assert_int_eq(zip_set_file_compression(zip, i, ZIP_CM_STORE, 0), 0);
  ck_assert_int_eq(zip_close(zip), 0);
  free(pickle);
}

static void write_index(void) {
  size_t half = tensor_count / 4;
  ck_assert_int_eq(safetensors_save(in_folder("a.safetensors").text, tensors, half, NULL, 0, NULL),
                   VQCT_OK);
  FILE *file = folder_create("model.safetensors.index.json");
  fputs("{\"weight_map\":{", file);
  for (size_t i = 0; i < tensor_count / 2; i++)
    fprintf(file, "%s\"%s\":\"%s\"", i ? "," : "", tensors[i].name,
            i < half ? "a.safetensors" : "b.bin");
  fputs("}}", file);
  fclose(file);
}

/* ---- words ----------------------------------------------------------------------------------- */

#define STORAGE                                                                                    \
  "\x80\x02\x8a\x0al\xfc\x9c"                                                                      \
  "F\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}.\x80\x02(X\x07\0\0\0storagectorch\nFloatStorage\n" \
  "X\x01\0\0\0"                                                                                    \
  "0X\x03\0\0\0cpuK\x02NtQ.\x80\x02]X\x01\0\0\0"                                                   \
  "0a.\x02\0\0\0\0\0\0\0\0\0\x80?\0\0\0@"

/* A tensor, an array of numpy and numbers. */
static void write_words(void) {
  static const char storage[] = STORAGE;
  FILE *file = folder_create("words.pkl");
  fputs(
      "(dVadj_code_book_num\n(dVr\\u00e9d\nI20\nssVnoun_code_book_num\n(dVdog\nI30\nsVcat\nI11\nss"
      "Vadj_noun_edges\n(l(Vr\\u00e9d\nVdog\ntasVadj_code_book_vec\n(dVr\\u00e9d\n"
      "ctorch._utils\n_rebuild_tensor_v2\n(ctorch.storage\n_load_from_bytes\n(T",
      file);
  fprintf(file, "%c%c%c%c", (int)(sizeof storage - 1), 0, 0, 0);
  fwrite(storage, 1, sizeof storage - 1, file);
  fputs("tRI0\n(I2\nt(I1\ntI00\nNtRssVnoun_code_book_vec\n(dVcat\n(lF1.5\naI2\nasVdog\n"
        "cnumpy.core.numeric\n_frombuffer\n(c_codecs\nencode\n(V\\u0000\\u0000\x80?\\u0000"
        "\\u0000\\u0000@\nVlatin1\ntRcnumpy\ndtype\n(Vf4\nI00\nI01\ntR(I3\nV<\nNNNI-1\nI-1\nI0\ntb"
        "(I2\ntVC\ntRss.",
        file);
  fclose(file);
  file = folder_create("words.json");
  fputs("{\"adj_code_book_num\":{\"red\":20},\"noun_code_book_num\":{\"dog\":30},"
        "\"adj_code_book_vec\":{\"red\":[1,2.5]},\"noun_code_book_vec\":{\"dog\":[3,4]},"
        "\"adj_noun_edges\":[[\"red\",\"dog\"]]}",
        file);
  fclose(file);
}

static void make_folder(void) {
  enum { NUMBERS = 1 << 14 };
  static float numbers[NUMBERS];
  folder_make();
  make_tensors(numbers);
  write_torch_file("model.ckpt", 0, tensor_count, numbers, NUMBERS);
  write_torch_file("b.bin", tensor_count / 4, tensor_count / 2, numbers, NUMBERS);
  write_index();
  FILE *file = folder_create("config.json");
  fputs("{\"_class_name\": \"VQModel\", \"norm_num_groups\": 4}", file);
  fclose(file);
  write_words();
}

static void remove_folder(void) {
  static const char *const names[] = {
      "model.ckpt",  "b.bin",     "a.safetensors", "model.safetensors.index.json",
      "config.json", "words.pkl", "words.json"};
  folder_remove(names, sizeof names / sizeof *names);
}

/* ---- what is done while memory fails --------------------------------------------------------- */

static const struct {
  const char *name; /* "": the folder */
  bool words, averages;
  size_t least; /* allocations that there must be, or the test does not test */
} operations[] = {{"model.ckpt", false, false, 12},
                  {"model.ckpt", false, true, 12},
                  {"", false, false, 12},
                  {"words.pkl", true, false, 12},
                  {"words.json", true, false, 6}};

static enum vqct_status convert(const char *path, struct vqct_error *error) {
  struct prior prior;
  enum vqct_status status = prior_convert(path, &prior, error);
  prior_free(&prior);
  return status;
}

static enum vqct_status import(const char *path, bool averaged, struct vqct_error *error) {
  struct path config = in_folder("config.json");
  struct arena arena;
  struct import import;
  struct exec exec = {.arena = &arena};
  struct import_request request = {.path = path,
                                   .name = "m",
                                   .averages = averaged,
                                   .source_config = config.text,
                                   .distance = IMPORT_EUCLIDEAN};
  arena_init(&arena, 0);
  enum vqct_status status = import_read(&request, &exec, &import, error);
  import_free(&import);
  arena_free(&arena);
  return status;
}

START_TEST(each_failure_is_reported) {
  struct path path = in_folder(operations[_i].name);
  size_t failures = 0;
  for (bool failed = true; failed; failures += failed) {
    struct vqct_error error = {VQCT_OK, ""};
    failing_memory_arm(failures);
    enum vqct_status status = operations[_i].words
                                  ? convert(path.text, &error)
                                  : import(path.text, operations[_i].averages, &error);
    failed = failing_memory_disarm();
    ck_assert_msg(status == (failed ? VQCT_MEMORY : VQCT_OK), "%s, allocation %zu: %s %s",
                  path.text, failures, vqct_status_name(status), error.message);
    ck_assert_int_eq(error.status, status);
  }
  ck_assert_msg(failures >= operations[_i].least, "%zu", failures);
}
END_TEST

int main(void) {
  TCase *cases = tcase_create("each allocation");
  tcase_set_timeout(cases, 60);
  tcase_add_unchecked_fixture(cases, make_folder, remove_folder);
  tcase_add_loop_test(cases, each_failure_is_reported, 0, sizeof operations / sizeof *operations);
  return suite_run("readers memory", cases);
}
