#include "sheet.h"

#include <stdlib.h>
#include <string.h>

#include "atomic_file.h"
#include "error.h"

#define GAP      ((size_t)4)         /* pixels */
#define SIDE_MAX ((size_t)INT32_MAX) /* of a PNG */

static void place(const struct vqct_image *picture, size_t left, size_t top,
                  struct vqct_image *sheet) {
  for (uint32_t y = 0; y < picture->height; y++)
    memcpy(sheet->pixels + ((top + y) * sheet->width + left) * 3,
           picture->pixels + (size_t)y * picture->width * 3, (size_t)picture->width * 3);
}

enum vqct_status sheet_save(const char *path, const struct vqct_image *pictures, size_t count,
                            size_t columns, struct vqct_error *error) {
  if (!count || !columns)
    return error_set(error, VQCT_INVALID, "%s: a sheet without pictures", path);
  size_t width = 0, height = 0; /* of a cell: the largest */
  for (size_t i = 0; i < count; i++) {
    width = pictures[i].width > width ? pictures[i].width : width;
    height = pictures[i].height > height ? pictures[i].height : height;
  }
  size_t rows = (count + columns - 1) / columns;
  struct vqct_image sheet = {.channels = 3};
  struct vqct_bytes file = {0};
  if (width + GAP > SIDE_MAX / columns || height + GAP > SIDE_MAX / rows)
    return error_set(error, VQCT_LIMIT, "%s: a sheet of %zu x %zu pictures of %zu x %zu pixels",
                     path, columns, rows, width, height);
  sheet.width = (uint32_t)(columns * (width + GAP) - GAP);
  sheet.height = (uint32_t)(rows * (height + GAP) - GAP);
  size_t bytes = (size_t)sheet.width * sheet.height * 3;
  if (!(sheet.pixels = malloc(bytes)))
    return error_set(error, VQCT_MEMORY, "no memory for %s", path);
  memset(sheet.pixels, 255, bytes);
  for (size_t i = 0; i < count; i++)
    place(&pictures[i], i % columns * (width + GAP), i / columns * (height + GAP), &sheet);
  enum vqct_status status = vqct_image_encode_png(&sheet, &file, error);
  if (status == VQCT_OK)
    status = atomic_file_save(path, file.data, file.size, error);
  free(file.data);
  vqct_image_free(&sheet);
  return status;
}
