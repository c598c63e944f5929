/* Weights from the order of files to the order in which products read them. */
#ifndef KERNELS_FILTER_PACK_H
#define KERNELS_FILTER_PACK_H

#include "filter.h"
#include "pool.h"

/** Weights as a filter sees them: element (o, i, row, column) at the given strides from `first`,
 * which may be negative where a gradient turns the kernel around. */
struct weight_view {
  const float *first;
  ptrdiff_t out, in, row, column;
};

/** Fills filter->weights and filter->bias; bias may be NULL for zeros, pool for the caller alone.
 */
void filter_pack(const struct filter *filter, const struct weight_view *view, const float *bias,
                 struct pool *pool);

#endif
