/* The options of `vqct train`: the table, and their JSON form. */
#ifndef COMMAND_TRAIN_SETTINGS_H
#define COMMAND_TRAIN_SETTINGS_H

#include "options.h"
#include "vqct/train.h"

/** Values as the table sets them. */
struct train_options {
  struct vqct_train_settings training;
  struct option_list data, validation; /* which training points to */
  int64_t metrics_port;
};

extern const struct option_table train_table;

/** Fills in what the table does not. Strings and lists stay the options'. Errors: INVALID (the
 * folder or the data is missing). */
enum vqct_status train_settings_finish(struct train_options *options, struct vqct_error *error);

/** Writes the options as JSON, in the form that --config reads, without --output and --resume.
 * Errors: WRITE, MEMORY. */
enum vqct_status train_settings_save(const struct train_options *options, const char *path,
                                     struct vqct_error *error);

#endif
