#include "filter_run.h"

#include "direct.h"
#include "shortcut.h"
#include "wide.h"
#include "winograd.h"

#define WIDE_PIXELS_MIN 36 /* below, transforming the weights costs more than it saves */

enum vqct_status filter_run(const struct filter *filter, const struct conv_input *input,
                            const struct filter_target *target, const struct exec *exec) {
  if (target->rows <= 0 || target->columns <= 0 || input->images <= 0)
    return VQCT_OK;
  if (filter->form == FILTER_WINOGRAD)
    return winograd_run(filter, input, target, exec);
  enum vqct_status status = target->shortcut ? shortcut_run(target, input->images, exec) : VQCT_OK;
  if (status != VQCT_OK)
    return status;
  if (filter->form == FILTER_WIDE &&
      (size_t)target->rows * (size_t)target->columns >= WIDE_PIXELS_MIN)
    return wide_run(filter, input, target, exec);
  return direct_run(filter, input, target, exec);
}
