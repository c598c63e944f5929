/* libzip reads the archive, since it finds a member by its name, says how it is stored and checks
 * its sum; libarchive would have to pass over all members for each. PyTorch never compresses, so
 * compressed members are refused, and no archive can unfold into more than it is.
 */
#include "torch_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "error.h"
#include "mapped_file.h"
#include "torch_tensor.h"

#define TENSORS_MAX  ((size_t)1 << 20)
#define NESTED_MAX   8   /* dictionaries in dictionaries that tensors are looked for in */
#define NAME_BYTES   512 /* of a tensor or a member */
#define PICKLE_END   "/data.pkl"
#define VECTOR_MAX   ((size_t)1 << 20) /* numbers; repeated ones take no room in the file */
#define LEGACY_PARTS 5                 /* pickles of a stream of before PyTorch 1.6 */

struct torch_file {
  char *name; /* for messages */
  struct mapped_file mapped;
  size_t size; /* bytes of the file */
  zip_t *zip;
  char *root; /* what stands before the members' names */
  struct pickle pickle;
  struct tensor *tensor;
  struct torch_view *view; /* of each tensor */
  size_t count, room;
  void *storage; /* the last that was read */
  const char *storage_key;
  struct vqct_error *error; /* while it is being opened */
};

/* ---- the archive ----------------------------------------------------------------------------- */

static const char legacy_start[] = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

static bool is_legacy(const void *bytes, size_t size) {
  return (size > sizeof legacy_start && memcmp(bytes, legacy_start, sizeof legacy_start - 1) == 0);
}

bool torch_file_begins(const void *bytes, size_t size) {
  return is_legacy(bytes, size) || (size > 4 && memcmp(bytes, "PK\3\4", 4) == 0);
}

static enum vqct_status open_zip(struct torch_file *file, const void *data, size_t size,
                                 struct vqct_error *error) {
  zip_error_t fault;
  if (is_legacy(data, size))
    return error_set(error, VQCT_MODEL,
                     "%s: written by PyTorch before 1.6 or in its old form; convert it there with "
                     "torch.save(torch.load(FILE, map_location=\"cpu\"), NEW_FILE)",
                     file->name);
  zip_error_init(&fault);
  zip_source_t *source = zip_source_buffer_create(data, size, 0, &fault);
  if (source)
    file->zip = zip_open_from_source(source, ZIP_RDONLY, &fault);
  enum vqct_status status = VQCT_OK;
  if (!file->zip) {
    status = error_set(error, VQCT_MODEL, "%s: not a whole file of PyTorch: %s", file->name,
                       zip_error_strerror(&fault));
    zip_source_free(source);
  }
  zip_error_fini(&fault);
  return status;
}

/* All bytes of a member, from malloc. They are never more than the file has. */
static enum vqct_status read_member(struct torch_file *file, const char *name, void **bytes,
                                    size_t *size, struct vqct_error *error) {
  zip_stat_t facts;
  *bytes = NULL;
  if (zip_stat(file->zip, name, 0, &facts) != 0)
    return error_set(error, VQCT_MODEL, "%s: member \"%.200s\" is missing", file->name, name);
  if (facts.comp_method != ZIP_CM_STORE || facts.encryption_method != ZIP_EM_NONE)
    return error_set(error, VQCT_MODEL,
                     "%s: member \"%.200s\" is compressed or encrypted, which PyTorch never does",
                     file->name, name);
  if (facts.size > file->size)
    return error_set(error, VQCT_MODEL, "%s: member \"%.200s\" is larger than the file", file->name,
                     name);
  *size = (size_t)facts.size;
  *bytes = malloc(*size + 1);
  if (!*bytes)
    return error_set(error, VQCT_MEMORY, "%s: no memory for %zu bytes", file->name, *size);
  zip_file_t *member = zip_fopen_index(file->zip, facts.index, 0);
  bool whole = member && zip_fread(member, *bytes, *size) == (zip_int64_t)*size;
  char beyond; /* reading past the end checks the sum */
  whole = whole && zip_fread(member, &beyond, 1) == 0;
  if (member)
    zip_fclose(member);
  if (whole)
    return VQCT_OK;
  free(*bytes);
  *bytes = NULL;
  return error_set(error, VQCT_MODEL, "%s: member \"%.200s\" is damaged", file->name, name);
}

