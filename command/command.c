#include "command.h"

#include <stdio.h>

enum vqct_status command_run(const struct option_table *table, int argc, char **argv,
                             void *settings, command_work *work, struct vqct_error *error) {
  struct options_found found;
  struct arena arena;
  arena_init(&arena, 0);
  enum vqct_status status = options_read(table, argc, argv, settings, &found, &arena, error);
  if (status == VQCT_OK && found.help)
    options_help(table, stdout);
  else if (status == VQCT_OK)
    status = work(settings, &found, &arena, error);
  arena_free(&arena);
  return status;
}
