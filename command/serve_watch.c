#define _GNU_SOURCE /* realpath without a bound */
#include "serve_watch.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "error.h"

#define REST_TIME 250 /* milliseconds that a file must stay the same before it is read */

/* What tells a file from the one that it was. All 0 where there is none. */
struct stamp {
  uint64_t device, inode, size;
  int64_t modified, changed; /* nanoseconds */
};

struct watch_file {
  struct watch_file *next;
  char *path;
  struct stamp noted, seen;
  bool kept, asked, different; /* in this round */
};

struct watch_folder {
  struct watch_folder *next;
  uv_fs_event_t event;
  char *path;
};

/* ---- files ----------------------------------------------------------------------------------- */

static struct stamp read_stamp(const char *path) {
  struct stat facts;
  if (stat(path, &facts))
    return (struct stamp){0};
  return (struct stamp){.device = facts.st_dev,
                        .inode = facts.st_ino,
                        .size = (uint64_t)facts.st_size,
                        .modified = facts.st_mtim.tv_sec * 1000000000 + facts.st_mtim.tv_nsec,
                        .changed = facts.st_ctim.tv_sec * 1000000000 + facts.st_ctim.tv_nsec};
}

static bool is_same(const struct stamp *a, const struct stamp *b) {
  return a->device == b->device && a->inode == b->inode && a->size == b->size &&
         a->modified == b->modified && a->changed == b->changed;
}

/* What is not there is waited for: it may be between being taken away and put back. */
static bool is_another(const struct watch_file *file, const struct stamp *now) {
  return now->inode && !is_same(&file->noted, now);
}

static void on_timer(uv_timer_t *timer) {
  struct watch *watch = timer->data;
  bool another = false, rests = true;
  for (struct watch_file *file = watch->files; file; file = file->next) {
    struct stamp now = read_stamp(file->path);
    another = another || is_another(file, &now);
    rests = rests && is_same(&file->seen, &now);
    file->seen = now;
  }
  if (!rests)
    uv_timer_start(&watch->timer, on_timer, REST_TIME, 0);
  else if (another)
    watch->changed(watch->context);
}

static struct watch_file *find_file(struct watch *watch, const char *path) {
  struct watch_file *file = watch->files;
  while (file && strcmp(file->path, path))
    file = file->next;
  return file;
}

static struct watch_file *add_file(struct watch *watch, const char *path) {
  struct watch_file *file = calloc(1, sizeof *file);
  char *copy = file ? strdup(path) : NULL;
  if (!copy) {
    free(file);
    return NULL;
  }
  file->path = copy;
  file->next = watch->files;
  watch->files = file;
  return file;
}

void watch_round(struct watch *watch) {
  for (struct watch_file *file = watch->files; file; file = file->next)
    file->kept = file->asked = false;
}

bool watch_note(struct watch *watch, const char *path) {
  if (!path)
    return false;
  struct watch_file *file = watch->on ? find_file(watch, path) : NULL;
  if (watch->on && !file)
    file = add_file(watch, path);
  if (!file)
    return true;
  if (!file->asked) {
    struct stamp now = read_stamp(path);
    file->different = is_another(file, &now);
    file->noted = file->seen = now;
    file->kept = file->asked = true;
  }
  return file->different;
}

void watch_keep(struct watch *watch, const char *path) {
  struct watch_file *file = find_file(watch, path);
  if (file)
    file->kept = true;
}

static void forget_files(struct watch *watch) {
  for (struct watch_file **at = &watch->files, *file; (file = *at);) {
    if (file->kept) {
      at = &file->next;
      continue;
    }
    *at = file->next;
    free(file->path);
    free(file);
  }
}

/* ---- folders --------------------------------------------------------------------------------- */

static void on_event(uv_fs_event_t *event, const char *name, int events, int status) {
  struct watch *watch = event->data;
  (void)name;
  (void)events;
  (void)status;
  if (!uv_is_active((uv_handle_t *)&watch->timer))
    uv_timer_start(&watch->timer, on_timer, REST_TIME, 0);
}

static void free_folder(uv_handle_t *handle) {
  struct watch_folder *folder =
      (struct watch_folder *)((char *)handle - offsetof(struct watch_folder, event));
  free(folder->path);
  free(folder);
}

/* Takes over the path. */
static enum vqct_status follow_folder(struct watch *watch, char *path, struct vqct_error *error) {
  struct watch_folder *folder = watch->folders;
  while (path && folder && strcmp(folder->path, path))
    folder = folder->next;
  if (folder) {
    free(path);
    return VQCT_OK;
  }
  folder = path ? calloc(1, sizeof *folder) : NULL;
  if (!folder) {
    free(path);
    return error_set(error, VQCT_MEMORY, "no memory to watch files");
  }
  folder->path = path;
  folder->event.data = watch;
  folder->next = watch->folders;
  watch->folders = folder;
  uv_fs_event_init(watch->loop, &folder->event);
  int fault = uv_fs_event_start(&folder->event, on_event, path, 0);
  return fault ? error_set(error, VQCT_READ, "%s cannot be watched: %s", path, uv_strerror(fault))
               : VQCT_OK;
}

static char *folder_of(const char *path) {
  const char *slash = strrchr(path, '/');
  if (!slash)
    return strdup(".");
  return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

/* The folder of a file, and of what it is a link to. */
static enum vqct_status follow_file(struct watch *watch, const char *path,
                                    struct vqct_error *error) {
  enum vqct_status status = follow_folder(watch, folder_of(path), error);
  char *target = realpath(path, NULL);
  if (status == VQCT_OK && target)
    status = follow_folder(watch, folder_of(target), error);
  free(target);
  return status;
}

static void leave_folders(struct watch *watch) {
  for (struct watch_folder *folder = watch->folders, *next; folder; folder = next) {
    next = folder->next;
    uv_close((uv_handle_t *)&folder->event, free_folder);
  }
  watch->folders = NULL;
}

/* All folders anew: one of the same name may be another by now. */
enum vqct_status watch_follow(struct watch *watch, struct vqct_error *error) {
  enum vqct_status status = VQCT_OK;
  if (!watch->on)
    return VQCT_OK;
  forget_files(watch);
  leave_folders(watch);
  for (const struct watch_file *file = watch->files; file; file = file->next) {
    struct vqct_error fault;
    enum vqct_status followed = follow_file(watch, file->path, &fault);
    if (followed != VQCT_OK && status == VQCT_OK)
      status = error_set(error, followed, "%s", fault.message);
  }
  uv_timer_start(&watch->timer, on_timer, REST_TIME, 0); /* for what changed meanwhile */
  return status;
}

/* ---- start and end --------------------------------------------------------------------------- */

void watch_start(struct watch *watch, uv_loop_t *loop, void (*changed)(void *context),
                 void *context) {
  *watch = (struct watch){.on = true, .loop = loop, .changed = changed, .context = context};
  uv_timer_init(loop, &watch->timer);
  watch->timer.data = watch;
}

void watch_stop(struct watch *watch) {
  if (!watch->on)
    return;
  watch_round(watch);
  forget_files(watch);
  leave_folders(watch);
  uv_close((uv_handle_t *)&watch->timer, NULL);
}
