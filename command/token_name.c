#include "token_name.h"

#include <stdlib.h>
#include <string.h>

char *token_name_beside(const char *path, size_t stem, const char *suffix) {
  size_t size = strlen(suffix) + 1;
  char *name = malloc(stem + size);
  if (!name)
    return NULL;
  memcpy(name, path, stem);
  memcpy(name + stem, suffix, size);
  return name;
}
