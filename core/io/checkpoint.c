#include "checkpoint.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "error.h"
#include "mapped_file.h"
#include "safetensors.h"
#include "torch_file.h"

#define PARTS_MAX  4096
#define PATH_BYTES 4096
#define INDEX_MAX  ((size_t)64 << 20) /* bytes of an index */

/* One file: one of the two is there. */
struct part {
  char *name; /* in the index; NULL where there is none */
  struct safetensors *safetensors;
  struct torch_file *torch;
};

/* Where a tensor is. */
struct origin {
  struct part *part;
  size_t index;
};

struct checkpoint {
  char path[PATH_BYTES];   /* of the file or index */
  char config[PATH_BYTES]; /* "" where there is none */
  struct part *part;
  size_t parts;
  struct tensor *tensor;
  struct origin *origin; /* of each tensor */
  size_t count;
};

static enum vqct_status exhausted(const char *path, struct vqct_error *error) {
  return error_set(error, VQCT_MEMORY, "%s: memory is exhausted", path);
}

static bool join_path(char to[PATH_BYTES], const char *folder, size_t length, const char *file) {
  return (size_t)snprintf(to, PATH_BYTES, "%.*s%s", (int)length, folder, file) < PATH_BYTES;
}

/* ---- one file -------------------------------------------------------------------------------- */

static enum vqct_status part_open(const char *path, struct part *part, struct vqct_error *error) {
  struct mapped_file file;
  enum vqct_status status = mapped_file_open(path, &file, error);
  if (status)
    return status;
  bool torch = torch_file_begins(file.data, file.size);
  bool safetensors = file.size < 9 || file.data[8] == '{'; /* after the length of its header */
  mapped_file_close(&file);
  if (!torch && !safetensors)
    return error_set(error, VQCT_MODEL,
                     "%s: neither a safetensors file nor one that torch.save made", path);
  return torch ? torch_file_open(path, &part->torch, error)
               : safetensors_open(path, &part->safetensors, error);
}

static struct tensor_table part_tensors(const struct part *part) {
  struct tensor_table table = {NULL, 0};
  if (part->torch) {
    table.tensor = torch_file_tensors(part->torch, &table.count);
    return table;
  }
  table.count = safetensors_count(part->safetensors);
  table.tensor = table.count ? safetensors_tensor(part->safetensors, 0) : NULL;
  return table;
}

/* ---- an index and its shards ----------------------------------------------------------------- */

static struct part *part_named(const struct checkpoint *checkpoint, const char *name) {
  for (size_t i = 0; i < checkpoint->parts; i++)
    if (strcmp(checkpoint->part[i].name, name) == 0)
      return &checkpoint->part[i];
  return NULL;
}

/* Opens the shard of a name, beside the index, unless it is open. */
static enum vqct_status open_shard(struct checkpoint *checkpoint, const char *name,
                                   struct vqct_error *error) {
  const char *slash = strrchr(checkpoint->path, '/');
  char path[PATH_BYTES];
  if (part_named(checkpoint, name))
    return VQCT_OK;
  if (!*name || strchr(name, '/') || checkpoint->parts == PARTS_MAX ||
      !join_path(path, checkpoint->path, slash ? (size_t)(slash - checkpoint->path) + 1 : 0, name))
    return error_set(error, VQCT_MODEL, "%s: \"%.100s\" is no file beside it, or one too many",
                     checkpoint->path, name);
  struct part *part = &checkpoint->part[checkpoint->parts];
  part->name = strdup(name);
  if (!part->name)
    return exhausted(checkpoint->path, error);
  checkpoint->parts++;
  return part_open(path, part, error);
}

static enum vqct_status open_shards(struct checkpoint *checkpoint, const json_t *map,
                                    struct vqct_error *error) {
  const char *tensor;
  json_t *file;
  enum vqct_status status = VQCT_OK;
  if (!json_is_object(map))
    return error_set(error, VQCT_MODEL, "%s: it has no object weight_map", checkpoint->path);
  json_object_foreach((json_t *)(uintptr_t)map, tensor, file) {
    if (!json_is_string(file))
      return error_set(error, VQCT_MODEL, "%s: weight_map: \"%.100s\" is not a file's name",
                       checkpoint->path, tensor);
    status = open_shard(checkpoint, json_string_value(file), error);
    if (status)
      return status;
  }
  return VQCT_OK;
}

