/* `vqct health`: asks a running server whether it is ready, for container health checks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"
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
     "127.0.0.1:8081", 0, 0, NULL, "ADDRESS", "the server's second port"},
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
  enum vqct_status status =
      address_connect(health_settings->admin_listen, health_settings->timeout, &file, error);
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
