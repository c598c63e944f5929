/* Only scalars whose key is known wherever it stands are looked at: the files are programs' own
 * settings, of any shape, and all that is wanted of them is a class's name and a number. */
#include "import_hints.h"

#include <stdlib.h>
#include <string.h>

#include "yaml_scalars.h"

static void take(void *context, const char *key, const char *value) {
  struct import_entries *entries = context;
  bool class = strcmp(key, "target") == 0 || strcmp(key, "class_path") == 0 ||
               strcmp(key, "architectures") == 0 || strcmp(key, "_class_name") == 0 ||
               strcmp(key, "model_type") == 0;
  const char *dot = strrchr(value, '.');
  if (class && strstr(dot ? dot : value, "IBQ")) /* SEED-Voken has other classes in src.IBQ */
    entries->dot = true;
  if (class && (strcmp(value, "taming.models.vqgan.VQModel") == 0 ||
                strcmp(value, "src.IBQ.models.ibqgan.VQModel") == 0 ||
                strcmp(value, "ldm.models.autoencoder.VQModel") == 0 ||
                strcmp(value, "ldm.models.autoencoder.VQModelInterface") == 0))
    entries->euclidean = true;
  if (strcmp(key, "norm_num_groups") == 0)
    entries->groups = (int)strtol(value, NULL, 10);
}

enum vqct_status import_hints_read(const char *path, struct import_entries *entries,
                                   struct vqct_error *error) {
  return yaml_scalars(path, take, entries, error);
}
