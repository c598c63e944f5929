/* Architectures with a name, as `vqct init --preset` offers them. */
#ifndef NETWORK_PRESETS_H
#define NETWORK_PRESETS_H

#include "config.h"

struct model_preset {
  struct model_config config; /* its name is the preset's */
  const char *summary;        /* one line for --help */
};

/** The preset of a name, NULL if there is none. */
const struct model_preset *model_preset_find(const char *name);

/** The preset number `index`, counted from 0; NULL past the last. */
const struct model_preset *model_preset(size_t index);

#endif
