/* Directories wait on a stack, each with the trail of directories that led to it, by which circles
 * of links are told. */
#include "collect.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "byte_stream.h"
#include "error.h"
#include "libarchive.h"

#define INPUT "-" /* the path of standard input */

static bool ends_with_one_of(const char *name, const char *const *endings) {
  size_t length = strlen(name);
  for (; *endings; endings++) {
    size_t tail = strlen(*endings);
    if (length >= tail && strcasecmp(name + length - tail, *endings) == 0)
      return true;
  }
  return false;
}

static const char *base_name(const char *name) {
  const char *slash = strrchr(name, '/');
  return slash ? slash + 1 : name;
}

/* What macOS keeps beside a file on foreign disks and in archives: "._NAME". */
static bool is_apple_double(const char *name) {
  return strncmp(base_name(name), "._", 2) == 0;
}

static bool is_picture(const char *name) {
  static const char *const endings[] = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", NULL};
  return ends_with_one_of(name, endings) && !is_apple_double(name);
}

static bool is_archive(const char *name) {
  static const char *const endings[] = {".tar", ".tar.gz",  ".tgz",  ".tar.zst", ".tzst", ".tar.xz",
                                        ".txz", ".tar.bz2", ".tbz2", ".tar.lz4", NULL};
  return ends_with_one_of(name, endings) && !is_apple_double(name);
}

