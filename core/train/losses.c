/* One X-macro has all losses in the order of the log, so that a new one is added, averaged and sent
 * over MPI without another line here. */
#include "losses.h"

_Static_assert(sizeof(struct vqct_train_losses) == LOSSES * sizeof(double), "a loss is missing");

void losses_add(struct vqct_train_losses *sum, const struct vqct_train_losses *one) {
#define ADD(name) sum->name += one->name;
  LOSS_MAP(ADD)
#undef ADD
}

void losses_divide(struct vqct_train_losses *losses, double divisor) {
#define DIVIDE(name) losses->name /= divisor;
  LOSS_MAP(DIVIDE)
#undef DIVIDE
}

void losses_to_array(const struct vqct_train_losses *losses, double array[LOSSES]) {
#define PUT(name) *array++ = losses->name;
  LOSS_MAP(PUT)
#undef PUT
}

void losses_from_array(struct vqct_train_losses *losses, const double array[LOSSES]) {
#define TAKE(name) losses->name = *array++;
  LOSS_MAP(TAKE)
#undef TAKE
}
