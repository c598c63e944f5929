/* What a run's folder holds and who may write it: the leader, which holds the folder's lock. The
 * metrics grow line by line; every other file is replaced whole, so what a killed run left half
 * written stands under a name of its own and is swept away when the next one opens. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "atomic_file.h"
#include "error.h"
#include "mapped_file.h"
#include "run_inner.h"

bool run_leads(const struct run *run) {
  return !run->reduction || run->reduction->rank == 0;
}

void run_say(const struct run *run, const char *message) {
  if (run->hooks->message && run_leads(run))
    run->hooks->message(run->hooks->context, message);
}

/* ---- opening --------------------------------------------------------------------------------- */

/* The lock is the directory's own, so it leaves nothing behind. A file system that has no such
 * locks (some that are shared by machines) goes without. */
static enum vqct_status lock_folder(struct run *run) {
  const char *folder = run->settings->folder;
  run->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (run->folder < 0)
    return error_set(run->error, VQCT_WRITE, "%s: %s", folder, strerror(errno));
  if (flock(run->folder, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
    return error_set(run->error, VQCT_WRITE, "%s: another process is training here", folder);
  return VQCT_OK;
}

enum vqct_status run_folder_open(struct run *run) {
  static const char *const names[RUN_FILES] = {
      [RUN_METRICS] = "metrics.jsonl",     [RUN_LAST] = "last.safetensors",
      [RUN_BEST] = "best.safetensors",     [RUN_MODEL] = "model.safetensors",
      [RUN_SHEET] = "reconstructions.png", [RUN_CURVES] = "curves.svg",
      [RUN_HELD_OUT] = "held-out.txt"};
  const char *folder = run->settings->folder;
  for (int i = 0; i < RUN_FILES; i++) {
    size_t size = strlen(folder) + strlen(names[i]) + 2;
    if (!(run->path[i] = malloc(size)))
      return error_set(run->error, VQCT_MEMORY, "no memory for a path");
    snprintf(run->path[i], size, "%s/%s", folder, names[i]);
  }
  if (mkdir(folder, 0777) != 0 && errno != EEXIST)
    return error_set(run->error, VQCT_WRITE, "%s: %s", folder, strerror(errno));
  if (!run_leads(run))
    return VQCT_OK;
  enum vqct_status status = lock_folder(run);
  for (int i = 0; status == VQCT_OK && i < RUN_FILES; i++)
    atomic_file_sweep(run->path[i]);
  return status;
}

void run_folder_close(struct run *run) {
  for (int i = 0; i < RUN_FILES; i++)
    free(run->path[i]);
  if (run->folder >= 0)
    close(run->folder);
}

/* ---- pictures held out ----------------------------------------------------------------------- */

/* The names of the pictures that validate and are not trained on, a line for each; from malloc. */
static char *held_out_text(const struct run *run, size_t *size) {
  size_t count = (size_t)run->settings->held_out, at = 0;
  *size = 0;
  for (size_t i = 0; i < count; i++)
    *size += strlen(pictures_name(run->pictures, loader_held_out(run->loader, i))) + 1;
  char *text = malloc(*size + 1);
  for (size_t i = 0; text && i < count; i++) {
    const char *name = pictures_name(run->pictures, loader_held_out(run->loader, i));
    at += (size_t)snprintf(text + at, *size + 1 - at, "%s\n", name);
  }
  return text;
}

/* Whether a file is there that holds something else. */
static bool differs(const char *path, const char *text, size_t size) {
  struct mapped_file file;
  if (access(path, F_OK) != 0 || mapped_file_open(path, &file, NULL) != VQCT_OK)
    return false;
  bool different = file.size != size || (size && memcmp(file.data, text, size) != 0);
  mapped_file_close(&file);
  return different;
}

enum vqct_status run_list_held_out(struct run *run, bool *moved) {
  const char *path = run->path[RUN_HELD_OUT];
  size_t size;
  char *text = held_out_text(run, &size);
  if (!text)
    return error_set(run->error, VQCT_MEMORY, "no memory to write %s", path);
  *moved = differs(path, text, size);
  enum vqct_status status = atomic_file_save(path, text, size, run->error);
  free(text);
  return status;
}
