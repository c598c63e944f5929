/* Labels of pictures, and their classes: a class is the place of its label among all labels in
 * order, by value where all are whole numbers, else by their bytes.
 *
 *   "folder"  the name of the folder that a picture lies in, as torchvision's ImageFolder has it
 *   "beside"  what KEY.cls or KEY.txt says, or the "label" of KEY.json (beside.h), the first that
 *             is there
 *   "beside:NAME"  what KEY.json has under NAME
 *   a path    a file of names and labels (label_lines.h)
 *
 * Read only once they are opened.
 */
#ifndef DATA_LABELS_H
#define DATA_LABELS_H

#include "pictures.h"

#define LABEL_MAX 1024 /* bytes */

struct labels;

/** Finds the label of each picture of a list, which outlives the labels. A picture without one, and
 * a line that names no picture, are errors; faults on the list need none. Errors: READ, DATA,
 * LIMIT, MEMORY, naming what and where; *labels is then NULL. */
enum vqct_status labels_open(const char *source, const struct pictures *pictures,
                             struct labels **labels, struct vqct_error *error);

/** NULL is allowed. */
void labels_close(struct labels *labels);

/** How many classes there are, and the label of one: bytes, perhaps not UTF-8. */
size_t labels_count(const struct labels *labels);
const char *labels_name(const struct labels *labels, size_t class_index);

/** The class of a picture that is no fault. */
size_t labels_class(const struct labels *labels, size_t picture);

#endif
