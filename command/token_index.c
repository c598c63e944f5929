#include "token_index.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "atomic_file.h"
#include "error.h"
#include "text.h"
#include "token_numbers.h"

const char token_index_magic[TOKEN_INDEX_MAGIC] = "MMIDIDX\0";

int token_index_type(bool wide) {
  return wide ? 4 : 8;
}

enum vqct_status token_lengths_add(struct token_lengths *lengths, uint64_t length,
                                   struct vqct_error *error) {
  if (lengths->count == lengths->room) {
    size_t room = lengths->room ? 2 * lengths->room : 1024;
    uint32_t *grown = room > lengths->room ? realloc(lengths->each, room * sizeof *grown) : NULL;
    if (!grown)
      return error_set(error, VQCT_MEMORY, "no memory for the index of %zu pictures", room);
    lengths->each = grown;
    lengths->room = room;
  }
  lengths->each[lengths->count++] = (uint32_t)length;
  return VQCT_OK;
}

void token_lengths_free(struct token_lengths *lengths) {
  free(lengths->each);
  *lengths = (struct token_lengths){0};
}

static void add_u64(struct text *bytes, uint64_t value) {
  text_add_u32(bytes, (uint32_t)value);
  text_add_u32(bytes, (uint32_t)(value >> 32));
}

static enum vqct_status save(const char *path, const char *suffix, struct text *bytes,
                             struct vqct_error *error) {
  struct text name = {0};
  text_print(&name, "%s%s", path, suffix);
  enum vqct_status status =
      bytes->failed || name.failed
          ? error_set(error, VQCT_MEMORY, "no memory for the index of %s", path)
          : atomic_file_save(name.data, bytes->data, bytes->size, error);
  text_free(&name);
  text_free(bytes);
  return status;
}

void token_index_drop(const char *path, const char *suffix) {
  struct text name = {0};
  text_print(&name, "%s%s", path, suffix);
  if (!name.failed)
    unlink(name.data);
  text_free(&name);
}

enum vqct_status token_index_megatron(const char *path, const struct token_lengths *lengths,
                                      unsigned document, bool wide, struct vqct_error *error) {
  const char type = (char)token_index_type(wide);
  struct text bytes = {0};
  uint64_t place = 0;
  text_add(&bytes, token_index_magic, TOKEN_INDEX_MAGIC);
  add_u64(&bytes, 1);
  text_add(&bytes, &type, 1);
  add_u64(&bytes, lengths->count);
  add_u64(&bytes, lengths->count / document + 1);
  for (size_t i = 0; i < lengths->count; i++)
    text_add_u32(&bytes, lengths->each[i]);
  for (size_t i = 0; i < lengths->count; i++) {
    add_u64(&bytes, place);
    place += (uint64_t)lengths->each[i] * token_number_size(wide);
  }
  for (size_t i = 0; i <= lengths->count; i += document)
    add_u64(&bytes, i);
  return save(path, "", &bytes, error);
}

enum vqct_status token_index_datatrove(const char *path, const struct token_lengths *lengths,
                                       bool wide, struct vqct_error *error) {
  struct text ends = {0}, metadata = {0};
  uint64_t end = 0;
  for (size_t i = 0; i < lengths->count; i++)
    add_u64(&ends, end += lengths->each[i]);
  text_print(&metadata, "vqct|%zu\n%llu\n%.2f M", token_number_size(wide), (unsigned long long)end,
             (double)end / 1e6);
  enum vqct_status status = save(path, TOKEN_INDEX_DATATROVE, &ends, error);
  if (status == VQCT_OK)
    return save(path, ".metadata", &metadata, error);
  text_free(&metadata);
  return status;
}
