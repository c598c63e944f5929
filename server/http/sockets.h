/* The sockets that a port accepts from: one for each address and family, or those that systemd has
 * opened. */
#ifndef HTTP_SOCKETS_H
#define HTTP_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>

#include <sys/stat.h>

#include "text.h"
#include "vqct/status.h"

#define LISTEN_SOCKETS_MAX 16
#define UNIX_PATH_MAX      107 /* bytes of the path of a Unix socket */

struct listen_socket {
  int file;
  char path[UNIX_PATH_MAX + 1]; /* of a Unix socket that is removed when it is closed; or "" */
  dev_t device;                 /* of that path */
  ino_t inode;
};

struct listen_sockets {
  struct listen_socket items[LISTEN_SOCKETS_MAX];
  size_t count;
  unsigned port; /* of the first that has one, or 0 */
};

/** Adds a socket, and notes its port; errors: INVALID (too many; the socket is closed). */
enum vqct_status sockets_add(struct listen_sockets *sockets, const struct listen_socket *socket,
                             struct vqct_error *error);

/** Adds where each of them listens, as addresses are given, with commas between. */
void sockets_describe(const struct listen_sockets *sockets, struct text *text);

/** Closes all; removes the paths of Unix sockets that are still theirs. */
void sockets_close(struct listen_sockets *sockets);

/** Listens at the path of a Unix socket, of that mode. One that nobody listens at any more is
 * replaced, for which the folder is locked. Errors: INVALID (the path is too long, in use, or no
 * socket), READ. */
enum vqct_status unix_listen(const char *path, mode_t mode, struct listen_sockets *sockets,
                             struct vqct_error *error);

/** Connects to it, with reads and writes that end after `seconds`. Errors: INVALID, UNAVAILABLE. */
enum vqct_status unix_connect(const char *path, double seconds, int *file,
                              struct vqct_error *error);

/** Takes over the sockets that the service manager has passed (sd_listen_fds(3)): those of the name
 * names[i] go to sockets[i]. One that got no name is for sockets[0] where no other is. None are
 * passed where the environment does not say so, which it does not any more afterwards. Errors:
 * INVALID (another name, none where that says too little, or no stream socket that listens); what
 * was taken is for the caller to close. */
enum vqct_status sockets_take_passed(const char *const *names,
                                     struct listen_sockets *const *sockets, size_t count,
                                     struct vqct_error *error);

/** Lets reads and writes of a socket end after `seconds`. */
void socket_set_patience(int file, double seconds);

#endif
