/* --watch: the files that the service is made of are watched, and what changed is loaded again.
 *
 * Folders are what the kernel watches (inotify, by libuv), since who renews a file renames another
 * over it, and Kubernetes a link beside it. An event only starts a timer; what counts is whether a
 * file is another than when it was last noted, and has been that for one turn of the timer, so that
 * nothing is read while it is being written. Nothing runs while nothing changes. Loop thread only.
 */
#ifndef COMMAND_SERVE_WATCH_H
#define COMMAND_SERVE_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "vqct/status.h"

struct watch_file;
struct watch_folder;

/** All 0 watches nothing, and says of every file that it changed. */
struct watch {
  bool on;
  uv_loop_t *loop;
  uv_timer_t timer;
  struct watch_file *files;
  struct watch_folder *folders;
  void (*changed)(void *context);
  void *context;
};

/** Begins to watch nothing yet; `changed` is called when a file that was noted has become another
 * and rests. */
void watch_start(struct watch *watch, uv_loop_t *loop, void (*changed)(void *context),
                 void *context);

/** A round notes all files that are to be watched from now on, and says of each whether it is
 * another than when it was noted before; those that are not asked for in it are forgotten. The same
 * answer is given for as often as it is asked for in a round. NULL is no file, and never changed.
 */
void watch_round(struct watch *watch);
bool watch_note(struct watch *watch, const char *path);

/** Keeps a file in the round as it was noted before. */
void watch_keep(struct watch *watch, const char *path);

/** Ends a round: watches the folders of the files that are noted. Errors: READ (naming a folder
 * that cannot be watched), MEMORY; the others are watched all the same. */
enum vqct_status watch_follow(struct watch *watch, struct vqct_error *error);

/** Closes its handles with the loop, which must run once more. */
void watch_stop(struct watch *watch);

#endif
