/* Only the functions of the table are looked up, by the library's soname, and RTLD_NODELETE keeps
 * it in memory: closing the handle at once leaves nothing to close later, and no count to keep. */
#include "libarchive.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

#include "error.h"

#define LIBRARY "libarchive.so.13"

struct function {
  const char *name;
  size_t at; /* offset of its pointer in struct libarchive */
};

enum vqct_status libarchive_load(struct libarchive *library, struct vqct_error *error) {
#define LIBARCHIVE_ENTRY(name) {"archive_" #name, offsetof(struct libarchive, name)},
  static const struct function functions[] = {LIBARCHIVE_FUNCTIONS(LIBARCHIVE_ENTRY)};
#undef LIBARCHIVE_ENTRY
  void *handle = dlopen(LIBRARY, RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE);
  if (!handle)
    return error_set(error, VQCT_READ, "archives need libarchive: %s", dlerror());
  const char *missing = NULL;
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    void *symbol = dlsym(handle, functions[i].name);
    if (!symbol)
      missing = functions[i].name;
    memcpy((char *)library + functions[i].at, &symbol, sizeof symbol);
  }
  dlclose(handle); /* which leaves it loaded */
  return missing ? error_set(error, VQCT_READ, "%s has no %s", LIBRARY, missing) : VQCT_OK;
}
