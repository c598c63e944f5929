/* Any bytes as one file of a set of tokens whose other files are right: the first byte says which
 * of them. Sets of each form lie in a folder, of two pictures with 1 x 2 positions of two planes;
 * mutations begin anew from the right file now and then, so that no corpus has to find it. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "npy.h"
#include "tar_writer.h"
#include "token_file.h"

#define NUMBERS "\1\0\2\0\x0e\0\x0f\0" /* a picture: adjectives 1 and 2, nouns 2 and 3 */

#define SIDE(more) "{\"tokens\": \"uint16\", \"planes\": [1, 2], \"shard_size\": 2" more "}\n"
#define LINE(row, offset, more)                                                                    \
  "{\"image\": \"a\", \"row\": " row ", \"offset\": " offset ", \"grid\": [1, 2]" more "}\n"
#define LAST "{\"pictures\": 2, \"passed_over\": {}}\n"

struct part {
  const char *set, *file; /* what is opened, and which of its files this is */
  unsigned char bytes[8192];
  size_t size;
};

#define TEXT(text) text, sizeof(text) - 1

static struct part parts[] = {
    {"a.npy", "a.npy", "", 0},
    {"a.npy", "a.jsonl", TEXT(SIDE("") LINE("0", "0", "") LINE("1", "8", "") LAST)},
    {"b.npy", "b-16x8.npy", "", 0},
    {"b.npy", "b.jsonl",
     TEXT(SIDE(", \"views\": {\"count\": 1, \"buckets\": [[16, 8]]}") LINE(
         "0", "0", ", \"bucket\": \"16x8\"") LINE("1", "8", ", \"bucket\": \"16x8\"") LAST)},
    {"p.bin", "p.bin",
     TEXT("\x28\0\1\0\2\0\x29\0\x0e\0\x0f\0\x29\0\x28\0\1\0\2\0\x29\0\x0e\0\x0f\0\x29\0")},
    {"p.bin", "p.jsonl",
     TEXT(SIDE(
         ", \"layout\": {\"order\": \"planes\", \"offset\": 0, \"begin\": 40, \"row_end\": 41}")
              LINE("0", "0", "") LINE("1", "14", "") LAST)},
    {"t.tokens.jsonl", "t.tokens.jsonl",
     TEXT("{\"tokens\": [4, 17, 5, 18]}\n{\"tokens\": [4, 17, 5, 18]}\n")},
    {"t.tokens.jsonl", "t.jsonl",
     TEXT(SIDE(", \"layout\": {\"order\": \"interleaved\", \"offset\": 3}")
              LINE("0", "0", ", \"bytes\": 27") LINE("1", "27", ", \"bytes\": 27") LAST)},
    {"w.tar", "w-000000.tar", "", 0},
    {"w.tar", "w.jsonl", TEXT(SIDE("") LINE("0", "0", "") LINE("1", "0", "") LAST)},
    {"m.mds", "m.mds/index.json",
     TEXT("{\"shards\": [{\"column_names\": [\"tokens\"], \"column_sizes\": [null], "
          "\"column_encodings\": [\"ndarray:uint16\"], \"raw_data\": {\"basename\": \"s\"}, "
          "\"samples\": 2}]}")},
    {"m.mds", "m.mds/s",
     TEXT("\2\0\0\0\x10\0\0\0\x20\0\0\0\x30\0\0\0"
          "\x0c\0\0\0\x0c\2\1\2" NUMBERS "\x0c\0\0\0\x0c\2\1\2" NUMBERS)},
    {"m.mds", "m.jsonl", TEXT(SIDE("") LINE("0", "0", "") LINE("1", "0", "") LAST)},
};
enum { PARTS = sizeof parts / sizeof *parts };

static char folder[] = "/tmp/fuzz_token_set-XXXXXX";

static const struct vqct_plane planes[] = {{"adjective", 0, 12}, {"noun", 12, 20}};
static const struct vqct_model_info model = {.name = "F",
                                             .checksum = "",
                                             .downsampling = 8,
                                             .channels = 3,
                                             .planes = 2,
                                             .plane = planes,
                                             .codes = 32};

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t room);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed);

