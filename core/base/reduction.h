/* Sums over all processes of a job that trains one model together. */
#ifndef BASE_REDUCTION_H
#define BASE_REDUCTION_H

#include <stddef.h>

/** How this process takes part. Every process must call with the same count in the same order. */
struct reduction {
  int ranks, rank; /* processes, and which of them this is */
  /* Replaces each value by its sum over all processes, the same bit for bit in each of them. */
  void (*sum)(void *context, double *values, size_t count);
  void (*sum_float)(void *context, float *values, size_t count);
  void *context;
};

#endif
