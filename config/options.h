/* Options as data: one table per command, from which parsing, checking, --help and the reference
 * page come.
 *
 *   struct settings { int64_t size; const char *output; };
 *   static const struct option options[] = {
 *     {"size", 0, OPTION_INTEGER, offsetof(struct settings, size), "256", 8, 65535, NULL, "PIXELS",
 *      "side of the square that pictures are resized to"},
 *     {"output", 'o', OPTION_TEXT, offsetof(struct settings, output), NULL, 0, 0, NULL, "FILE",
 *      "where the tokens go"},
 *   };
 *
 * An option is given as --name VALUE, --name=VALUE or -x VALUE; a switch as --name or --no-name.
 * Where the table says so, the environment (VQCT_NAME, dashes as underscores) and a JSON file of
 * the same names (--config FILE) count too: flags over environment over file over default. What is
 * wrong is reported with the option's name, its value and what is allowed.
 */
#ifndef CONFIG_OPTIONS_H
#define CONFIG_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "arena.h"
#include "vqct/status.h"

enum option_type {
  OPTION_SWITCH,   /* bool */
  OPTION_INTEGER,  /* int64_t, min to max */
  OPTION_NUMBER,   /* double, min to max */
  OPTION_TEXT,     /* const char *, NULL where not given and without a default */
  OPTION_CHOICE,   /* int: the index of the word in choices */
  OPTION_SIZE,     /* int64_t bytes, min to max; K, M, G suffixes are powers of 1024 */
  OPTION_DURATION, /* double seconds, min to max; ms, s, m, h suffixes, s by default */
  OPTION_LIST      /* struct option_list: given several times, or with commas between */
};

struct option_list {
  const char **items;
  size_t count;
};

struct option {
  const char *name;
  char letter; /* of the short form, or 0 */
  enum option_type type;
  size_t offset;        /* of the value in the caller's struct */
  const char *fallback; /* the default, as a user would write it, or NULL */
  double min, max;      /* allowed range; not used by SWITCH, TEXT, CHOICE and LIST */
  const char *choices;  /* "cover|contain|none" for CHOICE, else NULL */
  const char *value;    /* what --help calls the value */
  const char *doc;      /* one phrase */
};

struct option_table {
  const char *command;  /* "encode" */
  const char *operands; /* as shown by --help, such as "MODEL INPUT...", or "" */
  const char *summary;  /* one sentence */
  const struct option *options;
  size_t count;
  int operands_min, operands_max; /* how many words without a dash; max -1: any number */
  bool layered;                   /* environment and --config FILE count too */
};

/** What options_read found besides the values. */
struct options_found {
  bool help;          /* --help was given; nothing else was checked */
  const char *config; /* the file that --config or the environment names, or NULL */
  char **operands;
  int operand_count;
};

/** Reads argv (without the program's and command's names) into values. Texts and lists live in
 * arena or in argv. Errors: INVALID (usage), READ and DATA (the --config file), MEMORY. */
enum vqct_status options_read(const struct option_table *table, int argc, char **argv, void *values,
                              struct options_found *found, struct arena *arena,
                              struct vqct_error *error);

/** The text of --help. */
void options_help(const struct option_table *table, FILE *out);

/** The options as a Markdown table, for the reference page. */
void options_reference(const struct option_table *table, FILE *out);

#endif
