/* An index holds nothing that its numbers do not, or it is refused: who reads tokens by the sidecar
 * would else never see that a training stack gets others. */
#include <string.h>

#include "error.h"
#include "little_endian.h"
#include "mapped_file.h"
#include "text.h"
#include "token_index.h"
#include "token_numbers.h"

static uint64_t u64_at(const unsigned char *at) {
  return little_endian_read(at) | (uint64_t)little_endian_read(at + 4) << 32;
}

/* ---- Megatron-LM ----------------------------------------------------------------------------- */

/* The three lists of an index, and how long they are. */
struct lists {
  const char *path;
  uint64_t sequences, entries;
  const unsigned char *lengths, *places, *documents;
};

static enum vqct_status find_lists(const struct mapped_file *file, bool wide, struct lists *lists,
                                   struct vqct_error *error) {
  const unsigned char *data = file->data;
  if (file->size < TOKEN_INDEX_HEADER || memcmp(data, token_index_magic, TOKEN_INDEX_MAGIC) != 0 ||
      u64_at(data + TOKEN_INDEX_MAGIC) != 1)
    return error_set(error, VQCT_TOKENS, "%s: not an index of Megatron-LM's version 1",
                     lists->path);
  int type = data[TOKEN_INDEX_MAGIC + 8];
  if (type != token_index_type(wide))
    return error_set(error, VQCT_TOKENS, "%s: numbers of type %d; its .jsonl tells of type %d",
                     lists->path, type, token_index_type(wide));
  const unsigned char *rest = data + TOKEN_INDEX_HEADER;
  uint64_t left = file->size - TOKEN_INDEX_HEADER;
  lists->sequences = u64_at(rest - 16);
  lists->entries = u64_at(rest - 8);
  if (lists->sequences > left / 12 || lists->entries > left / 8 ||
      12 * lists->sequences + 8 * lists->entries != left)
    return error_set(error, VQCT_TOKENS,
                     "%s: it tells of %llu sequences and %llu documents' places, and has %llu "
                     "bytes of them",
                     lists->path, (unsigned long long)lists->sequences,
                     (unsigned long long)lists->entries, (unsigned long long)left);
  lists->lengths = rest;
  lists->places = lists->lengths + 4 * lists->sequences;
  lists->documents = lists->places + 8 * lists->sequences;
  return VQCT_OK;
}

/* Sequences follow one another from the first of so many bytes to the last. */
static enum vqct_status check_sequences(const struct lists *lists, uint64_t bytes, bool wide,
                                        struct vqct_error *error) {
  uint64_t end = 0;
  for (uint64_t i = 0; i < lists->sequences; i++) {
    uint64_t place = u64_at(lists->places + 8 * i);
    if (place != end)
      return error_set(error, VQCT_TOKENS, "%s: sequence %llu is at byte %llu, not %llu",
                       lists->path, (unsigned long long)i, (unsigned long long)place,
                       (unsigned long long)end);
    end += (uint64_t)little_endian_read(lists->lengths + 4 * i) * token_number_size(wide);
  }
  return end == bytes ? VQCT_OK
                      : error_set(error, VQCT_TOKENS,
                                  "%s: its sequences have %llu bytes, and their file %llu",
                                  lists->path, (unsigned long long)end, (unsigned long long)bytes);
}

/* Documents begin with the first sequence, go on, and the last entry is the end of all. */
static enum vqct_status check_documents(const struct lists *lists, struct vqct_error *error) {
  uint64_t before = 0;
  for (uint64_t i = 0; i < lists->entries; i++) {
    uint64_t first = u64_at(lists->documents + 8 * i);
    if (i ? first <= before : first != 0)
      return error_set(error, VQCT_TOKENS, "%s: document %llu begins with sequence %llu",
                       lists->path, (unsigned long long)i, (unsigned long long)first);
    before = first;
  }
  return lists->entries && before == lists->sequences
             ? VQCT_OK
             : error_set(error, VQCT_TOKENS, "%s: its documents end at sequence %llu of %llu",
                         lists->path, (unsigned long long)before,
                         (unsigned long long)lists->sequences);
}

enum vqct_status token_index_check_megatron(const char *path, uint64_t bytes, bool wide,
                                            struct vqct_error *error) {
  struct mapped_file file;
  struct lists lists = {.path = path};
  enum vqct_status status = mapped_file_copy(path, &file, error);
  if (status != VQCT_OK)
    return status;
  status = find_lists(&file, wide, &lists, error);
  if (status == VQCT_OK)
    status = check_sequences(&lists, bytes, wide, error);
  if (status == VQCT_OK)
    status = check_documents(&lists, error);
  mapped_file_close(&file);
  return status;
}

/* ---- datatrove ------------------------------------------------------------------------------- */

static enum vqct_status check_ends(const char *path, const struct mapped_file *file, uint64_t count,
                                   struct vqct_error *error) {
  uint64_t end = 0;
  if (file->size % 8)
    return error_set(error, VQCT_TOKENS, "%s: %zu bytes are no numbers of eight", path, file->size);
  for (size_t i = 0; i < file->size / 8; i++) {
    uint64_t next = u64_at(file->data + 8 * i);
    if (next < end)
      return error_set(error, VQCT_TOKENS, "%s: document %zu ends at %llu, before it begins", path,
                       i, (unsigned long long)next);
    end = next;
  }
  return end == count ? VQCT_OK
                      : error_set(error, VQCT_TOKENS,
                                  "%s: its documents have %llu numbers, and their file %llu", path,
                                  (unsigned long long)end, (unsigned long long)count);
}

enum vqct_status token_index_check_datatrove(const char *path, uint64_t bytes, bool wide,
                                             struct vqct_error *error) {
  struct text name = {0};
  struct mapped_file file;
  text_print(&name, "%s" TOKEN_INDEX_DATATROVE, path);
  enum vqct_status status =
      name.failed ? error_set(error, VQCT_MEMORY, "no memory for the index of %s", path)
                  : mapped_file_copy(name.data, &file, error);
  if (status == VQCT_OK) {
    status = check_ends(name.data, &file, bytes / token_number_size(wide), error);
    mapped_file_close(&file);
  }
  text_free(&name);
  return status;
}
