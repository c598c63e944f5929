/* The list owns what its members are read from: archives, opened once and shared by all of theirs,
 * and faults, each a picture that fails when its turn comes. It is sorted by name when it is whole,
 * so that neither the order of directories nor that of arguments settles which picture is which. */
#include "pictures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "whole_file.h"

static const struct vqct_image_limits limits = VQCT_IMAGE_LIMITS_DEFAULT;

#define KINDS_MAX 48 /* of what is passed over, "other" counted */

/* A picture: a file of its own, a member of an archive, or a path that cannot be one. */
struct listed_picture {
  char *name;
  const struct shard *shard; /* NULL: the file called name */
  size_t member;
  struct vqct_error *fault; /* NULL: none */
  uint64_t stamp;
};

struct pictures {
  struct listed_picture *picture;
  size_t count, capacity, good;
  struct shard **archive;
  size_t archives;
  char **fault; /* messages of faults that are not on the list */
  size_t faults;
  struct vqct_error first;
  struct passed_over passed[KINDS_MAX];
  size_t kinds;
};

struct pictures *pictures_new(void) {
  struct pictures *pictures = calloc(1, sizeof *pictures);
  if (pictures)
    pictures->first.status = VQCT_OK;
  return pictures;
}

static void picture_free(struct listed_picture *picture) {
  free(picture->name);
  free(picture->fault);
}

void pictures_close(struct pictures *pictures) {
  if (!pictures)
    return;
  for (size_t i = 0; i < pictures->count; i++)
    picture_free(&pictures->picture[i]);
  for (size_t i = 0; i < pictures->archives; i++)
    shard_close(pictures->archive[i]);
  for (size_t i = 0; i < pictures->faults; i++)
    free(pictures->fault[i]);
  free(pictures->picture);
  free(pictures->archive);
  free(pictures->fault);
  free(pictures);
}

/* ---- making a list --------------------------------------------------------------------------- */

static enum vqct_status no_memory(const struct pictures *pictures, struct vqct_error *error) {
  return error_set(error, VQCT_MEMORY, "no memory to list %zu pictures", pictures->count + 1);
}

/* Takes what the picture holds. */
static enum vqct_status add(struct pictures *pictures, const struct listed_picture *picture,
                            struct vqct_error *error) {
  if (picture->name && pictures->count == pictures->capacity) {
    size_t capacity = pictures->capacity ? 2 * pictures->capacity : 1024;
    struct listed_picture *grown = realloc(pictures->picture, capacity * sizeof *grown);
    if (grown) {
      pictures->picture = grown;
      pictures->capacity = capacity;
    }
  }
  if (!picture->name || pictures->count == pictures->capacity) {
    free(picture->name);
    free(picture->fault);
    return no_memory(pictures, error);
  }
  pictures->picture[pictures->count++] = *picture;
  pictures->good += !picture->fault;
  return VQCT_OK;
}

enum vqct_status pictures_add_file(struct pictures *pictures, char *name, uint64_t stamp,
                                   struct vqct_error *error) {
  return add(pictures, &(struct listed_picture){.name = name, .stamp = stamp}, error);
}

enum vqct_status pictures_add_archive(struct pictures *pictures, struct shard *shard,
                                      struct vqct_error *error) {
  struct shard **archive = realloc(pictures->archive, (pictures->archives + 1) * sizeof *archive);
  if (!archive) {
    shard_close(shard);
    return no_memory(pictures, error);
  }
  pictures->archive = archive;
  archive[pictures->archives++] = shard;
  return VQCT_OK;
}

enum vqct_status pictures_add_member(struct pictures *pictures, char *name,
                                     const struct shard *shard, size_t member,
                                     struct vqct_error *error) {
  const struct listed_picture picture = {.name = name,
                                         .shard = shard,
                                         .member = member,
                                         .stamp = shard_stamp(shard) + shard_size(shard, member)};
  return add(pictures, &picture, error);
}

static enum vqct_status add_apart(struct pictures *pictures, const char *message,
                                  struct vqct_error *error) {
  char **grown = realloc(pictures->fault, (pictures->faults + 1) * sizeof *grown);
  if (grown)
    pictures->fault = grown;
  char *copy = grown ? strdup(message) : NULL;
  if (!copy)
    return no_memory(pictures, error);
  grown[pictures->faults++] = copy;
  return VQCT_OK;
}

enum vqct_status pictures_add_fault(struct pictures *pictures, const char *path, bool listed,
                                    const struct vqct_error *fault, struct vqct_error *error) {
  if (pictures->first.status == VQCT_OK)
    pictures->first = *fault;
  if (!listed)
    return add_apart(pictures, fault->message, error);
  struct listed_picture picture = {.name = strdup(path), .fault = malloc(sizeof *fault)};
  if (!picture.fault) {
    free(picture.name);
    return no_memory(pictures, error);
  }
  *picture.fault = *fault;
  return add(pictures, &picture, error);
}

