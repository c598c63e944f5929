/* Pictures of graphs, drawn by Graphviz's program `dot` where it is installed. */
#ifndef COMMAND_GRAPHVIZ_H
#define COMMAND_GRAPHVIZ_H

#include <stddef.h>

#include "vqct/status.h"

/** Draws DOT text of size bytes to a PNG file. Errors: UNAVAILABLE (there is no `dot` on the path),
 * WRITE, MEMORY. */
enum vqct_status graphviz_png(const char *text, size_t size, const char *path,
                              struct vqct_error *error);

#endif
