#include "temporary_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"

enum vqct_status temporary_file_open(const char *what, int *descriptor, struct vqct_error *error) {
  static const char name[] = "/vqct-XXXXXX";
  const char *folder = getenv("TMPDIR");
  if (!folder || !folder[0])
    folder = "/var/tmp";
  size_t length = strlen(folder);
  char *path = malloc(length + sizeof name);
  *descriptor = -1;
  if (!path)
    return error_set(error, VQCT_MEMORY, "no memory for a temporary file");
  memcpy(path, folder, length);
  memcpy(path + length, name, sizeof name);
  *descriptor = mkstemp(path);
  enum vqct_status status = VQCT_OK;
  if (*descriptor < 0)
    status = error_set(error, VQCT_WRITE, "%s: %s there: %s (TMPDIR names another place)", folder,
                       what, strerror(errno));
  else
    unlink(path);
  free(path);
  return status;
}
