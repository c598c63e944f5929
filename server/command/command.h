/* The subcommands of `vqct`. Each lives in a file of its own and is listed in main.c. */
#ifndef COMMAND_H
#define COMMAND_H

#include "vqct/status.h"

struct command {
  const char *name;    /* as typed: "encode" */
  const char *summary; /* one phrase for `vqct --help` */
  /** Runs with the words after the command's name. What is wrong goes to error; main prints it as
   * one line and ends with the status's exit code. */
  enum vqct_status (*run)(int argc, char **argv, struct vqct_error *error);
};

#endif
