/* What an open model consists of, for the files that implement include/vqct/model.h and
 * codebook.h. Immutable once vqct_model_open returned. */
#ifndef MODEL_H
#define MODEL_H

#include "model_file.h"
#include "network.h"
#include "quantizer.h"
#include "vqct/model.h"

struct vqct_model {
  struct model_file file; /* configuration, codebook, words and counts */
  char *architecture;     /* the configuration as JSON */
  struct network *network;
  struct quantizer quantizer;
  struct vqct_plane plane[VQCT_PLANES_MAX];
  struct vqct_model_info info;
};

#endif
