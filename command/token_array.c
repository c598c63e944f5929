#include "token_array.h"

#include "error.h"

enum vqct_status token_array_open(struct token_array *array, char *path, uint64_t header,
                                  struct vqct_error *error) {
  enum vqct_status status;
  *array = (struct token_array){.header = header};
  if ((status = part_file_open(&array->part, path, error)) ||
      (status = part_file_found(&array->part, &array->found, error)))
    return status;
  array->part.size = header;
  return VQCT_OK;
}

enum vqct_status token_array_open_output(struct token_array *array, uint64_t header,
                                         struct vqct_error *error) {
  *array = (struct token_array){.header = header};
  enum vqct_status status =
      part_file_open_output(&array->part, header ? PART_SPOOLED : PART_STREAM, error);
  array->part.size = header;
  return status;
}

bool token_array_recount(struct token_array *array, uint64_t numbers, uint64_t bytes) {
  if (array->found < array->part.size || bytes > array->found - array->part.size ||
      token_lengths_add(&array->lengths, numbers, NULL) != VQCT_OK)
    return false;
  array->part.size += bytes;
  return true;
}

enum vqct_status token_array_cut(struct token_array *array, struct vqct_error *error) {
  return part_file_cut(&array->part, array->part.size, error);
}

enum vqct_status token_array_append(struct token_array *array, size_t numbers, const void *bytes,
                                    size_t size, json_t *record, struct vqct_error *error) {
  uint64_t offset = array->part.size - array->header;
  if (json_object_set_new(record, "offset", json_integer((json_int_t)offset)) != 0)
    return error_set(error, VQCT_MEMORY, "no memory to write tokens");
  enum vqct_status status = part_file_append(&array->part, bytes, size, error);
  return status == VQCT_OK ? token_lengths_add(&array->lengths, numbers, error) : status;
}

void token_array_close(struct token_array *array, enum part_end end) {
  part_file_close(&array->part, end);
  token_lengths_free(&array->lengths);
}
