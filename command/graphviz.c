/* `dot` reads the text from an unlinked temporary file and writes the picture to a temporary name
 * beside its place, so that a picture appears whole or not at all, and no pipe can block. */
#include "graphviz.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "error.h"

extern char **environ;

#define EXIT_NOT_FOUND 127 /* what posix_spawnp's child ends with where there is no program */

/* Runs `dot` on a file and waits for it. */
static enum vqct_status run_dot(int input, const char *output, struct vqct_error *error) {
  char program[] = "dot", format[] = "-Tpng", out[] = "-o";
  char *name = strdup(output), *arguments[] = {program, format, out, name, NULL};
  posix_spawn_file_actions_t actions;
  if (!name)
    return error_set(error, VQCT_MEMORY, "no memory to draw");
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  pid_t child;
  int failed = posix_spawnp(&child, program, &actions, NULL, arguments, environ), result = 0;
  posix_spawn_file_actions_destroy(&actions);
  free(name);
  while (!failed && waitpid(child, &result, 0) < 0 && errno == EINTR)
    continue;
  if (failed == ENOENT || (WIFEXITED(result) && WEXITSTATUS(result) == EXIT_NOT_FOUND))
    return error_set(error, VQCT_UNAVAILABLE, "Graphviz's program dot is not installed");
  if (failed || !WIFEXITED(result) || WEXITSTATUS(result))
    return error_set(error, VQCT_WRITE, "%s: Graphviz's program dot failed", output);
  return VQCT_OK;
}

/* An open file without a name that holds the text, at its beginning. */
static FILE *text_file(const char *text, size_t size) {
  FILE *file = tmpfile();
  if (file && (fwrite(text, 1, size, file) != size || fflush(file) || fseek(file, 0, SEEK_SET))) {
    fclose(file);
    return NULL;
  }
  return file;
}

enum vqct_status graphviz_png(const char *text, size_t size, const char *path,
                              struct vqct_error *error) {
  char temporary[4096];
  if ((size_t)snprintf(temporary, sizeof temporary, "%s.tmp%ld", path, (long)getpid()) >=
      sizeof temporary)
    return error_set(error, VQCT_WRITE, "the name of the picture is too long");
  FILE *input = text_file(text, size);
  if (!input)
    return error_set(error, VQCT_WRITE, "no temporary file: %s", strerror(errno));
  enum vqct_status status = run_dot(fileno(input), temporary, error);
  fclose(input);
  if (status == VQCT_OK && rename(temporary, path))
    status = error_set(error, VQCT_WRITE, "%s: %s", path, strerror(errno));
  if (status != VQCT_OK)
    unlink(temporary);
  return status;
}
