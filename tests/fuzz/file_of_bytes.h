/* Bytes as a file, for readers that take a path: it lies in memory alone. To be included first. */
#ifndef FILE_OF_BYTES_H
#define FILE_OF_BYTES_H

#define _GNU_SOURCE /* memfd_create */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct file_of_bytes {
  int descriptor;
  char path[32];
};

static struct file_of_bytes file_of_bytes(const uint8_t *data, size_t size) {
  struct file_of_bytes file = {.descriptor = memfd_create("F", MFD_CLOEXEC)};
  if (file.descriptor < 0 || write(file.descriptor, data, size) != (ssize_t)size)
    abort();
  snprintf(file.path, sizeof file.path, "/proc/self/fd/%d", file.descriptor);
  return file;
}

#endif
