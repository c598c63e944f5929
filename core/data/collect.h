/* From paths to the list of their pictures.
 *
 * A path may be a directory (searched to COLLECT_DEPTH_MAX levels, through links that do not lead
 * in circles), a picture, a tar archive (shard.h), or "-" for standard input, which is
 * an archive or a list of such paths, one a line.
 * Pictures are told by their endings; AppleDouble files ("._a.jpg"), which look like pictures, are
 * not. What cannot be read on the way is a fault, told beside the list, and the rest is listed.
 */
#ifndef DATA_COLLECT_H
#define DATA_COLLECT_H

#include "pictures.h"

#define COLLECT_DEPTH_MAX 16

/** What becomes of faults. */
enum pictures_bad {
  /* A path that was given and cannot be read is an error at once; others are told apart from the
   * list (pictures_fault). */
  PICTURES_BAD_APART,
  /* Each is a picture on the list, which fails when it is decoded as a damaged one does. */
  PICTURES_BAD_LISTED
};

/** Lists the pictures of `count` paths. Errors: READ (also where there is no picture at all), and
 * the first fault where there is nothing else; INTERRUPTED; MEMORY; *pictures is then NULL. stop
 * may be NULL. */
enum vqct_status pictures_open(const char *const *paths, size_t count, enum pictures_bad bad,
                               const struct shard_stop *stop, struct pictures **pictures,
                               struct vqct_error *error);

#endif