/* The folder that the pickle lies in is where the other members are. */
static enum vqct_status find_root(struct torch_file *file, struct vqct_error *error) {
  size_t tail = sizeof PICKLE_END - 1;
  zip_int64_t members = zip_get_num_entries(file->zip, 0);
  for (zip_int64_t i = 0; i < members; i++) {
    const char *name = zip_get_name(file->zip, (zip_uint64_t)i, ZIP_FL_ENC_RAW);
    size_t length = name ? strlen(name) : 0;
    if (length < tail || length > 300 || strcmp(name + length - tail, PICKLE_END) != 0)
      continue;
    file->root = strndup(name, length - tail);
    return file->root ? VQCT_OK
                      : error_set(error, VQCT_MEMORY, "%s: memory is exhausted", file->name);
  }
  return error_set(error, VQCT_MODEL,
                   "%s: a zip archive, but not of PyTorch: it has no member data.pkl", file->name);
}

static enum vqct_status read_in_root(struct torch_file *file, const char *part, const char *key,
                                     void **bytes, size_t *size, struct vqct_error *error) {
  char name[NAME_BYTES];
  if ((size_t)snprintf(name, sizeof name, "%s/%s%s", file->root, part, key) >= sizeof name)
    return error_set(error, VQCT_MODEL, "%s: a storage's name is too long", file->name);
  return read_member(file, name, bytes, size, error);
}

static enum vqct_status check_byte_order(struct torch_file *file, struct vqct_error *error) {
  char name[NAME_BYTES];
  void *bytes;
  size_t size;
  snprintf(name, sizeof name, "%s/byteorder", file->root);
  if (zip_name_locate(file->zip, name, 0) < 0)
    return VQCT_OK; /* before PyTorch 2.1 nothing said so */
  enum vqct_status status = read_member(file, name, &bytes, &size, error);
  if (!status && (size != 6 || memcmp(bytes, "little", 6) != 0))
    status = error_set(error, VQCT_MODEL, "%s: its numbers are not little-endian", file->name);
  free(bytes);
  return status;
}

/* ---- its tensors ----------------------------------------------------------------------------- */

static enum vqct_status exhausted(const struct torch_file *file) {
  return error_set(file->error, VQCT_MEMORY, "%s: memory is exhausted", file->name);
}

static enum vqct_status make_room(struct torch_file *file) {
  if (file->count < file->room)
    return VQCT_OK;
  size_t room = file->room ? 2 * file->room : 256;
  if (room > TENSORS_MAX)
    return error_set(file->error, VQCT_MODEL, "%s: more than %zu tensors", file->name, TENSORS_MAX);
  void *tensors = realloc(file->tensor, room * sizeof *file->tensor);
  if (tensors)
    file->tensor = tensors;
  void *views = realloc(file->view, room * sizeof *file->view);
  if (views)
    file->view = views;
  if (!tensors || !views)
    return exhausted(file);
  file->room = room;
  return VQCT_OK;
}

static enum vqct_status check_view(const struct torch_file *file, const struct tensor *tensor,
                                   const struct torch_view *view) {
  if (!view->storage.key)
    return error_set(file->error, VQCT_MODEL, "%s: tensor \"%.100s\" has no storage in the file",
                     file->name, tensor->name);
  if (!torch_view_fits(tensor, view, view->storage.count))
    return error_set(file->error, VQCT_MODEL, "%s: tensor \"%.100s\" lies outside its storage",
                     file->name, tensor->name);
  return VQCT_OK;
}

