/* Every file of a checkpoint is a part, safetensors or PyTorch's; one table by name over all of
 * them says which part and which number a tensor is. An index is compared with what its parts hold.
 */
#include "tensor_files.h"

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
  size_t size; /* bytes */
};

/* Where a tensor is. */
struct origin {
  struct part *part;
  size_t index;
};

struct tensor_files {
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
  part->size = file.size;
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

static struct part *part_named(const struct tensor_files *files, const char *name) {
  for (size_t i = 0; i < files->parts; i++)
    if (strcmp(files->part[i].name, name) == 0)
      return &files->part[i];
  return NULL;
}

/* Opens the shard of a name, beside the index, unless it is open. */
static enum vqct_status open_shard(struct tensor_files *files, const char *name,
                                   struct vqct_error *error) {
  const char *slash = strrchr(files->path, '/');
  char path[PATH_BYTES];
  if (part_named(files, name))
    return VQCT_OK;
  if (!*name || strchr(name, '/') || files->parts == PARTS_MAX ||
      !join_path(path, files->path, slash ? (size_t)(slash - files->path) + 1 : 0, name))
    return error_set(error, VQCT_MODEL, "%s: \"%.100s\" is no file beside it, or one too many",
                     files->path, name);
  struct part *part = &files->part[files->parts];
  part->name = strdup(name);
  if (!part->name)
    return exhausted(files->path, error);
  files->parts++;
  return part_open(path, part, error);
}

static enum vqct_status open_shards(struct tensor_files *files, const json_t *map,
                                    struct vqct_error *error) {
  const char *tensor;
  json_t *file;
  enum vqct_status status = VQCT_OK;
  if (!json_is_object(map))
    return error_set(error, VQCT_MODEL, "%s: it has no object weight_map", files->path);
  json_object_foreach((json_t *)(uintptr_t)map, tensor, file) {
    if (!json_is_string(file))
      return error_set(error, VQCT_MODEL, "%s: weight_map: \"%.100s\" is not a file's name",
                       files->path, tensor);
    status = open_shard(files, json_string_value(file), error);
    if (status)
      return status;
  }
  return VQCT_OK;
}

/* Every tensor must be in the shard that the index says. */
static enum vqct_status check_map(const struct tensor_files *files, const json_t *map,
                                  struct vqct_error *error) {
  size_t listed = json_object_size(map);
  for (size_t i = 0; i < files->count; i++) {
    const char *name = files->tensor[i].name;
    const char *file = json_string_value(json_object_get(map, name));
    if (file && strcmp(file, files->origin[i].part->name) != 0)
      return error_set(error, VQCT_MODEL, "%s: tensor \"%.100s\" is in %.100s, not in %.100s",
                       files->path, name, files->origin[i].part->name, file);
    listed -= file ? 1 : 0;
  }
  return listed ? error_set(error, VQCT_MODEL, "%s: %zu of its tensors are in no shard",
                            files->path, listed)
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

static enum vqct_status list_tensors(struct tensor_files *files, struct vqct_error *error) {
  size_t count = 0, next = 0;
  for (size_t i = 0; i < files->parts; i++)
    count += part_tensors(&files->part[i]).count;
  struct listed *all = calloc(count + 1, sizeof *all);
  files->tensor = calloc(count + 1, sizeof *files->tensor);
  files->origin = calloc(count + 1, sizeof *files->origin);
  enum vqct_status status = VQCT_OK;
  if (!all || !files->tensor || !files->origin) {
    status = exhausted(files->path, error);
    goto done;
  }
  for (size_t i = 0; i < files->parts; i++) {
    struct tensor_table table = part_tensors(&files->part[i]);
    for (size_t j = 0; j < table.count; j++)
      all[next++] = (struct listed){table.tensor[j], {&files->part[i], j}};
  }
  qsort(all, count, sizeof *all, compare_names);
  for (size_t i = 0; i < count; i++) {
    files->tensor[i] = all[i].tensor;
    files->origin[i] = all[i].origin;
    if (i && strcmp(all[i - 1].tensor.name, all[i].tensor.name) == 0)
      status = error_set(error, VQCT_MODEL, "%s: tensor \"%.100s\" is in two shards", files->path,
                         all[i].tensor.name);
  }
  files->count = count;
done:
  free(all);
  return status;
}

static enum vqct_status open_index(struct tensor_files *files, struct vqct_error *error) {
  struct mapped_file file;
  json_error_t fault;
  enum vqct_status status = mapped_file_open(files->path, &file, error);
  if (status)
    return status;
  json_t *root =
      file.size && file.size <= INDEX_MAX
          ? json_loadb((const char *)file.data, file.size, JSON_REJECT_DUPLICATES, &fault)
          : NULL;
  mapped_file_close(&file);
  if (!root)
    return error_set(error, VQCT_MODEL, "%s: not JSON of 1 byte to %zu MiB", files->path,
                     INDEX_MAX >> 20);
  const json_t *map = json_object_get(root, "weight_map");
  files->part = calloc(PARTS_MAX, sizeof *files->part);
  if (!files->part) {
    status = exhausted(files->path, error);
    goto done;
  }
  if ((status = open_shards(files, map, error)) || (status = list_tensors(files, error)))
    goto done;
  status = check_map(files, map, error);
done:
  json_decref(root);
  return status;
}

static enum vqct_status open_file(struct tensor_files *files, struct vqct_error *error) {
  files->part = calloc(1, sizeof *files->part);
  if (!files->part)
    return exhausted(files->path, error);
  files->parts = 1;
  enum vqct_status status = part_open(files->path, files->part, error);
  return status ? status : list_tensors(files, error);
}

/* ---- a folder -------------------------------------------------------------------------------- */

static bool is_there(const char *path, bool folder) {
  struct stat facts;
  return stat(path, &facts) == 0 && (S_ISDIR(facts.st_mode) != 0) == folder;
}

/* The checkpoint in a folder, in place of the folder's path. */
static enum vqct_status look_into_folder(struct tensor_files *files, const char *folder,
                                         struct vqct_error *error) {
  static const char *const names[] = {"/model.safetensors.index.json",
                                      "/diffusion_pytorch_model.safetensors.index.json",
                                      "/model.safetensors",
                                      "/diffusion_pytorch_model.safetensors",
                                      "/pytorch_model.bin.index.json",
                                      "/pytorch_model.bin",
                                      "/diffusion_pytorch_model.bin"};
  size_t length = strlen(folder);
  if (!join_path(files->config, folder, length, "/config.json") || !is_there(files->config, false))
    files->config[0] = '\0';
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (join_path(files->path, folder, length, names[i]) && is_there(files->path, false))
      return VQCT_OK;
  return error_set(error, VQCT_READ,
                   "%s: the folder has no model.safetensors, diffusion_pytorch_model.safetensors, "
                   "pytorch_model.bin or index of one",
                   folder);
}

enum vqct_status tensor_files_open(const char *path, struct tensor_files **result,
                                   struct vqct_error *error) {
  static const char index_end[] = ".index.json";
  enum vqct_status status = VQCT_OK;
  *result = NULL;
  struct tensor_files *files = calloc(1, sizeof *files);
  if (!files)
    return exhausted(path, error);
  if (!join_path(files->path, path, strlen(path), ""))
    status = error_set(error, VQCT_READ, "%.100s...: the path is too long", path);
  else if (is_there(path, true))
    status = look_into_folder(files, path, error);
  size_t length = strlen(files->path), tail = sizeof index_end - 1;
  if (!status)
    status = length > tail && strcmp(files->path + length - tail, index_end) == 0
                 ? open_index(files, error)
                 : open_file(files, error);
  if (status)
    tensor_files_close(files);
  else
    *result = files;
  return status;
}

void tensor_files_close(struct tensor_files *files) {
  if (!files)
    return;
  for (size_t i = 0; i < files->parts; i++) {
    safetensors_close(files->part[i].safetensors);
    torch_file_close(files->part[i].torch);
    free(files->part[i].name);
  }
  free(files->part);
  free(files->tensor);
  free(files->origin);
  free(files);
}

struct tensor_table tensor_files_tensors(const struct tensor_files *files) {
  return (struct tensor_table){files->tensor, files->count};
}

uint64_t tensor_files_bytes(const struct tensor_files *files) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < files->parts; i++)
    bytes += files->part[i].size;
  return bytes;
}

enum vqct_status tensor_files_read(const struct tensor_files *files, size_t index, float *values,
                                   struct vqct_error *error) {
  const struct origin *origin = &files->origin[index];
  if (origin->part->torch)
    return torch_file_read(origin->part->torch, origin->index, values, error);
  tensor_to_float(&files->tensor[index], values);
  return VQCT_OK;
}

const char *tensor_files_metadata(const struct tensor_files *files, const char *key) {
  const struct safetensors *file = files->parts == 1 ? files->part->safetensors : NULL;
  return file ? safetensors_metadata(file, key) : NULL;
}

const char *tensor_files_config(const struct tensor_files *files) {
  return files->config[0] ? files->config : NULL;
}
