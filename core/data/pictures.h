/* The pictures of a data set: a list of files and of members of archives, ordered by name, so that
 * it is the same on every machine. collect.h makes it from paths. It is read only once it is made;
 * any number of threads may decode.
 */
#ifndef DATA_PICTURES_H
#define DATA_PICTURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fit.h"
#include "shard.h"
#include "vqct/image.h"
#include "vqct/status.h"

struct pictures;

/** NULL is allowed. */
void pictures_close(struct pictures *pictures);

/** How many there are. */
size_t pictures_count(const struct pictures *pictures);

/** The name of number `index`: its path, or "ARCHIVE:MEMBER". */
const char *pictures_name(const struct pictures *pictures, size_t index);

/** Tells the content of number `index` from another under the same name: made of the size and time
 * of change of its file, or of its archive. */
uint64_t pictures_stamp(const struct pictures *pictures, size_t index);

/** Whether number `index` is the place of a fault, which fails when it is decoded. */
bool pictures_is_fault(const struct pictures *pictures, size_t index);

/** The archive that number `index` is a member of, and which; NULL for a file of its own. */
const struct shard *pictures_member(const struct pictures *pictures, size_t index, size_t *member);

/** The archives of the list: `index` of pictures_archives. */
size_t pictures_archives(const struct pictures *pictures);
const struct shard *pictures_archive(const struct pictures *pictures, size_t index);

/** Decodes number `index` as fit says, or whole and to three channels where fit is NULL; the caller
 * frees the image. Errors: READ, DATA, IMAGE, LIMIT, MEMORY, naming the picture. */
enum vqct_status pictures_decode(const struct pictures *pictures, size_t index,
                                 const struct fit *fit, struct vqct_image *image,
                                 struct vqct_error *error);

/** What is wrong with paths that are not on the list: `index` of pictures_faults, each a sentence
 * that names the path. */
size_t pictures_faults(const struct pictures *pictures);
const char *pictures_fault(const struct pictures *pictures, size_t index);

/** Files of one kind that are not pictures which can be decoded. */
struct passed_over {
  char kind[16]; /* an ending in lower case such as "webp", or what else tells the kind */
  uint64_t count;
};

/** What was passed over: `index` of pictures_passed kinds, in the order of their names. */
size_t pictures_passed(const struct pictures *pictures);
const struct passed_over *pictures_passed_over(const struct pictures *pictures, size_t index);

/* ---- making a list --------------------------------------------------------------------------- */

/** An empty list; NULL where memory is exhausted. */
struct pictures *pictures_new(void);

/** Adds a file. Takes name, which may be NULL where there was no memory for it. Errors: MEMORY. */
enum vqct_status pictures_add_file(struct pictures *pictures, char *name, uint64_t stamp,
                                   struct vqct_error *error);

/** Takes an archive, which outlives its members. Errors: MEMORY; the archive is then closed. */
enum vqct_status pictures_add_archive(struct pictures *pictures, struct shard *shard,
                                      struct vqct_error *error);

/** Adds a member of an archive that was added. Takes name as above. Errors: MEMORY. */
enum vqct_status pictures_add_member(struct pictures *pictures, char *name,
                                     const struct shard *shard, size_t member,
                                     struct vqct_error *error);

/** Adds what is wrong with a path: to the list, where decoding it fails with this fault, or apart.
 * Errors: MEMORY. */
enum vqct_status pictures_add_fault(struct pictures *pictures, const char *path, bool listed,
                                    const struct vqct_error *fault, struct vqct_error *error);

/** Counts a file that is passed over; kinds beyond a few dozen become "other". */
void pictures_pass_over(struct pictures *pictures, const char *kind);

/** Pictures on the list that are not faults. */
size_t pictures_good(const struct pictures *pictures);

/** The first fault that was added; status OK where there was none. */
const struct vqct_error *pictures_first_fault(const struct pictures *pictures);

/** Puts the list in order; what was added twice under one name is once, and passed over. Nothing is
 * added afterwards. */
void pictures_sort(struct pictures *pictures);

#endif
