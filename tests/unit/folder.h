/* A folder of a test program's own, and the files that it writes there. */
#ifndef FOLDER_H
#define FOLDER_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[] = "/tmp/vqct-test-XXXXXX";

struct path {
  char text[64];
};

/** Makes it, once a program. */
static inline void folder_make(void) {
  ck_assert_ptr_nonnull(mkdtemp(folder));
}

static inline struct path in_folder(const char *name) {
  struct path path;
  snprintf(path.text, sizeof path.text, "%s/%s", folder, name);
  return path;
}

/** Begins one of its files. */
static inline FILE *folder_create(const char *name) {
  FILE *file = fopen(in_folder(name).text, "wb");
  ck_assert_ptr_nonnull(file);
  return file;
}

/** Removes the files of these names, and the folder, in which nothing else may be left. */
static inline void folder_remove(const char *const *names, size_t count) {
  for (size_t i = 0; i < count; i++)
    unlink(in_folder(names[i]).text);
  ck_assert_int_eq(rmdir(folder), 0);
}

#endif
