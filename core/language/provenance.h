/* Where a prior came from, as a JSON object that travels with it. */
#ifndef LANGUAGE_PROVENANCE_H
#define LANGUAGE_PROVENANCE_H

#include "prior_build.h"

/** Sets prior->provenance, in the prior's memory. Files are named without their folders. Errors:
 * MEMORY. */
enum vqct_status provenance_write(const struct prior_recipe *recipe,
                                  const struct prior_report *report, struct prior *prior,
                                  struct vqct_error *error);

#endif
