#include "pictures.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "error.h"
#include "mapped_file.h"
#include "tar.h"

/* A picture: a file of its own, or bytes of a mapped archive. */
struct picture {
  char *name;
  const struct tar_member *member; /* NULL: the file called name */
};

struct pictures {
  struct picture *picture;
  size_t count, capacity;
  struct tar **archive;
  size_t archives;
};

static bool ends_with(const char *name, const char *end) {
  size_t length = strlen(name), tail = strlen(end);
  return length >= tail && strcasecmp(name + length - tail, end) == 0;
}

static bool is_picture(const char *name) {
  return ends_with(name, ".jpg") || ends_with(name, ".jpeg") || ends_with(name, ".png");
}

static bool is_archive(const char *name) {
  return ends_with(name, ".tar");
}

/* "first" + separator + "second" from malloc; slashes that first ends with are left out. */
static char *join(const char *first, char separator, const char *second) {
  size_t length = strlen(first);
  while (length && first[length - 1] == '/')
    length--;
  size_t size = length + strlen(second) + 2;
  char *name = malloc(size);
  if (name)
    snprintf(name, size, "%.*s%c%s", (int)length, first, separator, second);
  return name;
}

/* Takes name, which may be NULL where there was no memory for it. */
static enum vqct_status add_picture(struct pictures *list, char *name,
                                    const struct tar_member *member, struct vqct_error *error) {
  if (name && list->count == list->capacity) {
    size_t capacity = list->capacity ? 2 * list->capacity : 1024;
    struct picture *picture = realloc(list->picture, capacity * sizeof *picture);
    if (picture) {
      list->picture = picture;
      list->capacity = capacity;
    }
  }
  if (!name || list->count == list->capacity) {
    free(name);
    return error_set(error, VQCT_MEMORY, "no memory to list %zu pictures", list->count + 1);
  }
  list->picture[list->count++] = (struct picture){name, member};
  return VQCT_OK;
}

static enum vqct_status add_members(struct pictures *list, const char *path,
                                    struct vqct_error *error) {
  struct tar **archive = realloc(list->archive, (list->archives + 1) * sizeof *archive);
  if (!archive)
    return error_set(error, VQCT_MEMORY, "no memory to list %s", path);
  list->archive = archive;
  enum vqct_status status = tar_open(path, &archive[list->archives], error);
  if (status != VQCT_OK)
    return status;
  const struct tar *tar = archive[list->archives++];
  for (size_t i = 0; i < tar_count(tar) && status == VQCT_OK; i++)
    if (is_picture(tar_member(tar, i)->name))
      status =
          add_picture(list, join(path, ':', tar_member(tar, i)->name), tar_member(tar, i), error);
  return status;
}

/* A directory, whatever it is called. */
struct place {
  dev_t device;
  ino_t inode;
};

/* A directory still to be searched. */
struct folder {
  char *path;
  int depth;
  struct place trail[PICTURES_DEPTH_MAX]; /* the directories that lead here, and itself at depth */
};

struct search {
  struct pictures *list;
  enum pictures_bad bad;
  size_t bad_paths;      /* on the list */
  struct folder *folder; /* a stack */
  size_t count, capacity;
  struct vqct_error *error;
};

/* Whether a link leads back to a directory that is being searched. */
static bool is_circle(const struct folder *parent, const struct place *here) {
  for (int i = 0; parent && i <= parent->depth; i++)
    if (parent->trail[i].device == here->device && parent->trail[i].inode == here->inode)
      return true;
  return false;
}

/* Takes path. */
static enum vqct_status push_folder(struct search *search, char *path, const struct folder *parent,
                                    const struct stat *facts) {
  struct folder folder = {.path = path, .depth = parent ? parent->depth + 1 : 0};
  const struct place here = {facts->st_dev, facts->st_ino};
  if (folder.depth == PICTURES_DEPTH_MAX || is_circle(parent, &here)) {
    free(path);
    return VQCT_OK;
  }
  if (parent)
    memcpy(folder.trail, parent->trail, sizeof folder.trail);
  folder.trail[folder.depth] = here;
  if (search->count == search->capacity) {
    size_t capacity = search->capacity ? 2 * search->capacity : 16;
    struct folder *stack = realloc(search->folder, capacity * sizeof *stack);
    if (!stack) {
      free(path);
      return error_set(search->error, VQCT_MEMORY, "no memory to search directories");
    }
    search->folder = stack;
    search->capacity = capacity;
  }
  search->folder[search->count++] = folder;
  return VQCT_OK;
}

/* Puts a path that is not what it should be on the list, where pictures_decode tells what is wrong
 * with it. Takes path. */
static enum vqct_status add_bad(struct search *search, char *path) {
  search->bad_paths++;
  return add_picture(search->list, path, NULL, search->error);
}

/* Takes path. */
static enum vqct_status add_archive(struct search *search, char *path) {
  enum vqct_status status = add_members(search->list, path, search->error);
  if ((status == VQCT_READ || status == VQCT_DATA) && search->bad == PICTURES_BAD_LISTED)
    return add_bad(search, path);
  free(path);
  return status;
}

