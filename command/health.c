/* `vqct health`: asks a running server whether it is ready, for container health checks. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "command.h"
#include "error.h"
#include "options.h"

struct health_options {
  const char *admin_listen;
  bool live;
  double timeout;
};

static const struct option options[] = {
    {"admin-listen", 'a', OPTION_TEXT, offsetof(struct health_options, admin_listen),
     "127.0.0.1:8081", 0, 0, NULL, "HOST:PORT", "the server's second port"},
    {"live", 0, OPTION_SWITCH, offsetof(struct health_options, live), NULL, 0, 0, NULL, "",
     "ask only whether it is alive, not whether it is ready"},
    {"timeout", 0, OPTION_DURATION, offsetof(struct health_options, timeout), "2s", 0.01, 3600,
     NULL, "TIME", "how long the answer may take"},
};
static const struct option_table table = {.command = "health",
                                          .operands = "",
                                          .summary = "Asks a running server whether it is ready.",
                                          .options = options,
                                          .count = sizeof options / sizeof *options,
                                          .layered = true};

static enum vqct_status connect_to(const struct health_options *settings, int *file,
                                   struct vqct_error *error) {
  char host[256];
  const char *address = settings->admin_listen;
  const char *colon = strrchr(address, ':');
  size_t length = colon ? (size_t)(colon - address) : sizeof host;
  if (length >= sizeof host)
    return error_set(error, VQCT_INVALID, "admin-listen is '%.100s': HOST:PORT is allowed",
                     address);
  bool bracketed = length > 2 && *address == '[';
  snprintf(host, sizeof host, "%.*s", (int)(bracketed ? length - 2 : length), address + bracketed);
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
  int fault = getaddrinfo(host, colon + 1, &hints, &found);
  if (fault)
    return error_set(error, VQCT_UNAVAILABLE, "%s: %s", address, gai_strerror(fault));
  *file = socket(found->ai_family, SOCK_STREAM, 0);
  struct timeval wait = {
      (time_t)settings->timeout,
      (suseconds_t)((settings->timeout - (double)(time_t)settings->timeout) * 1e6)};
  setsockopt(*file, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  setsockopt(*file, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
  fault = *file < 0 || connect(*file, found->ai_addr, found->ai_addrlen) ? errno : 0;
  freeaddrinfo(found);
  if (!fault)
    return VQCT_OK;
  if (*file >= 0)
    close(*file);
  return error_set(error, VQCT_UNAVAILABLE, "%s: %s", address, strerror(fault));
}

static enum vqct_status ask(int file, const char *path, struct vqct_error *error) {
  char request[128], answer[2048];
  int length = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path);
  size_t size = 0;
  if (send(file, request, (size_t)length, MSG_NOSIGNAL) == length)
    for (ssize_t got; size + 1 < sizeof answer &&
                      (got = recv(file, answer + size, sizeof answer - 1 - size, 0)) > 0;)
      size += (size_t)got;
  answer[size] = '\0';
  if (!strncmp(answer, "HTTP/1.1 200 ", 13))
    return VQCT_OK;
  const char *body = strstr(answer, "\r\n\r\n");
  if (!body)
    return error_set(error, VQCT_UNAVAILABLE, "no answer");
  body += 4;
  return error_set(error, VQCT_UNAVAILABLE, "not ready: %.*s", (int)strcspn(body, "\n"), body);
}

static enum vqct_status health(const void *settings, const struct options_found *found,
                               struct arena *arena, struct vqct_error *error) {
  const struct health_options *health_settings = settings;
  int file = -1;
  (void)found;
  (void)arena;
  enum vqct_status status = connect_to(health_settings, &file, error);
  if (status != VQCT_OK)
    return status;
  status = ask(file, health_settings->live ? "/livez" : "/readyz", error);
  close(file);
  return status;
}

static enum vqct_status health_run(int argc, char **argv, struct vqct_error *error) {
  struct health_options settings = {0};
  return command_run(&table, argc, argv, &settings, health, error);
}

const struct command health_command = {"health", "ask a running server whether it is ready",
                                       health_run};
