/* multipart/form-data bodies (RFC 7578) in memory, part by part, without copying. */
#ifndef HTTP_MULTIPART_H
#define HTTP_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>

#define MULTIPART_BOUNDARY_MAX 70 /* characters, RFC 2046 */

struct multipart {
  const char *at, *end;                       /* what is left of the body */
  char delimiter[MULTIPART_BOUNDARY_MAX + 5]; /* CR LF -- boundary */
  size_t delimiter_size;
};

struct multipart_part {
  char name[64],
      filename[128]; /* of Content-Disposition; "" where not given; longer ones are cut */
  char type[64];     /* Content-Type, likewise */
  const char *data;
  size_t size;
};

enum multipart_step { MULTIPART_PART, MULTIPART_END, MULTIPART_BROKEN };

/** Starts at the first delimiter, whatever comes before it; false where the boundary is not 1 to 70
 * characters or there is no delimiter. */
bool multipart_begin(struct multipart *multipart, const char *boundary, const char *body,
                     size_t size);

/** The next part. The closing delimiter must be there: a body cut off is BROKEN. */
enum multipart_step multipart_next(struct multipart *multipart, struct multipart_part *part);

#endif
