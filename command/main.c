/* The program `vqct`: finds the subcommand, runs it, prints its error and turns the status into the
 * exit code. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "cpu.h"
#include "error.h"

static const struct command *const commands[] = {
    &serve_command,
    &health_command,
    &init_command,
    &import_command,
    &inspect_command,
    &encode_command,
    &decode_command,
    &reconstruct_command,
    &bench_command,
    &train_command,
    &prior_command,
    &eval_command,
    NULL,
};

static void print_help(FILE *out) {
  fputs("usage: vqct COMMAND [ARGUMENT...]\n\nImages to discrete tokens and back.\n\n", out);
  for (size_t i = 0; commands[i]; i++)
    fprintf(out, "  %-12s %s\n", commands[i]->name, commands[i]->summary);
  fputs("\n`vqct COMMAND --help` tells more. Exit codes:\n\n", out);
#define EXIT_ROW(name, exit_status, meaning) fprintf(out, "  %2d  %s\n", exit_status, meaning);
  VQCT_STATUS_MAP(EXIT_ROW)
#undef EXIT_ROW
}

/* The exit code of what has been done and written to standard output; a fault is said after the
 * words that asked for it. */
static int finish(const char *who, const char *command, enum vqct_status status,
                  struct vqct_error *error) {
  if ((fflush(stdout) || ferror(stdout)) && status == VQCT_OK)
    status = error_set(error, VQCT_WRITE, "standard output cannot be written");
  if (status != VQCT_OK)
    fprintf(stderr, "%s%s: %s\n", who, command,
            *error->message ? error->message : vqct_status_meaning(status));
  return vqct_status_exit(status);
}

int main(int argc, char **argv) {
  struct vqct_error error = {VQCT_OK, ""};
  signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of write, to be reported */
  if (argc < 2) {
    print_help(stderr);
    return vqct_status_exit(VQCT_INVALID);
  }
  if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
    print_help(stdout);
    return finish("vqct", "", VQCT_OK, &error);
  }
  if (!strcmp(argv[1], "--version")) {
    printf("vqct %s\n", vqct_version());
    return finish("vqct", "", VQCT_OK, &error);
  }
  enum cpu_isa limit;
  enum vqct_status status = cpu_isa_limit(&limit, &error);
  if (status != VQCT_OK)
    return finish("vqct", "", status, &error);
  for (size_t i = 0; commands[i]; i++)
    if (!strcmp(commands[i]->name, argv[1]))
      return finish("vqct ", argv[1], commands[i]->run(argc - 2, argv + 2, &error), &error);
  fprintf(stderr, "vqct: '%.80s' is not a command; `vqct --help` lists them\n", argv[1]);
  return vqct_status_exit(VQCT_INVALID);
}