/* Adds the value where it is a tensor, or stands in a tensor's place. */
static enum vqct_status add_value(struct torch_file *file, const char *name,
                                  const struct pickle_value *value) {
  const char *unread;
  if (torch_unread(value, &file->pickle.memory, &unread))
    return exhausted(file);
  if (!unread && !torch_is_tensor(value))
    return VQCT_OK;
  enum vqct_status status = make_room(file);
  if (status)
    return status;
  char *copy = arena_alloc(&file->pickle.memory, strlen(name) + 1);
  if (!copy)
    return exhausted(file);
  struct tensor *tensor = &file->tensor[file->count];
  struct torch_view *view = &file->view[file->count++];
  *tensor = (struct tensor){.name = strcpy(copy, name), .unread = unread};
  *view = (struct torch_view){0};
  if (unread)
    return VQCT_OK;
  status = torch_tensor_read(name, value, tensor, view, file->error);
  return status ? error_prefix(file->error, "%s", file->name) : check_view(file, tensor, view);
}

/* The dictionaries that tensors are being looked for in, from the outermost in, and how long the
 * name is there. */
struct place {
  const struct pickle_value *dict;
  size_t next, length;
};

/* Appends a key to a name; false where it is none, or too long. */
static bool add_key(char name[NAME_BYTES], size_t length, const struct pickle_value *key) {
  size_t room = NAME_BYTES - length;
  const char *dot = length ? "." : "";
  if (key->kind == PICKLE_INTEGER)
    return (size_t)snprintf(name + length, room, "%s%lld", dot, (long long)key->integer) < room;
  return key->kind == PICKLE_TEXT && strlen(key->text) == key->count &&
         (size_t)snprintf(name + length, room, "%s%s", dot, key->text) < room;
}

/* Goes through all dictionaries, each no more often than it stands there, and at most so many. */
static enum vqct_status list_tensors(struct torch_file *file) {
  char name[NAME_BYTES] = "";
  struct place place[NESTED_MAX] = {{.dict = file->pickle.root}};
  size_t steps = 0;
  for (int depth = 0; depth >= 0;) {
    struct place *at = &place[depth];
    if (at->dict->kind != PICKLE_DICT || at->next >= at->dict->count) {
      depth--;
      continue;
    }
    const struct pickle_value *key = at->dict->item[at->next];
    const struct pickle_value *value = at->dict->item[at->next + 1];
    at->next += 2;
    if (++steps > 4 * TENSORS_MAX)
      return error_set(file->error, VQCT_MODEL, "%s: more than %zu entries of dictionaries",
                       file->name, 4 * TENSORS_MAX);
    bool named = add_key(name, at->length, key);
    if (value->kind == PICKLE_DICT && depth + 1 < NESTED_MAX && named)
      place[++depth] = (struct place){.dict = value, .length = strlen(name)};
    if (!named && torch_is_tensor(value))
      return error_set(file->error, VQCT_MODEL, "%s: a tensor's name is no text, or too long",
                       file->name);
    enum vqct_status status = named ? add_value(file, name, value) : VQCT_OK;
    if (status)
      return status;
  }
  return VQCT_OK;
}

/* A file without tensors may hold them in an object that stands for a dictionary. */
static enum vqct_status check_found(const struct torch_file *file) {
  const struct pickle_value *root = file->pickle.root;
  for (size_t i = 0; !file->count && i < root->count; i += 2) {
    const char *object = pickle_class(root->item[i + 1]);
    if (object && root->item[i]->kind == PICKLE_TEXT)
      return error_set(
          file->error, VQCT_MODEL,
          "%s: it holds no tensors that are read: \"%.100s\" is a %.200s; save a plain "
          "dictionary",
          file->name, root->item[i]->text, object);
  }
  return file->count ? VQCT_OK
                     : error_set(file->error, VQCT_MODEL, "%s: it holds no tensors", file->name);
}

struct named {
  struct tensor tensor;
  struct torch_view view;
};

static int compare_names(const void *a, const void *b) {
  return strcmp(((const struct named *)a)->tensor.name, ((const struct named *)b)->tensor.name);
}

