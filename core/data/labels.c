/* Labels come picture by picture from one of three sources, then all are sorted once, and equal
 * ones fall into one class, which each picture finds by a search: the time is that of sorting. */
#include "labels.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "beside.h"
#include "error.h"
#include "label_lines.h"

#define BESIDE_MAX ((uint64_t)1 << 20) /* bytes of a file that has a label in it */

struct labels {
  char **of; /* of each picture; NULL for faults */
  size_t pictures;
  const char **name; /* of each class, of those above */
  size_t count;
  size_t *class_of; /* each picture */
};

/* What the labels are found in. */
struct source {
  const char *name;
  const struct pictures *pictures;
  struct beside *beside;
  const char *json_name; /* in a KEY.json beside, where nothing else there counts; NULL: not told */
  struct label_lines *lines;
  size_t missing; /* pictures without a label */
  const char *first_missing;
};

static bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

/* A label of some bytes without the spaces around them, from malloc. where: the file, or NULL. */
static enum vqct_status copy_label(const char *text, size_t size, const char *where,
                                   const char *picture, char **label, struct vqct_error *error) {
  while (size && is_space(text[size - 1]))
    size--;
  for (; size && is_space(*text); size--)
    text++;
  const char *fault = !size                   ? "is empty"
                      : size > LABEL_MAX      ? "is longer than 1,024 bytes"
                      : memchr(text, 0, size) ? "has a zero byte"
                                              : NULL;
  if (fault)
    return error_set(error, VQCT_DATA, "%s: the label in %s %s", picture, where, fault);
  if (!(*label = malloc(size + 1)))
    return error_set(error, VQCT_MEMORY, "no memory for labels");
  memcpy(*label, text, size);
  (*label)[size] = 0;
  return VQCT_OK;
}

/* ---- where they come from -------------------------------------------------------------------- */

/* The folder within an archive, or of a file. */
static enum vqct_status from_folder(const struct source *source, size_t picture, char **label,
                                    struct vqct_error *error) {
  size_t member;
  const char *whole = pictures_name(source->pictures, picture);
  const struct shard *shard = pictures_member(source->pictures, picture, &member);
  const char *name = shard ? shard_name(shard, member) : whole, *end = strrchr(name, '/');
  while (end && end > name && end[-1] == '/')
    end--;
  if (!end || end == name)
    return VQCT_OK;
  const char *begin = end;
  while (begin > name && begin[-1] != '/')
    begin--;
  size_t size = (size_t)(end - begin);
  if (size <= 2 && strncmp(begin, "..", size) == 0)
    return VQCT_OK;
  return copy_label(begin, size, "its folder's name", whole, label, error);
}

static enum vqct_status from_json(const struct beside_bytes *bytes, const char *json_name,
                                  const char *picture, char **label, struct vqct_error *error) {
  json_t *record = json_loadb((const char *)bytes->data, bytes->size, 0, NULL);
  const json_t *value = json_object_get(record, json_name);
  char number[24];
  enum vqct_status status;
  if (json_is_integer(value)) {
    snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    status = copy_label(number, strlen(number), ".json", picture, label, error);
  } else if (json_is_string(value)) {
    status = copy_label(json_string_value(value), json_string_length(value), ".json", picture,
                        label, error);
  } else {
    status =
        error_set(error, VQCT_DATA, "%s: its .json has no \"%s\" that is text or a whole number",
                  picture, json_name);
  }
  json_decref(record);
  return status;
}

static enum vqct_status from_beside(const struct source *source, size_t picture, char **label,
                                    struct vqct_error *error) {
  static const char *const endings[] = {".cls", ".txt", ".json"};
  const char *name = pictures_name(source->pictures, picture);
  const char *json_name = source->json_name ? source->json_name : "label";
  enum vqct_status status = VQCT_OK;
  for (size_t i = source->json_name ? 2 : 0; i < 3 && status == VQCT_OK && !*label; i++) {
    struct beside_bytes bytes;
    if ((status = beside_read(source->beside, picture, endings[i], BESIDE_MAX, &bytes, error)))
      return status;
    if (bytes.found && i == 2)
      status = from_json(&bytes, json_name, name, label, error);
    else if (bytes.found)
      status = copy_label((const char *)bytes.data, bytes.size, endings[i], name, label, error);
    beside_release(&bytes);
  }
  return status;
}

static enum vqct_status from_lines(const struct source *source, size_t picture, char **label,
                                   struct vqct_error *error) {
  const char *found, *name = pictures_name(source->pictures, picture);
  enum vqct_status status = label_lines_find(source->lines, name, &found, error);
  return status || !found ? status
                          : copy_label(found, strlen(found), source->name, name, label, error);
}

static enum vqct_status find_label(struct source *source, size_t picture, char **label,
                                   struct vqct_error *error) {
  if (pictures_is_fault(source->pictures, picture))
    return VQCT_OK;
  enum vqct_status status = source->lines    ? from_lines(source, picture, label, error)
                            : source->beside ? from_beside(source, picture, label, error)
                                             : from_folder(source, picture, label, error);
  if (status != VQCT_OK || *label)
    return status;
  if (!source->missing++)
    source->first_missing = pictures_name(source->pictures, picture);
  return VQCT_OK;
}

