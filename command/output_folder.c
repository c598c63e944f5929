#include "output_folder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "atomic_file.h"
#include "error.h"

enum vqct_status output_folder_open(const char *path, struct output_folder *folder,
                                    struct vqct_error *error) {
  struct stat facts;
  *folder = (struct output_folder){.path = path};
  folder->made = mkdir(path, 0777) == 0;
  if (folder->made)
    return VQCT_OK;
  if (errno != EEXIST)
    return error_set(error, VQCT_WRITE, "%s: %s", path, strerror(errno));
  if (stat(path, &facts) != 0 || !S_ISDIR(facts.st_mode))
    return error_set(error, VQCT_WRITE, "%s: not a directory", path);
  return VQCT_OK;
}

void output_folder_name(size_t index, const char *source, char name[OUTPUT_NAME_SIZE]) {
  int used = snprintf(name, OUTPUT_NAME_SIZE, "%04zu", index);
  if (!source)
    return;
  const char *base = source;
  for (const char *c = source; *c; c++)
    if (*c == '/' || *c == ':')
      base = c + 1;
  const char *dot = strrchr(base, '.');
  snprintf(name + used, OUTPUT_NAME_SIZE - (size_t)used, "-%.*s",
           (int)(dot ? dot - base : (long)strlen(base)), base);
}

static const char *ending_of(enum vqct_image_format format) {
  return format == VQCT_IMAGE_JPEG ? ".jpg" : format == VQCT_IMAGE_WEBP ? ".webp" : ".png";
}

static enum vqct_status encode(const struct vqct_image *image, struct output_form form,
                               struct vqct_bytes *file, struct vqct_error *error) {
  if (form.format == VQCT_IMAGE_JPEG)
    return vqct_image_encode_jpeg(image, form.quality, file, error);
  if (form.format == VQCT_IMAGE_WEBP && form.quality)
    return vqct_image_encode_webp(image, form.quality, file, error);
  if (form.format == VQCT_IMAGE_WEBP)
    return vqct_image_encode_webp_lossless(image, file, error);
  return vqct_image_encode_png(image, file, error);
}

enum vqct_status output_folder_write(const struct output_folder *folder, const char *name,
                                     const struct vqct_image *image, struct output_form form,
                                     struct vqct_error *error) {
  struct vqct_bytes file = {0};
  size_t room = strlen(folder->path) + strlen(name) + sizeof "/.webp";
  char *path = malloc(room);
  if (!path)
    return error_set(error, VQCT_MEMORY, "%s: no memory to write %s", folder->path, name);
  snprintf(path, room, "%s/%s%s", folder->path, name, ending_of(form.format));
  enum vqct_status status = encode(image, form, &file, error);
  if (status == VQCT_OK)
    status = atomic_file_save(path, file.data, file.size, error);
  free(file.data);
  free(path);
  return status;
}

void output_folder_close(const struct output_folder *folder) {
  if (folder->made)
    rmdir(folder->path);
}