/* Puts a path on the list or, for a directory, on the stack. parent: NULL for what the user gave,
 * which is an error where it is neither a picture nor an archive. Takes path. */
static enum vqct_status visit(struct search *search, char *path, const struct folder *parent) {
  struct stat facts;
  bool given = !parent;
  enum vqct_status status = VQCT_OK;
  if (path && stat(path, &facts) != 0) {
    if (given && search->bad == PICTURES_BAD_LISTED)
      return add_bad(search, path);
    status = given ? error_set(search->error, VQCT_READ, "%s: %s", path, strerror(errno)) : VQCT_OK;
  } else if (path && S_ISDIR(facts.st_mode)) {
    return push_folder(search, path, parent, &facts);
  } else if (path && is_archive(path)) {
    return add_archive(search, path);
  } else if (!path || is_picture(path)) {
    return add_picture(search->list, path, NULL, search->error);
  } else if (given) {
    status = error_set(search->error, VQCT_READ,
                       "%s: neither a directory nor a .png, .jpg or .tar file", path);
  }
  free(path);
  return status;
}

static enum vqct_status search_folder(struct search *search, const struct folder *folder) {
  DIR *directory = opendir(folder->path);
  if (!directory)
    return error_set(search->error, VQCT_READ, "%s: %s", folder->path, strerror(errno));
  enum vqct_status status = VQCT_OK;
  struct dirent *entry;
  while (status == VQCT_OK && (entry = readdir(directory)))
    if (entry->d_name[0] != '.')
      status = visit(search, join(folder->path, '/', entry->d_name), folder);
  closedir(directory);
  return status;
}

static int by_name(const void *a, const void *b) {
  const struct picture *x = a, *y = b;
  return strcmp(x->name, y->name);
}

enum vqct_status pictures_open(const char *const *paths, size_t count, enum pictures_bad bad,
                               struct pictures **result, struct vqct_error *error) {
  *result = NULL;
  struct search search = {.list = calloc(1, sizeof *search.list), .bad = bad, .error = error};
  if (!search.list)
    return error_set(error, VQCT_MEMORY, "no memory to list pictures");
  enum vqct_status status = VQCT_OK;
  for (size_t i = 0; i < count && status == VQCT_OK; i++)
    status = visit(&search, strdup(paths[i]), NULL);
  while (search.count) {
    struct folder folder = search.folder[--search.count];
    if (status == VQCT_OK)
      status = search_folder(&search, &folder);
    free(folder.path);
  }
  free(search.folder);
  if (status == VQCT_OK && !search.list->count)
    status = error_set(error, VQCT_DATA, "%s: there is no PNG or JPEG picture",
                       count ? paths[0] : "data");
  struct vqct_image image = {0};
  if (status == VQCT_OK && search.list->count == search.bad_paths)
    status = pictures_decode(search.list, 0, &image, error);
  vqct_image_free(&image);
  if (status == VQCT_OK) {
    qsort(search.list->picture, search.list->count, sizeof *search.list->picture, by_name);
    *result = search.list;
  } else {
    pictures_close(search.list);
  }
  return status;
}

void pictures_close(struct pictures *pictures) {
  if (!pictures)
    return;
  for (size_t i = 0; i < pictures->count; i++)
    free(pictures->picture[i].name);
  for (size_t i = 0; i < pictures->archives; i++)
    tar_close(pictures->archive[i]);
  free(pictures->picture);
  free(pictures->archive);
  free(pictures);
}

size_t pictures_count(const struct pictures *pictures) {
  return pictures->count;
}

const char *pictures_name(const struct pictures *pictures, size_t index) {
  return pictures->picture[index].name;
}

enum vqct_status pictures_decode(const struct pictures *pictures, size_t index,
                                 struct vqct_image *image, struct vqct_error *error) {
  static const struct vqct_image_limits limits = VQCT_IMAGE_LIMITS_DEFAULT;
  const struct picture *picture = &pictures->picture[index];
  if (picture->member) {
    enum vqct_status status =
        vqct_image_decode(picture->member->data, picture->member->size, &limits, image, error);
    return status == VQCT_OK ? VQCT_OK : error_prefix(error, "%s", picture->name);
  }
  struct mapped_file file;
  struct tar *archive = NULL;
  enum vqct_status status = VQCT_OK;
  memset(image, 0, sizeof *image);
  if (is_archive(picture->name)) /* it is damaged, or its pictures would be on the list */
    status = tar_open(picture->name, &archive, error);
  tar_close(archive);
  if (status == VQCT_OK)
    status = mapped_file_open(picture->name, &file, error);
  if (status != VQCT_OK)
    return status;
  status = vqct_image_decode(file.data, file.size, &limits, image, error);
  mapped_file_close(&file);
  return status == VQCT_OK ? VQCT_OK : error_prefix(error, "%s", picture->name);
}
