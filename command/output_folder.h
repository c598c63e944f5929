/* The folder that pictures are written to. */
#ifndef COMMAND_OUTPUT_FOLDER_H
#define COMMAND_OUTPUT_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

#include "vqct/image.h"

struct output_folder {
  const char *path;
  bool made; /* by this run */
};

/** Makes the folder unless it is there. Errors: WRITE. */
enum vqct_status output_folder_open(const char *path, struct output_folder *folder,
                                    struct vqct_error *error);

/* Of a name; with an ending and what a temporary file adds to it, 255 bytes at most. */
#define OUTPUT_NAME_SIZE 248

/** What picture number `index` is called: "0007-photo" for "holiday/photo.jpg" or
 * "shard.tar:photo.jpg", "0007" where source is NULL. */
void output_folder_name(size_t index, const char *source, char name[OUTPUT_NAME_SIZE]);

/** How pictures are written. */
struct output_form {
  enum vqct_image_format format;
  int quality; /* of JPEG and WebP, 1 to 100; 0: lossless WebP; not used for PNG */
};

/** Writes a picture to PATH/NAME plus .png, .jpg or .webp. The file appears whole or not at all.
 * Errors: WRITE, MEMORY, INVALID (a side too long for the format). */
enum vqct_status output_folder_write(const struct output_folder *folder, const char *name,
                                     const struct vqct_image *image, struct output_form form,
                                     struct vqct_error *error);

/** Removes the folder again if this run made it and nothing is in it. */
void output_folder_close(const struct output_folder *folder);

#endif
