/* The subcommands of `vqct`. Each lives in a file of its own and is listed in main.c. */
#ifndef COMMAND_H
#define COMMAND_H

#include "options.h"
#include "vqct/status.h"

struct command {
  const char *name;    /* as typed: "encode" */
  const char *summary; /* one phrase for `vqct --help` */
  /** Runs with the words after the command's name. What is wrong goes to error; main prints it as
   * one line and ends with the status's exit code. */
  enum vqct_status (*run)(int argc, char **argv, struct vqct_error *error);
};

/** The work of a command once its options are read: settings is the struct that the table
 * describes; found has the operands; arena is the command's own. */
typedef enum vqct_status command_work(const void *settings, const struct options_found *found,
                                      struct arena *arena, struct vqct_error *error);

/** Reads the options into settings, then prints the help where it was asked for, else does the
 * work. Errors: those of options_read and of the work. */
enum vqct_status command_run(const struct option_table *table, int argc, char **argv,
                             void *settings, command_work *work, struct vqct_error *error);

extern const struct command bench_command, decode_command, encode_command, eval_command,
    health_command, import_command, init_command, inspect_command, prior_command,
    reconstruct_command, serve_command, train_command;

#endif