/* Every tensor must be in the shard that the index says. */
static enum vqct_status check_map(const struct checkpoint *checkpoint, const json_t *map,
                                  struct vqct_error *error) {
  size_t listed = json_object_size(map);
  for (size_t i = 0; i < checkpoint->count; i++) {
    const char *name = checkpoint->tensor[i].name;
    const char *file = json_string_value(json_object_get(map, name));
    if (file && strcmp(file, checkpoint->origin[i].part->name) != 0)
      return error_set(error, VQCT_MODEL, "%s: tensor \"%.100s\" is in %.100s, not in %.100s",
                       checkpoint->path, name, checkpoint->origin[i].part->name, file);
    listed -= file ? 1 : 0;
  }
  return listed ? error_set(error, VQCT_MODEL, "%s: %zu of its tensors are in no shard",
                            checkpoint->path, listed)
                : VQCT_OK;
}

/* ---- all tensors ----------------------------------------------------------------------------- */

struct listed {
  struct tensor tensor;
  struct origin origin;
};

static int compare_names(const void *a, const void *b) {
  return strcmp(((const struct listed *)a)->tensor.name, ((const struct listed *)b)->tensor.name);
}

static enum vqct_status list_tensors(struct checkpoint *checkpoint, struct vqct_error *error) {
  size_t count = 0, next = 0;
  for (size_t i = 0; i < checkpoint->parts; i++)
    count += part_tensors(&checkpoint->part[i]).count;
  struct listed *all = calloc(count + 1, sizeof *all);
  checkpoint->tensor = calloc(count + 1, sizeof *checkpoint->tensor);
  checkpoint->origin = calloc(count + 1, sizeof *checkpoint->origin);
  enum vqct_status status = VQCT_OK;
  if (!all || !checkpoint->tensor || !checkpoint->origin) {
    status = exhausted(checkpoint->path, error);
    goto done;
  }
  for (size_t i = 0; i < checkpoint->parts; i++) {
    struct tensor_table table = part_tensors(&checkpoint->part[i]);
    for (size_t j = 0; j < table.count; j++)
      all[next++] = (struct listed){table.tensor[j], {&checkpoint->part[i], j}};
  }
  qsort(all, count, sizeof *all, compare_names);
  for (size_t i = 0; i < count; i++) {
    checkpoint->tensor[i] = all[i].tensor;
    checkpoint->origin[i] = all[i].origin;
    if (i && strcmp(all[i - 1].tensor.name, all[i].tensor.name) == 0)
      status = error_set(error, VQCT_MODEL, "%s: tensor \"%.100s\" is in two shards",
                         checkpoint->path, all[i].tensor.name);
  }
  checkpoint->count = count;
done:
  free(all);
  return status;
}

static enum vqct_status open_index(struct checkpoint *checkpoint, struct vqct_error *error) {
  struct mapped_file file;
  json_error_t fault;
  enum vqct_status status = mapped_file_open(checkpoint->path, &file, error);
  if (status)
    return status;
  json_t *root =
      file.size && file.size <= INDEX_MAX
          ? json_loadb((const char *)file.data, file.size, JSON_REJECT_DUPLICATES, &fault)
          : NULL;
  mapped_file_close(&file);
  const json_t *map = json_object_get(root, "weight_map");
  checkpoint->part = calloc(PARTS_MAX, sizeof *checkpoint->part);
  if (!root)
    status = error_set(error, VQCT_MODEL, "%s: not JSON of 1 byte to %zu MiB", checkpoint->path,
                       INDEX_MAX >> 20);
  else if (!checkpoint->part)
    status = exhausted(checkpoint->path, error);
  if (!status)
    status = open_shards(checkpoint, map, error);
  if (!status)
    status = list_tensors(checkpoint, error);
  if (!status)
    status = check_map(checkpoint, map, error);
  json_decref(root);
  return status;
}

