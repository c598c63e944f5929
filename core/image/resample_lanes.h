/* Scaling by 32-bit products, on any processor. */
#ifndef IMAGE_RESAMPLE_LANES_H
#define IMAGE_RESAMPLE_LANES_H

#include "cpu.h"
#include "resample_axis.h"

/** Fills the result's pixels. isa is at most cpu_best_isa(). False where memory is exhausted. */
bool resample_lanes(const struct resampling *resampling, enum cpu_isa isa);

#endif