/* Lines and pictures that do not match. */
static enum vqct_status check_all_matched(const struct source *source, struct vqct_error *error) {
  const char *name = NULL;
  uint64_t number;
  size_t unused = source->lines ? label_lines_unused(source->lines, &name, &number) : 0;
  if (unused && source->missing)
    return error_set(error, VQCT_DATA,
                     "labels of %s: pictures without one: %zu, the first is %s; lines that name no "
                     "picture: %zu, the first is line %" PRIu64 ", '%s'",
                     source->name, source->missing, source->first_missing, unused, number, name);
  if (unused)
    return error_set(error, VQCT_DATA,
                     "labels of %s: lines that name no picture: %zu, the first is line %" PRIu64
                     ", '%s'",
                     source->name, unused, number, name);
  if (source->missing)
    return error_set(error, VQCT_DATA, "labels of %s: pictures without one: %zu, the first is %s",
                     source->name, source->missing, source->first_missing);
  return VQCT_OK;
}

static enum vqct_status open_source(struct source *source, struct vqct_error *error) {
  static const char named[] = "beside:";
  if (strcmp(source->name, "folder") == 0)
    return VQCT_OK;
  if (strncmp(source->name, named, strlen(named)) == 0)
    source->json_name = source->name + strlen(named);
  return source->json_name || strcmp(source->name, "beside") == 0
             ? beside_open(source->pictures, &source->beside, error)
             : label_lines_open(source->name, &source->lines, error);
}

static enum vqct_status find_labels(struct labels *labels, struct source *source,
                                    struct vqct_error *error) {
  enum vqct_status status = open_source(source, error);
  for (size_t i = 0; i < labels->pictures && status == VQCT_OK; i++)
    status = find_label(source, i, &labels->of[i], error);
  if (status == VQCT_OK)
    status = check_all_matched(source, error);
  beside_close(source->beside);
  label_lines_close(source->lines);
  return status;
}

/* ---- classes --------------------------------------------------------------------------------- */

static int by_bytes(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Whole numbers of any length. */
static int by_value(const void *a, const void *b) {
  const char *x = *(const char *const *)a, *y = *(const char *const *)b;
  x += strspn(x, "0");
  y += strspn(y, "0");
  size_t m = strlen(x), n = strlen(y);
  int order = m != n ? (m > n) - (m < n) : strcmp(x, y);
  return order ? order : by_bytes(a, b);
}

static void list_classes(struct labels *labels) {
  bool numbers = true;
  for (size_t i = 0; i < labels->pictures; i++)
    if (labels->of[i]) {
      labels->name[labels->count++] = labels->of[i];
      numbers = numbers && !labels->of[i][strspn(labels->of[i], "0123456789")];
    }
  int (*order)(const void *, const void *) = numbers ? by_value : by_bytes;
  size_t classes = 0, all = labels->count;
  if (all)
    qsort(labels->name, all, sizeof *labels->name, order);
  for (size_t i = 0; i < all; i++)
    if (!classes || strcmp(labels->name[i], labels->name[classes - 1]) != 0)
      labels->name[classes++] = labels->name[i];
  labels->count = classes;
  for (size_t i = 0; i < labels->pictures; i++)
    if (labels->of[i])
      labels->class_of[i] = (size_t)((const char **)bsearch(&labels->of[i], labels->name, classes,
                                                            sizeof *labels->name, order) -
                                     labels->name);
}

/* ---- the whole ------------------------------------------------------------------------------- */

enum vqct_status labels_open(const char *name, const struct pictures *pictures,
                             struct labels **result, struct vqct_error *error) {
  struct source source = {.name = name, .pictures = pictures};
  size_t count = pictures_count(pictures);
  *result = NULL;
  struct labels *labels = calloc(1, sizeof *labels);
  if (labels) {
    labels->of = calloc(count, sizeof *labels->of);
    labels->name = calloc(count, sizeof *labels->name);
    labels->class_of = calloc(count, sizeof *labels->class_of);
  }
  if (!labels || !labels->of || !labels->name || !labels->class_of) {
    labels_close(labels);
    return error_set(error, VQCT_MEMORY, "no memory for the labels of %zu pictures", count);
  }
  labels->pictures = count;
  enum vqct_status status = find_labels(labels, &source, error);
  if (status != VQCT_OK) {
    labels_close(labels);
    return status;
  }
  list_classes(labels);
  *result = labels;
  return VQCT_OK;
}

void labels_close(struct labels *labels) {
  if (!labels)
    return;
  for (size_t i = 0; i < labels->pictures; i++)
    free(labels->of[i]);
  free(labels->of);
  free(labels->name);
  free(labels->class_of);
  free(labels);
}

size_t labels_count(const struct labels *labels) {
  return labels->count;
}

const char *labels_name(const struct labels *labels, size_t class_index) {
  return labels->name[class_index];
}

size_t labels_class(const struct labels *labels, size_t picture) {
  return labels->class_of[picture];
}
