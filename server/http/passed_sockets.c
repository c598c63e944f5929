/* What sd_listen_fds_with_names(3) does, without its library: LISTEN_FDS descriptors from 3 on are
 * for the process LISTEN_PID, with names in LISTEN_FDNAMES between colons. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "error.h"
#include "sockets.h"

#define FIRST_FILE 3

static bool read_count(const char *text, long max, long *count) {
  if (!text || !*text || strspn(text, "0123456789") != strlen(text) || strlen(text) > 9)
    return false;
  *count = strtol(text, NULL, 10);
  return *count <= max;
}

static enum vqct_status check(int file, const char *name, struct vqct_error *error) {
  int type = 0, listens = 0;
  socklen_t size = sizeof type;
  if (getsockopt(file, SOL_SOCKET, SO_TYPE, &type, &size) || type != SOCK_STREAM ||
      getsockopt(file, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) || !listens)
    return error_set(error, VQCT_INVALID,
                     "descriptor %d, which was passed as '%.60s', is no stream socket that listens",
                     file, name);
  fcntl(file, F_SETFD, FD_CLOEXEC);
  fcntl(file, F_SETFL, O_NONBLOCK);
  return VQCT_OK;
}

struct passed {
  const char *const *names;
  struct listen_sockets *const *sockets;
  size_t count;
  char allowed[128]; /* the names, for messages */
  long unnamed;      /* how many are, */
  int file;          /* and one of them, */
  char name[256];    /* with what it has for a name */
};

/* What the service manager writes where a unit gives no name: the unit's own, or "unknown". */
static bool is_name(const char *name) {
  size_t length = strlen(name);
  bool unit = length >= 7 && !strcmp(name + length - 7, ".socket");
  return length && !unit && strcmp(name, "unknown") != 0;
}

static enum vqct_status take(const struct passed *passed, size_t port, int file, const char *name,
                             struct vqct_error *error) {
  enum vqct_status status = check(file, name, error);
  return status == VQCT_OK
             ? sockets_add(passed->sockets[port], &(struct listen_socket){.file = file}, error)
             : status;
}

static enum vqct_status take_named(struct passed *passed, int file, const char *name,
                                   struct vqct_error *error) {
  for (size_t i = 0; i < passed->count; i++)
    if (!strcmp(passed->names[i], name))
      return take(passed, i, file, name, error);
  if (is_name(name))
    return error_set(error, VQCT_INVALID,
                     "a socket was passed as '%.60s': FileDescriptorName=%s is allowed", name,
                     passed->allowed);
  passed->unnamed++;
  passed->file = file;
  strcpy(passed->name, name);
  return VQCT_OK;
}

/* Of several it cannot be told which is for what. */
static enum vqct_status take_unnamed(const struct passed *passed, struct vqct_error *error) {
  if (passed->unnamed == 1 && !passed->sockets[0]->count)
    return take(passed, 0, passed->file, passed->name, error);
  if (passed->unnamed)
    return error_set(
        error, VQCT_INVALID,
        "%ld sockets were passed under no port's name ('%.60s'), which only one for the "
        "API may be: FileDescriptorName=%s tells them apart",
        passed->unnamed, passed->name, passed->allowed);
  return VQCT_OK;
}

static void list_names(struct passed *passed) {
  for (size_t i = 0; i < passed->count; i++) {
    size_t used = strlen(passed->allowed);
    snprintf(passed->allowed + used, sizeof passed->allowed - used, "%s%s", i ? " or " : "",
             passed->names[i]);
  }
}

enum vqct_status sockets_take_passed(const char *const *names,
                                     struct listen_sockets *const *sockets, size_t count,
                                     struct vqct_error *error) {
  long process, files;
  struct passed passed = {.names = names, .sockets = sockets, .count = count};
  bool ours = read_count(getenv("LISTEN_PID"), 999999999, &process) && process == (long)getpid();
  if (!ours || !getenv("LISTEN_FDS"))
    return VQCT_OK;
  if (!read_count(getenv("LISTEN_FDS"), LISTEN_SOCKETS_MAX * (long)count, &files))
    return error_set(error, VQCT_INVALID, "LISTEN_FDS is '%.20s': up to %zu sockets are taken",
                     getenv("LISTEN_FDS"), LISTEN_SOCKETS_MAX * count);
  list_names(&passed);
  const char *given = getenv("LISTEN_FDNAMES"), *at = given ? given : "";
  enum vqct_status status = VQCT_OK;
  for (long i = 0; i < files && status == VQCT_OK; i++) {
    char name[sizeof passed.name] = "";
    size_t length = strcspn(at, ":");
    if (length < sizeof name)
      memcpy(name, at, length);
    at += length + (at[length] == ':');
    status = take_named(&passed, FIRST_FILE + (int)i, name, error);
  }
  if (status == VQCT_OK)
    status = take_unnamed(&passed, error);
  unsetenv("LISTEN_PID");
  unsetenv("LISTEN_FDS");
  unsetenv("LISTEN_FDNAMES");
  return status;
}