static enum vqct_status open_file(struct checkpoint *checkpoint, struct vqct_error *error) {
  checkpoint->part = calloc(1, sizeof *checkpoint->part);
  if (!checkpoint->part)
    return exhausted(checkpoint->path, error);
  checkpoint->parts = 1;
  enum vqct_status status = part_open(checkpoint->path, checkpoint->part, error);
  return status ? status : list_tensors(checkpoint, error);
}

/* ---- a folder -------------------------------------------------------------------------------- */

static bool is_there(const char *path, bool folder) {
  struct stat facts;
  return stat(path, &facts) == 0 && (S_ISDIR(facts.st_mode) != 0) == folder;
}

/* The checkpoint in a folder, in place of the folder's path. */
static enum vqct_status look_into_folder(struct checkpoint *checkpoint, const char *folder,
                                         struct vqct_error *error) {
  static const char *const files[] = {"/model.safetensors.index.json",
                                      "/diffusion_pytorch_model.safetensors.index.json",
                                      "/model.safetensors",
                                      "/diffusion_pytorch_model.safetensors",
                                      "/pytorch_model.bin.index.json",
                                      "/pytorch_model.bin",
                                      "/diffusion_pytorch_model.bin"};
  size_t length = strlen(folder);
  if (!join_path(checkpoint->config, folder, length, "/config.json") ||
      !is_there(checkpoint->config, false))
    checkpoint->config[0] = '\0';
  for (size_t i = 0; i < sizeof files / sizeof *files; i++)
    if (join_path(checkpoint->path, folder, length, files[i]) && is_there(checkpoint->path, false))
      return VQCT_OK;
  return error_set(error, VQCT_READ,
                   "%s: the folder has no model.safetensors, diffusion_pytorch_model.safetensors, "
                   "pytorch_model.bin or index of one",
                   folder);
}

enum vqct_status checkpoint_open(const char *path, struct checkpoint **result,
                                 struct vqct_error *error) {
  static const char index_end[] = ".index.json";
  enum vqct_status status = VQCT_OK;
  *result = NULL;
  struct checkpoint *checkpoint = calloc(1, sizeof *checkpoint);
  if (!checkpoint)
    return exhausted(path, error);
  if (!join_path(checkpoint->path, path, strlen(path), ""))
    status = error_set(error, VQCT_READ, "%.100s...: the path is too long", path);
  else if (is_there(path, true))
    status = look_into_folder(checkpoint, path, error);
  size_t length = strlen(checkpoint->path), tail = sizeof index_end - 1;
  if (!status)
    status = length > tail && strcmp(checkpoint->path + length - tail, index_end) == 0
                 ? open_index(checkpoint, error)
                 : open_file(checkpoint, error);
  if (status)
    checkpoint_close(checkpoint);
  else
    *result = checkpoint;
  return status;
}

void checkpoint_close(struct checkpoint *checkpoint) {
  if (!checkpoint)
    return;
  for (size_t i = 0; i < checkpoint->parts; i++) {
    safetensors_close(checkpoint->part[i].safetensors);
    torch_file_close(checkpoint->part[i].torch);
    free(checkpoint->part[i].name);
  }
  free(checkpoint->part);
  free(checkpoint->tensor);
  free(checkpoint->origin);
  free(checkpoint);
}

struct tensor_table checkpoint_tensors(const struct checkpoint *checkpoint) {
  return (struct tensor_table){checkpoint->tensor, checkpoint->count};
}

enum vqct_status checkpoint_read(const struct checkpoint *checkpoint, size_t index, float *values,
                                 struct vqct_error *error) {
  const struct origin *origin = &checkpoint->origin[index];
  if (origin->part->torch)
    return torch_file_read(origin->part->torch, origin->index, values, error);
  tensor_to_float(&checkpoint->tensor[index], values);
  return VQCT_OK;
}

const char *checkpoint_metadata(const struct checkpoint *checkpoint, const char *key) {
  const struct safetensors *file = checkpoint->parts == 1 ? checkpoint->part->safetensors : NULL;
  return file ? safetensors_metadata(file, key) : NULL;
}

const char *checkpoint_config(const struct checkpoint *checkpoint) {
  return checkpoint->config[0] ? checkpoint->config : NULL;
}
