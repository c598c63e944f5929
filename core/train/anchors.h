/* Adjectives that are tied to colours: which colour a patch of a picture has, by plain bounds.
 *
 * The file is a JSON array of objects, one an anchor; a bound that is missing allows everything:
 *     [{"word": "red", "lightness": [25, 65], "chroma": [45, 200], "hue": [10, 50]}, ...]
 * lightness is L* of CIE 1976 L*a*b* under D65, 0 to 100; chroma is the length of (a*, b*), 0 to
 * 200; hue is its angle in degrees, 0 to 360, and may pass 360 by ending below where it begins. The
 * first anchor whose bounds hold a colour, ends included, names it.
 *
 * sRGB's curve and primaries are those of IEC 61966-2-1, L*a*b* is that of ISO/CIE 11664-4.
 */
#ifndef TRAIN_ANCHORS_H
#define TRAIN_ANCHORS_H

#include <stddef.h>

#include "prior.h"
#include "vqct/status.h"

#define ANCHORS_MAX 64
#define NO_ANCHOR   (-1)

struct lab {
  double lightness, a, b;
};

struct anchor {
  size_t code; /* row of the prior, an adjective */
  double lightness[2], chroma[2], hue[2];
};

struct anchors {
  size_t count;
  struct anchor anchor[ANCHORS_MAX];
};

/** Reads anchors for the adjectives of a prior. Errors: READ; LIMIT (a MiB); DATA (what is wrong
 * with which anchor; a word twice or not among the adjectives; more than ANCHORS_MAX or fewer than
 * 2); MEMORY. */
enum vqct_status anchors_read(const char *path, const struct prior *prior, struct anchors *anchors,
                              struct vqct_error *error);

/** Of the colour whose red, green and blue, coded as sRGB, are in [-1,1]; what lies outside is cut
 * off. */
struct lab lab_of_rgb(const float rgb[3]);

/** The index of the anchor that names a colour, or NO_ANCHOR. */
int anchors_name(const struct anchors *anchors, struct lab colour);

#endif
