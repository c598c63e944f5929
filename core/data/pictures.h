/* The pictures of a data set: PNG and JPEG files of directories, and those in tar shards.
 *
 * A path may be a directory (searched to PICTURES_DEPTH_MAX levels, through links that do not lead
 * in circles), a picture, or a .tar archive. The list is ordered by name, so it is the same on
 * every machine. It is read only once it is made; any number of threads may decode.
 */
#ifndef DATA_PICTURES_H
#define DATA_PICTURES_H

#include <stddef.h>

#include "vqct/image.h"
#include "vqct/status.h"

#define PICTURES_DEPTH_MAX 16

struct pictures;

/** What becomes of a path that does not exist and of an archive that is damaged: an error at once,
 * or a picture on the list, which fails when it is decoded as a damaged one does. */
enum pictures_bad { PICTURES_BAD_REFUSED, PICTURES_BAD_LISTED };

/** Lists the pictures of `count` paths. Errors: READ (a path), DATA (a damaged archive, or no
 * picture at all), both also where nothing but bad paths would be listed, MEMORY; *pictures is then
 * NULL. */
enum vqct_status pictures_open(const char *const *paths, size_t count, enum pictures_bad bad,
                               struct pictures **pictures, struct vqct_error *error);

/** NULL is allowed. */
void pictures_close(struct pictures *pictures);

/** How many there are. */
size_t pictures_count(const struct pictures *pictures);

/** The name of number `index`: its path, or "ARCHIVE:MEMBER". */
const char *pictures_name(const struct pictures *pictures, size_t index);

/** Decodes number `index` to three channels; the caller frees the image. Errors: READ, IMAGE,
 * LIMIT, MEMORY, naming the picture. */
enum vqct_status pictures_decode(const struct pictures *pictures, size_t index,
                                 struct vqct_image *image, struct vqct_error *error);

#endif
