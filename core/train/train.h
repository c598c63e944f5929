/* vqct_train by several processes together. */
#ifndef TRAIN_TRAIN_H
#define TRAIN_TRAIN_H

#include "reduction.h"
#include "vqct/train.h"

/** vqct_train, whose rank and sums over the processes are `reduction`'s; NULL for one process. Only
 * rank 0 writes and tells. */
enum vqct_status train_together(const struct vqct_train_settings *settings,
                                const struct vqct_train_hooks *hooks,
                                const struct reduction *reduction, struct vqct_error *error);

#endif