/* ---- the sets -------------------------------------------------------------------------------- */

static const char *path_of(const char *name) {
  static char path[128];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static void write_file(const char *name, const void *bytes, size_t size) {
  FILE *file = fopen(path_of(name), "wb");
  if (!file || fwrite(bytes, 1, size, file) != size || fclose(file) != 0)
    abort();
}

static void append(struct part *part, const void *bytes, size_t size) {
  if (size > sizeof part->bytes - part->size)
    abort();
  memcpy(part->bytes + part->size, bytes, size);
  part->size += size;
}

/* An array of so many pictures; without a number, of one picture alone. */
static void append_array(struct part *part, size_t pictures) {
  const size_t shape[] = {pictures, 2, 1, 2};
  char header[NPY_HEADER_SIZE];
  npy_header(TENSOR_U16, pictures ? 4 : 3, pictures ? shape : shape + 1, header);
  append(part, header, sizeof header);
  for (size_t i = 0; i < (pictures ? pictures : 1); i++)
    append(part, NUMBERS, sizeof NUMBERS - 1);
}

static enum vqct_status to_part(void *context, const void *data, size_t size,
                                struct vqct_error *error) {
  (void)error;
  append(context, data, size);
  return VQCT_OK;
}

static void make_tar(struct part *part) {
  struct libarchive library = {0};
  struct part array = {.size = 0};
  struct tar_writer *writer;
  struct vqct_error error;
  append_array(&array, 0);
  if (libarchive_load(&library, &error) ||
      tar_writer_new(&library, to_part, part, &writer, &error) ||
      tar_writer_add(writer, "a.npy", array.bytes, array.size, &error) ||
      tar_writer_add(writer, "a.cls", "3", 1, &error) ||
      tar_writer_add(writer, "b.npy", array.bytes, array.size, &error) ||
      tar_writer_end(writer, &error))
    abort();
  tar_writer_free(writer);
}

/* Opens a set and reads all of it. */
static enum vqct_status read_set(const char *name) {
  struct token_file *file;
  struct vqct_error error = {VQCT_OK, ""};
  enum vqct_status status = token_file_open(path_of(name), &model, false, &file, &error);
  if (!file != (status != VQCT_OK) || (!file && (status != error.status || !error.message[0])))
    abort();
  for (size_t i = 0; i < (file ? token_file_count(file) : 0); i++) {
    uint32_t height, width;
    token_file_grid(file, i, &height, &width);
    uint32_t *tokens = malloc(sizeof *tokens * model.planes * height * width);
    if (!tokens || token_file_read(file, i, tokens, &error) != VQCT_OK)
      abort();
    for (size_t t = 0; t < (size_t)model.planes * height * width; t++)
      if (tokens[t] >= model.codes)
        abort();
    free(tokens);
  }
  token_file_close(file);
  return status;
}

static void remove_all(void) {
  for (size_t i = 0; i < PARTS; i++)
    remove(path_of(parts[i].file));
  rmdir(path_of("m.mds"));
  rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  if (!mkdtemp(folder) || mkdir(path_of("m.mds"), 0700) != 0)
    abort();
  atexit(remove_all);
  append_array(&parts[0], 2);
  append_array(&parts[2], 2);
  make_tar(&parts[8]);
  for (size_t i = 0; i < PARTS; i++)
    write_file(parts[i].file, parts[i].bytes, parts[i].size);
  for (size_t i = 0; i < PARTS; i++)
    if (read_set(parts[i].set) != VQCT_OK)
      abort();
  return 0;
}

/* ---- inputs ---------------------------------------------------------------------------------- */

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed) {
  const struct part *part = &parts[seed / 16 % PARTS];
  if ((size && seed % 16) || part->size >= room)
    return LLVMFuzzerMutate(data, size, room);
  data[0] = (uint8_t)(part - parts);
  memcpy(data + 1, part->bytes, part->size);
  return 1 + LLVMFuzzerMutate(data + 1, part->size, room - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!size || data[0] >= PARTS)
    return 0;
  const struct part *part = &parts[data[0]];
  write_file(part->file, data + 1, size - 1);
  read_set(part->set);
  write_file(part->file, part->bytes, part->size);
  return 0;
}