/* The kind by which a file that is passed over is counted. */
static void pass_over(struct pictures *list, const char *name) {
  enum { ENDING_MAX = 8 };
  char kind[ENDING_MAX + 1] = "";
  const char *base = base_name(name), *dot = strrchr(base, '.');
  size_t length = dot ? strlen(dot + 1) : 0;
  bool plain = length >= 1 && length <= ENDING_MAX;
  for (size_t i = 0; plain && i < length; i++) {
    char c = dot[1 + i];
    kind[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    plain = (kind[i] >= 'a' && kind[i] <= 'z') || (kind[i] >= '0' && kind[i] <= '9');
  }
  if (is_apple_double(name))
    pictures_pass_over(list, "._");
  else
    pictures_pass_over(list, plain ? kind : dot ? "other" : "no ending");
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

/* ---- directories ----------------------------------------------------------------------------- */

/* A directory, whatever it is called. */
struct place {
  dev_t device;
  ino_t inode;
};

/* A directory still to be searched. */
struct folder {
  char *path;
  int depth;
  struct place trail[COLLECT_DEPTH_MAX]; /* the directories that lead here, and itself at depth */
};

struct search {
  struct pictures *list;
  enum pictures_bad bad;
  const struct shard_stop *stop;
  struct libarchive library;
  bool loaded;           /* the library */
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

/* A path that cannot be read, for the reason in fault. given: by the user. */
static enum vqct_status add_fault(struct search *search, const char *path, bool given,
                                  const struct vqct_error *fault) {
  if (given && search->bad == PICTURES_BAD_APART)
    return error_set(search->error, fault->status, "%s", fault->message);
  return pictures_add_fault(search->list, path, search->bad == PICTURES_BAD_LISTED, fault,
                            search->error);
}

static enum vqct_status add_unreadable(struct search *search, const char *path, bool given,
                                       const char *reason) {
  struct vqct_error fault;
  error_set(&fault, VQCT_READ, "%s: %s", path, reason);
  return add_fault(search, path, given, &fault);
}

/* Takes path. */
static enum vqct_status push_folder(struct search *search, char *path, const struct folder *parent,
                                    const struct stat *facts) {
  struct folder folder = {.path = path, .depth = parent ? parent->depth + 1 : 0};
  const struct place here = {facts->st_dev, facts->st_ino};
  if (is_circle(parent, &here)) { /* its pictures are listed by their shorter names */
    free(path);
    pictures_pass_over(search->list, "circular link");
    return VQCT_OK;
  }
  if (folder.depth == COLLECT_DEPTH_MAX) {
    char reason[64];
    snprintf(reason, sizeof reason, "more than %d levels deep, not searched", COLLECT_DEPTH_MAX);
    enum vqct_status status = add_unreadable(search, path, false, reason);
    free(path);
    return status;
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

/* ---- archives -------------------------------------------------------------------------------- */

static enum vqct_status add_members(struct search *search, const char *path,
                                    const struct shard *shard) {
  enum vqct_status status = VQCT_OK;
  for (size_t i = 0; i < shard_count(shard) && status == VQCT_OK; i++) {
    const char *name = shard_name(shard, i);
    if (shard_kind(shard, i) == SHARD_SYMBOLIC)
      pictures_pass_over(search->list, "symbolic link");
    else if (is_picture(name))
      status = pictures_add_member(search->list, join(path, ':', name), shard, i, search->error);
    else
      pass_over(search->list, name);
  }
  return status;
}

static enum vqct_status load_library(struct search *search, struct vqct_error *fault) {
  enum vqct_status status;
  if (!search->loaded && (status = libarchive_load(&search->library, fault)) != VQCT_OK)
    return status;
  search->loaded = true;
  return VQCT_OK;
}

/* Why an archive cannot be opened: a fault of its own, or one that ends the search. */
static enum vqct_status add_archive_fault(struct search *search, const char *path, bool given,
                                          const struct vqct_error *fault) {
  enum vqct_status status = fault->status;
  if (status == VQCT_MEMORY || status == VQCT_INTERRUPTED || status == VQCT_WRITE)
    return error_set(search->error, status, "%s", fault->message);
  return add_fault(search, path, given, fault);
}

/* An archive that is damaged behind its first members has them listed, and is a fault besides.
 * Takes the archive. */
static enum vqct_status list_archive(struct search *search, const char *path, struct shard *shard) {
  struct vqct_error fault;
  enum vqct_status status;
  if ((status = pictures_add_archive(search->list, shard, search->error)) ||
      (status = add_members(search, path, shard)) || !shard_damage(shard))
    return status;
  error_set(&fault, VQCT_DATA, "%s", shard_damage(shard));
  return add_fault(search, path, false, &fault);
}

static enum vqct_status add_archive(struct search *search, const char *path, bool given) {
  struct shard *shard;
  struct vqct_error fault;
  if (load_library(search, &fault) != VQCT_OK ||
      shard_open(path, &search->library, search->stop, &shard, &fault) != VQCT_OK)
    return add_archive_fault(search, path, given, &fault);
  return list_archive(search, path, shard);
}

/* ---- the search ------------------------------------------------------------------------------ */

static uint64_t stamp_of(const struct stat *facts) {
  return (uint64_t)facts->st_size * 0x9e3779b97f4a7c15 ^
         ((uint64_t)facts->st_mtim.tv_sec * 1000000000U + (uint64_t)facts->st_mtim.tv_nsec);
}

/* A path that does not lead to anything: a link to nowhere or to itself, or one that is not there.
 * One whose ending says that it would not be a picture is passed over. */
static enum vqct_status visit_nothing(struct search *search, const char *path, bool given,
                                      int reason) {
  if (!given && !is_picture(path) && !is_archive(path) && strrchr(base_name(path), '.')) {
    pass_over(search->list, path);
    return VQCT_OK;
  }
  return add_unreadable(search, path, given, strerror(reason));
}

/* Puts a path on the list or, for a directory, on the stack. parent: NULL for what the user gave,
 * which is an error where it is neither a picture nor an archive. Takes path. */
static enum vqct_status visit(struct search *search, char *path, const struct folder *parent) {
  struct stat facts;
  bool given = !parent;
  if (!path)
    return error_set(search->error, VQCT_MEMORY, "no memory to list pictures");
  enum vqct_status status = VQCT_OK;
  if (stat(path, &facts) != 0)
    status = visit_nothing(search, path, given, errno);
  else if (S_ISDIR(facts.st_mode))
    return push_folder(search, path, parent, &facts);
  else if (is_archive(path))
    status = add_archive(search, path, given);
  else if (is_picture(path))
    return pictures_add_file(search->list, path, stamp_of(&facts), search->error);
  else if (given)
    status = error_set(search->error, VQCT_READ,
                       "%s: neither a directory, a .png, .jpg or .webp picture nor a .tar archive",
                       path);
  else
    pass_over(search->list, path);
  free(path);
  return status;
}

static bool asked_to_stop(const struct search *search) {
  return search->stop && search->stop->asked && search->stop->asked(search->stop->context);
}

/* One name in a directory. */
static enum vqct_status visit_entry(struct search *search, const struct folder *folder,
                                    const char *name) {
  if (asked_to_stop(search))
    return error_set(search->error, VQCT_INTERRUPTED, "stopped while pictures were listed");
  if (name[0] != '.')
    return visit(search, join(folder->path, '/', name), folder);
  if (is_apple_double(name))
    pass_over(search->list, name);
  else if (strcmp(name, ".") && strcmp(name, ".."))
    pictures_pass_over(search->list, "hidden");
  return VQCT_OK;
}

static enum vqct_status search_folder(struct search *search, const struct folder *folder) {
  DIR *directory = opendir(folder->path);
  if (!directory)
    return add_unreadable(search, folder->path, folder->depth == 0, strerror(errno));
  enum vqct_status status = VQCT_OK;
  struct dirent *entry;
  while (status == VQCT_OK && (errno = 0, entry = readdir(directory)))
    status = visit_entry(search, folder, entry->d_name);
  if (status == VQCT_OK && errno)
    status = add_unreadable(search, folder->path, folder->depth == 0, strerror(errno));
  closedir(directory);
  return status;
}

/* Paths in lines, which are taken as if they were given. */
static enum vqct_status visit_lines(struct search *search, const struct mapped_file *text) {
  struct byte_stream *stream;
  struct text_line line;
  enum vqct_status status = byte_stream_open_memory("standard input", text->data, text->size,
                                                    SHARD_NAME_MAX, &stream, search->error);
  if (status != VQCT_OK)
    return status;
  while ((status = byte_stream_line(stream, &line, search->error)) == VQCT_OK && line.text) {
    if (line.cut || strlen(line.text) != line.length)
      status = error_set(search->error, VQCT_DATA,
                         "standard input: line %llu is no path, and the whole is no archive",
                         (unsigned long long)line.number);
    else if (line.length)
      status = visit(search, strdup(line.text), NULL);
    if (status != VQCT_OK)
      break;
  }
  byte_stream_close(stream);
  return status;
}

static enum vqct_status visit_input(struct search *search) {
  struct shard *shard;
  struct mapped_file text;
  struct vqct_error fault;
  if (load_library(search, &fault) != VQCT_OK ||
      shard_open_input(&search->library, search->stop, &shard, &text, &fault) != VQCT_OK)
    return add_archive_fault(search, INPUT, true, &fault);
  if (shard)
    return list_archive(search, INPUT, shard);
  enum vqct_status status = visit_lines(search, &text);
  mapped_file_close(&text);
  return status;
}

/* Visits the paths, and then every directory on the stack until it is empty. */
static enum vqct_status search_all(struct search *search, const char *const *paths, size_t count) {
  enum vqct_status status;
  for (size_t i = 0; i < count; i++)
    if ((status = strcmp(paths[i], INPUT) ? visit(search, strdup(paths[i]), NULL)
                                          : visit_input(search)) != VQCT_OK)
      return status;
  while (search->count) {
    struct folder folder = search->folder[--search->count];
    status = search_folder(search, &folder);
    free(folder.path);
    if (status != VQCT_OK)
      return status;
  }
  return VQCT_OK;
}

static void free_stack(struct search *search) {
  while (search->count)
    free(search->folder[--search->count].path);
  free(search->folder);
}

/* Why a list has no picture. */
static enum vqct_status tell_none(const struct search *search, const char *path) {
  const struct vqct_error *fault = pictures_first_fault(search->list);
  if (fault->status != VQCT_OK)
    return error_set(search->error, fault->status, "%s", fault->message);
  return error_set(search->error, VQCT_READ, "%s: there is no PNG, JPEG or WebP picture", path);
}

enum vqct_status pictures_open(const char *const *paths, size_t count, enum pictures_bad bad,
                               const struct shard_stop *stop, struct pictures **result,
                               struct vqct_error *error) {
  *result = NULL;
  struct search search = {.list = pictures_new(), .bad = bad, .stop = stop, .error = error};
  if (!search.list)
    return error_set(error, VQCT_MEMORY, "no memory to list pictures");
  enum vqct_status status = search_all(&search, paths, count);
  free_stack(&search);
  if (status == VQCT_OK && !pictures_good(search.list))
    status = tell_none(&search, count ? paths[0] : "data");
  if (status != VQCT_OK) {
    pictures_close(search.list);
    return status;
  }
  pictures_sort(search.list);
  *result = search.list;
  return VQCT_OK;
}