static enum vqct_status sort_tensors(struct torch_file *file) {
  struct named *all = malloc((file->count + 1) * sizeof *all);
  if (!all)
    return exhausted(file);
  for (size_t i = 0; i < file->count; i++)
    all[i] = (struct named){file->tensor[i], file->view[i]};
  qsort(all, file->count, sizeof *all, compare_names);
  enum vqct_status status = VQCT_OK;
  for (size_t i = 0; i < file->count; i++) {
    file->tensor[i] = all[i].tensor;
    file->view[i] = all[i].view;
    if (i && strcmp(file->tensor[i - 1].name, file->tensor[i].name) == 0)
      status = error_set(file->error, VQCT_MODEL, "%s: tensor \"%.100s\" is there twice",
                         file->name, file->tensor[i].name);
  }
  free(all);
  return status;
}

/* Whole modules are common: what they are called helps to find out how to save their tensors. */
static enum vqct_status check_root(const char *name, const struct pickle_value *root,
                                   struct vqct_error *error) {
  if (root->kind == PICKLE_DICT)
    return VQCT_OK;
  const char *object = pickle_class(root);
  return error_set(error, VQCT_MODEL,
                   "%s: what was saved is not a dictionary but %.200s: save the module's "
                   "state_dict()",
                   name, object ? object : "something else");
}

static enum vqct_status read_file(struct torch_file *file, const void *data, size_t size,
                                  struct vqct_error *error) {
  void *bytes = NULL;
  size_t length = 0;
  enum vqct_status status;
  if ((status = open_zip(file, data, size, error)) || (status = find_root(file, error)) ||
      (status = check_byte_order(file, error)) ||
      (status = read_in_root(file, "data.pkl", "", &bytes, &length, error)))
    return status;
  status = pickle_read(file->name, bytes, length, &file->pickle, error);
  free(bytes);
  if (status || (status = check_root(file->name, file->pickle.root, error)) ||
      (status = list_tensors(file)) || (status = check_found(file)))
    return status;
  return sort_tensors(file);
}

/* Takes over the mapping, also on failure. */
static enum vqct_status file_new(const char *name, struct mapped_file mapped, const void *data,
                                 size_t size, struct torch_file **result,
                                 struct vqct_error *error) {
  struct vqct_error unused = {VQCT_OK, ""};
  struct torch_file *file = calloc(1, sizeof *file);
  char *copy = strdup(name);
  *result = NULL;
  if (!file || !copy) {
    mapped_file_close(&mapped);
    free(file);
    free(copy);
    return error_set(error, VQCT_MEMORY, "%s: memory is exhausted", name);
  }
  *file = (struct torch_file){
      .name = copy, .mapped = mapped, .size = size, .error = error ? error : &unused};
  enum vqct_status status = read_file(file, data, size, file->error);
  file->error = NULL;
  if (status)
    torch_file_close(file);
  else
    *result = file;
  return status;
}

enum vqct_status torch_file_open(const char *path, struct torch_file **file,
                                 struct vqct_error *error) {
  struct mapped_file mapped;
  *file = NULL;
  enum vqct_status status = mapped_file_open(path, &mapped, error);
  return status ? status : file_new(path, mapped, mapped.data, mapped.size, file, error);
}

enum vqct_status torch_file_parse(const char *name, const void *data, size_t size,
                                  struct torch_file **file, struct vqct_error *error) {
  return file_new(name, (struct mapped_file){0}, data, size, file, error);
}

void torch_file_close(struct torch_file *file) {
  if (!file)
    return;
  if (file->zip)
    zip_discard(file->zip);
  pickle_free(&file->pickle);
  mapped_file_close(&file->mapped);
  free(file->tensor);
  free(file->view);
  free(file->storage);
  free(file->root);
  free(file->name);
  free(file);
}

const struct tensor *torch_file_tensors(const struct torch_file *file, size_t *count) {
  *count = file->count;
  return file->tensor;
}

/* ---- their numbers --------------------------------------------------------------------------- */

/* The numbers of a view as floats. */
static bool view_floats(const struct tensor *tensor, const struct torch_view *view,
                        const void *storage, float *values) {
  size_t size = tensor_type_size(tensor->type);
  void *packed = malloc(tensor->count * size + 1);
  if (!packed)
    return false;
  torch_view_gather(tensor, view, storage, packed);
  struct tensor whole = *tensor;
  whole.data = packed;
  tensor_to_float(&whole, values);
  free(packed);
  return true;
}

