#include "anchors.h"

#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "whole_file.h"

#define FILE_MAX   ((size_t)1 << 20) /* bytes */
#define CHROMA_MAX 200.0

/* An anchor being read, and where. */
struct anchor_reading {
  const char *path;
  size_t index;
  struct vqct_error *error;
};

static enum vqct_status fault(const struct anchor_reading *r, const char *what) {
  return error_set(r->error, VQCT_DATA, "%s: anchor %zu %s", r->path, r->index, what);
}

/* ---- reading --------------------------------------------------------------------------------- */

static enum vqct_status read_bounds(const struct anchor_reading *r, const json_t *object,
                                    const char *key, double most, double bounds[2]) {
  const json_t *pair = json_object_get(object, key);
  bounds[0] = 0;
  bounds[1] = most;
  if (!pair)
    return VQCT_OK;
  for (size_t i = 0; i < 2; i++) {
    const json_t *number = json_array_get(pair, i);
    double value = json_number_value(number);
    if (json_array_size(pair) != 2 || !json_is_number(number) || !(value >= 0 && value <= most))
      return error_set(r->error, VQCT_DATA,
                       "%s: anchor %zu: \"%s\" is not two numbers from 0 to %g", r->path, r->index,
                       key, most);
    bounds[i] = value;
  }
  return VQCT_OK;
}

static enum vqct_status find_word(const struct anchor_reading *r, const json_t *object,
                                  const struct prior *prior, const struct anchors *earlier,
                                  size_t *code) {
  const char *word = json_string_value(json_object_get(object, "word"));
  if (!word)
    return fault(r, "has no \"word\"");
  for (*code = 0; *code < prior->adjectives && strcmp(prior->word[*code], word) != 0;)
    ++*code;
  if (*code == prior->adjectives)
    return error_set(r->error, VQCT_DATA, "%s: \"%.100s\" is not an adjective of the prior",
                     r->path, word);
  for (size_t i = 0; i < earlier->count; i++)
    if (earlier->anchor[i].code == *code)
      return error_set(r->error, VQCT_DATA, "%s: \"%.100s\" stands twice", r->path, word);
  return VQCT_OK;
}

static enum vqct_status check_keys(const struct anchor_reading *r, json_t *object) {
  static const char *const keys[] = {"word", "lightness", "chroma", "hue"};
  const char *key;
  json_t *value;
  json_object_foreach(object, key, value) {
    bool known = false;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
      known = known || strcmp(key, keys[i]) == 0;
    if (!known)
      return error_set(r->error, VQCT_DATA, "%s: anchor %zu has a key \"%.100s\" that is not known",
                       r->path, r->index, key);
  }
  return VQCT_OK;
}

static enum vqct_status read_anchor(const struct anchor_reading *r, json_t *object,
                                    const struct prior *prior, struct anchors *anchors) {
  struct anchor *anchor = &anchors->anchor[anchors->count];
  if (!json_is_object(object))
    return fault(r, "is not an object");
  enum vqct_status status = check_keys(r, object);
  if (status)
    return status;
  status = find_word(r, object, prior, anchors, &anchor->code);
  if (status)
    return status;
  status = read_bounds(r, object, "lightness", 100, anchor->lightness);
  if (status)
    return status;
  status = read_bounds(r, object, "chroma", CHROMA_MAX, anchor->chroma);
  if (status)
    return status;
  status = read_bounds(r, object, "hue", 360, anchor->hue);
  if (status)
    return status;
  if (anchor->lightness[0] > anchor->lightness[1] || anchor->chroma[0] > anchor->chroma[1])
    return fault(r, "has a bound whose first number is the greater one");
  anchors->count++;
  return VQCT_OK;
}

static enum vqct_status read_array(const char *path, const json_t *array, const struct prior *prior,
                                   struct anchors *anchors, struct vqct_error *error) {
  size_t count = json_array_size(array);
  if (!json_is_array(array) || count < 2 || count > ANCHORS_MAX)
    return error_set(error, VQCT_DATA, "%s: not an array of 2 to %d anchors", path, ANCHORS_MAX);
  anchors->count = 0;
  for (size_t i = 0; i < count; i++) {
    struct anchor_reading r = {path, i, error};
    enum vqct_status status = read_anchor(&r, json_array_get(array, i), prior, anchors);
    if (status)
      return status;
  }
  return VQCT_OK;
}

enum vqct_status anchors_read(const char *path, const struct prior *prior, struct anchors *anchors,
                              struct vqct_error *error) {
  struct whole_file file;
  json_error_t where;
  enum vqct_status status = whole_file_read(path, FILE_MAX, &file, error);
  if (status)
    return status;
  json_t *array = json_loadb((const char *)file.data, file.size, JSON_REJECT_DUPLICATES, &where);
  if (!array)
    status = error_set(error, VQCT_DATA, "%s: line %d: %s", path, where.line, where.text);
  else
    status = read_array(path, array, prior, anchors, error);
  json_decref(array);
  free(file.data);
  return status;
}

/* ---- colours --------------------------------------------------------------------------------- */

/* Light of a coded value. */
static double linear(float coded) {
  double v = fmin(fmax(((double)coded + 1) / 2, 0), 1);
  return v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4);
}

static double lab_curve(double t) {
  const double knee = 6.0 / 29;
  return t > knee * knee * knee ? cbrt(t) : t / (3 * knee * knee) + 4.0 / 29;
}

struct lab lab_of_rgb(const float rgb[3]) {
  /* Rows: X, Y, Z of red, green and blue, each divided by that of white. */
  static const double primaries[3][3] = {
      {0.4124564 / 0.95047, 0.3575761 / 0.95047, 0.1804375 / 0.95047},
      {0.2126729, 0.7151522, 0.0721750},
      {0.0193339 / 1.08883, 0.1191920 / 1.08883, 0.9503041 / 1.08883}};
  double light[3], f[3];
  for (int i = 0; i < 3; i++)
    light[i] = linear(rgb[i]);
  for (int i = 0; i < 3; i++)
    f[i] = lab_curve(primaries[i][0] * light[0] + primaries[i][1] * light[1] +
                     primaries[i][2] * light[2]);
  return (struct lab){116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])};
}

static bool within(const double bounds[2], double value) {
  return value >= bounds[0] && value <= bounds[1];
}

static bool turns_within(const double bounds[2], double hue) {
  return bounds[0] <= bounds[1] ? within(bounds, hue) : hue >= bounds[0] || hue <= bounds[1];
}

int anchors_name(const struct anchors *anchors, struct lab colour) {
  double chroma = hypot(colour.a, colour.b);
  double hue = atan2(colour.b, colour.a) * 180 / acos(-1);
  if (hue < 0)
    hue += 360;
  for (size_t i = 0; i < anchors->count; i++) {
    const struct anchor *a = &anchors->anchor[i];
    if (within(a->lightness, colour.lightness) && within(a->chroma, chroma) &&
        turns_within(a->hue, hue))
      return (int)i;
  }
  return NO_ANCHOR;
}
