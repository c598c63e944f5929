/* Scaling by the products of bytes that AVX-512 VNNI adds up by fours: the same pixels as
 * resample_lanes.h, in a fraction of its time. */
#ifndef IMAGE_RESAMPLE_BYTES_H
#define IMAGE_RESAMPLE_BYTES_H

#include "cpu.h"
#include "resample_axis.h"

/** Whether this machine has them, and isa, at most cpu_best_isa(), allows them. */
bool resample_bytes_possible(enum cpu_isa isa);

/** Fills the result's pixels. Only where it is possible. False where memory is exhausted. */
bool resample_bytes(const struct resampling *resampling);

#endif