enum vqct_status torch_file_read(struct torch_file *file, size_t index, float *values,
                                 struct vqct_error *error) {
  const struct tensor *tensor = &file->tensor[index];
  const struct torch_view *view = &file->view[index];
  if (!file->storage_key || strcmp(file->storage_key, view->storage.key) != 0) {
    size_t size = 0, needed;
    free(file->storage);
    file->storage = NULL;
    file->storage_key = NULL;
    enum vqct_status status =
        read_in_root(file, "data/", view->storage.key, &file->storage, &size, error);
    if (status)
      return status;
    if (__builtin_mul_overflow(view->storage.count, tensor_type_size(tensor->type), &needed) ||
        size < needed)
      return error_set(error, VQCT_MODEL, "%s: the storage of tensor \"%.100s\" has %zu bytes only",
                       file->name, tensor->name, size);
    file->storage_key = view->storage.key;
  }
  return view_floats(tensor, view, file->storage, values)
             ? VQCT_OK
             : error_set(error, VQCT_MEMORY, "%s: memory is exhausted", file->name);
}

/* ---- in a plain pickle ----------------------------------------------------------------------- */

/* Such a storage is the stream that torch.save made before 1.6: pickles of a magic number, the
 * version, the machine, the storage's description and the list of keys, then its length as 8 bytes
 * and its numbers. */
static enum vqct_status read_legacy(const struct pickle_value *bytes, struct torch_storage *storage,
                                    const char **numbers, struct vqct_error *error) {
  size_t at = 0;
  for (int part = 0; part < LEGACY_PARTS; part++) {
    struct pickle pickle;
    enum vqct_status status =
        pickle_read("a storage", bytes->text + at, bytes->count - at, &pickle, error);
    if (status)
      return status;
    if (part == 3)
      status = torch_storage_read("a storage", pickle.root, storage, error);
    at += pickle.bytes;
    pickle_free(&pickle);
    if (status)
      return status;
  }
  storage->key = NULL; /* it went with the pickle */
  size_t size;
  if (bytes->count - at < 8 ||
      __builtin_mul_overflow(storage->count, tensor_type_size(storage->type), &size) ||
      bytes->count - at - 8 < size)
    return error_set(error, VQCT_MODEL, "a storage ends too early");
  *numbers = bytes->text + at + 8;
  return VQCT_OK;
}

enum vqct_status torch_pickled_vector(const struct pickle_value *value, float **values,
                                      size_t *count, struct vqct_error *error) {
  struct tensor tensor = {0};
  struct torch_view view = {0};
  const char *numbers = NULL;
  *values = NULL;
  enum vqct_status status = torch_tensor_read("vector", value, &tensor, &view, error);
  const struct pickle_value *bytes = view.storage.bytes;
  bool row = tensor.dims == 2 && tensor.shape[0] == 1;
  if (!status && (!bytes || bytes->kind != PICKLE_TEXT || (tensor.dims != 1 && !row)))
    status = error_set(error, VQCT_MODEL, "a vector is not a tensor of one dimension or one row");
  if (!status && tensor.count > VECTOR_MAX)
    status = error_set(error, VQCT_MODEL, "a vector of more than %zu numbers", VECTOR_MAX);
  if (!status)
    status = read_legacy(bytes, &view.storage, &numbers, error);
  if (status)
    return status;
  tensor.type = view.storage.type;
  if (!tensor_type_is_float(tensor.type) || !torch_view_fits(&tensor, &view, view.storage.count))
    return error_set(error, VQCT_MODEL, "a vector lies outside its storage, or is not of floats");
  *count = tensor.count;
  *values = malloc(tensor.count * sizeof **values + 1);
  if (!*values || !view_floats(&tensor, &view, numbers, *values)) {
    free(*values);
    *values = NULL;
    return error_set(error, VQCT_MEMORY, "no memory for a vector");
  }
  return VQCT_OK;
}