void pictures_pass_over(struct pictures *pictures, const char *kind) {
  size_t at = 0;
  while (at < pictures->kinds && strcmp(pictures->passed[at].kind, kind))
    at++;
  if (at == KINDS_MAX - 1 && strcmp(kind, "other")) {
    pictures_pass_over(pictures, "other");
    return;
  }
  if (at == pictures->kinds) {
    snprintf(pictures->passed[at].kind, sizeof pictures->passed[at].kind, "%s", kind);
    pictures->kinds++;
  }
  pictures->passed[at].count++;
}

size_t pictures_good(const struct pictures *pictures) {
  return pictures->good;
}

const struct vqct_error *pictures_first_fault(const struct pictures *pictures) {
  return &pictures->first;
}

static int by_name(const void *a, const void *b) {
  const struct listed_picture *x = a, *y = b;
  int order = strcmp(x->name, y->name);
  return order ? order : (x->member > y->member) - (x->member < y->member);
}

/* Whether a path came twice. Members of one archive may share a name, and are two pictures. */
static bool is_again(const struct listed_picture *x, const struct listed_picture *y) {
  return by_name(x, y) == 0 && !x->shard == !y->shard && !x->fault == !y->fault;
}

/* Of a sorted list. */
static void pass_over_again(struct pictures *pictures) {
  size_t kept = 0;
  for (size_t i = 0; i < pictures->count; i++) {
    struct listed_picture *picture = &pictures->picture[i];
    if (!kept || !is_again(&pictures->picture[kept - 1], picture)) {
      pictures->picture[kept++] = *picture;
      continue;
    }
    pictures->good -= !picture->fault;
    picture_free(picture);
    pictures_pass_over(pictures, "given twice");
  }
  pictures->count = kept;
}

static int by_kind(const void *a, const void *b) {
  const struct passed_over *x = a, *y = b;
  return strcmp(x->kind, y->kind);
}

void pictures_sort(struct pictures *pictures) {
  if (pictures->count)
    qsort(pictures->picture, pictures->count, sizeof *pictures->picture, by_name);
  pass_over_again(pictures);
  qsort(pictures->passed, pictures->kinds, sizeof *pictures->passed, by_kind);
}

/* ---- reading it ------------------------------------------------------------------------------ */

size_t pictures_count(const struct pictures *pictures) {
  return pictures->count;
}

const char *pictures_name(const struct pictures *pictures, size_t index) {
  return pictures->picture[index].name;
}

uint64_t pictures_stamp(const struct pictures *pictures, size_t index) {
  return pictures->picture[index].stamp;
}

bool pictures_is_fault(const struct pictures *pictures, size_t index) {
  return pictures->picture[index].fault;
}

const struct shard *pictures_member(const struct pictures *pictures, size_t index, size_t *member) {
  *member = pictures->picture[index].member;
  return pictures->picture[index].shard;
}

size_t pictures_archives(const struct pictures *pictures) {
  return pictures->archives;
}

const struct shard *pictures_archive(const struct pictures *pictures, size_t index) {
  return pictures->archive[index];
}

size_t pictures_faults(const struct pictures *pictures) {
  return pictures->faults;
}

const char *pictures_fault(const struct pictures *pictures, size_t index) {
  return pictures->fault[index];
}

size_t pictures_passed(const struct pictures *pictures) {
  return pictures->kinds;
}

const struct passed_over *pictures_passed_over(const struct pictures *pictures, size_t index) {
  return &pictures->passed[index];
}

static enum vqct_status decode(const void *data, size_t size, const struct fit *fit,
                               struct vqct_image *image, struct vqct_error *error) {
  struct image_file file;
  enum vqct_status status = image_file_read(data, size, &limits, &file, error);
  if (status != VQCT_OK)
    return status;
  return fit ? fit_decode(fit, &file, image, error) : image_file_decode(&file, 1, image, error);
}

static enum vqct_status decode_member(const struct listed_picture *picture, const struct fit *fit,
                                      struct vqct_image *image, struct vqct_error *error) {
  struct shard_bytes bytes;
  enum vqct_status status =
      shard_read(picture->shard, picture->member, limits.bytes, &bytes, error);
  if (status != VQCT_OK)
    return status;
  status = decode(bytes.data, bytes.size, fit, image, error);
  free(bytes.owned);
  return status;
}

static enum vqct_status decode_file(const char *name, const struct fit *fit,
                                    struct vqct_image *image, struct vqct_error *error) {
  struct whole_file file;
  enum vqct_status status = whole_file_read(name, limits.bytes, &file, error);
  if (status != VQCT_OK)
    return status;
  status = decode(file.data, file.size, fit, image, error);
  free(file.data);
  return status == VQCT_OK ? VQCT_OK : error_prefix(error, "%s", name);
}

enum vqct_status pictures_decode(const struct pictures *pictures, size_t index,
                                 const struct fit *fit, struct vqct_image *image,
                                 struct vqct_error *error) {
  const struct listed_picture *picture = &pictures->picture[index];
  *image = (struct vqct_image){0};
  if (picture->fault)
    return error_set(error, picture->fault->status, "%s", picture->fault->message);
  if (!picture->shard)
    return decode_file(picture->name, fit, image, error);
  enum vqct_status status = decode_member(picture, fit, image, error);
  return status == VQCT_OK ? VQCT_OK : error_prefix(error, "%s", picture->name);
}
