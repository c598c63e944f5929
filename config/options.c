/* argv is walked twice: first for --config and --help alone, since the file lies under the
 * flags, then for the values after defaults, file and environment have been read. Each source
 * thus overwrites the one below it, and every value, whatever its source, goes through the same
 * checks. */
#include "options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "environment.h"
#include "error.h"

#define MEASURE_MAX 64 /* bytes: the longest number with its unit */

struct reader {
  const struct option_table *table;
  char *values;
  struct arena *arena;
  struct vqct_error *error;
};

static const struct option *option_find(const struct option_table *table, const char *name,
                                        size_t length) {
  for (size_t i = 0; i < table->count; i++)
    if (strlen(table->options[i].name) == length && !memcmp(table->options[i].name, name, length))
      return &table->options[i];
  return NULL;
}

static const struct option *option_of_letter(const struct option_table *table, char letter) {
  for (size_t i = 0; letter && i < table->count; i++)
    if (table->options[i].letter == letter)
      return &table->options[i];
  return NULL;
}

/* ---- one value ------------------------------------------------------------------------------- */

struct unit {
  const char *suffix;
  double factor;
};

static const struct unit size_units[] = {{"", 1},         {"K", 1024.0},   {"KiB", 1024.0},
                                         {"M", 0x1p20},   {"MiB", 0x1p20}, {"G", 0x1p30},
                                         {"GiB", 0x1p30}, {NULL, 0}};
static const struct unit duration_units[] = {{"", 1},   {"ms", 1e-3}, {"s", 1},
                                             {"m", 60}, {"h", 3600},  {NULL, 0}};
static const struct unit no_units[] = {{"", 1}, {NULL, 0}};

static const struct unit *units_of(enum option_type type) {
  return type == OPTION_SIZE ? size_units : type == OPTION_DURATION ? duration_units : no_units;
}

static bool is_whole(enum option_type type) {
  return type == OPTION_INTEGER || type == OPTION_SIZE;
}

static enum vqct_status measure_fault(const struct reader *reader, const struct option *option,
                                      const char *text, const char *source) {
  const char *units = option->type == OPTION_SIZE       ? " bytes (K, M, G allowed)"
                      : option->type == OPTION_DURATION ? " seconds (ms, s, m, h allowed)"
                                                        : "";
  return error_set(reader->error, VQCT_INVALID,
                   "%s%s is '%.80s': %s from %.16g to %.16g%s is allowed", source, option->name,
                   text, is_whole(option->type) ? "a whole number" : "a number", option->min,
                   option->max, units);
}

static enum vqct_status set_measure(const struct reader *reader, const struct option *option,
                                    const char *text, const char *source) {
  char *end;
  errno = 0;
  double number = strtod(text, &end);
  const struct unit *unit = units_of(option->type);
  while (unit->suffix && strcmp(unit->suffix, end))
    unit++;
  number *= unit->suffix ? unit->factor : 0;
  bool good = end != text && unit->suffix && strlen(text) < MEASURE_MAX && isfinite(number) &&
              number >= option->min && number <= option->max &&
              (!is_whole(option->type) || (number == floor(number) && fabs(number) <= 0x1p53));
  if (!good)
    return measure_fault(reader, option, text, source);
  if (is_whole(option->type))
    *(int64_t *)(void *)(reader->values + option->offset) = (int64_t)number;
  else
    *(double *)(void *)(reader->values + option->offset) = number;
  return VQCT_OK;
}

static enum vqct_status set_choice(const struct reader *reader, const struct option *option,
                                   const char *text, const char *source) {
  int index = 0;
  size_t length = strlen(text);
  for (const char *word = option->choices; word; index++) {
    size_t word_length = strcspn(word, "|");
    if (word_length == length && !memcmp(word, text, length)) {
      *(int *)(void *)(reader->values + option->offset) = index;
      return VQCT_OK;
    }
    word = word[word_length] ? word + word_length + 1 : NULL;
  }
  return error_set(reader->error, VQCT_INVALID, "%s%s is '%.80s': one of %s is allowed", source,
                   option->name, text, option->choices);
}

static enum vqct_status set_switch(const struct reader *reader, const struct option *option,
                                   const char *text, const char *source) {
  bool on = !strcmp(text, "true") || !strcmp(text, "1") || !strcmp(text, "yes");
  bool off = !strcmp(text, "false") || !strcmp(text, "0") || !strcmp(text, "no");
  if (!on && !off)
    return error_set(reader->error, VQCT_INVALID, "%s%s is '%.80s': true or false is allowed",
                     source, option->name, text);
  *(bool *)(reader->values + option->offset) = on;
  return VQCT_OK;
}

static char *text_copy(const struct reader *reader, const char *text, size_t length) {
  char *copy = arena_alloc(reader->arena, length + 1);
  if (!copy) {
    error_set(reader->error, VQCT_MEMORY, "no memory for the options");
    return NULL;
  }
  memcpy(copy, text, length);
  copy[length] = '\0';
  return copy;
}

/* Adds each part between commas; an empty text adds nothing. */
static enum vqct_status add_to_list(const struct reader *reader, const struct option *option,
                                    const char *text) {
  struct option_list *list = (struct option_list *)(void *)(reader->values + option->offset);
  size_t most = list->count + 1;
  for (const char *c = text; *c; c++)
    most += *c == ',';
  const char **items = arena_calloc(reader->arena, most, sizeof *items);
  if (!items)
    return error_set(reader->error, VQCT_MEMORY, "no memory for the options");
  if (list->count)
    memcpy(items, list->items, list->count * sizeof *items);
  list->items = items;
  for (size_t length; *text; text += length + (text[length] == ',')) {
    length = strcspn(text, ",");
    if (length && !(items[list->count++] = text_copy(reader, text, length)))
      return VQCT_MEMORY;
  }
  return VQCT_OK;
}

/* Sets an option from text that is copied where it is kept; source ends with where it came from. */
static enum vqct_status set_value(const struct reader *reader, const struct option *option,
                                  const char *text, const char *source) {
  switch (option->type) {
  case OPTION_SWITCH:
    return set_switch(reader, option, text, source);
  case OPTION_CHOICE:
    return set_choice(reader, option, text, source);
  case OPTION_LIST:
    return add_to_list(reader, option, text);
  case OPTION_TEXT: {
    char *copy = text_copy(reader, text, strlen(text));
    *(const char **)(void *)(reader->values + option->offset) = copy;
    return copy ? VQCT_OK : VQCT_MEMORY;
  }
  case OPTION_INTEGER:
  case OPTION_NUMBER:
  case OPTION_SIZE:
  case OPTION_DURATION:
    break;
  }
  return set_measure(reader, option, text, source);
}

/* A list is replaced, not added to, by the first value from a stronger source. */
static void clear_list(const struct reader *reader, const struct option *option) {
  if (option->type == OPTION_LIST)
    *(struct option_list *)(void *)(reader->values + option->offset) = (struct option_list){0};
}

/* ---- the sources, weakest first -------------------------------------------------------------- */

static enum vqct_status read_defaults(const struct reader *reader) {
  for (size_t i = 0; i < reader->table->count; i++) {
    const struct option *option = &reader->table->options[i];
    clear_list(reader, option);
    if (option->fallback) {
      enum vqct_status status = set_value(reader, option, option->fallback, "default of ");
      if (status != VQCT_OK)
        return status;
    } else if (option->type == OPTION_TEXT) {
      *(const char **)(void *)(reader->values + option->offset) = NULL;
    } else if (option->type == OPTION_SWITCH) {
      *(bool *)(reader->values + option->offset) = false;
    }
  }
  return VQCT_OK;
}

/* The JSON value as the text a user would write on the command line, in buffer; NULL if it has
 * none. */
static const char *json_text(const json_t *value, char buffer[MEASURE_MAX]) {
  if (json_is_string(value))
    return json_string_value(value);
  if (json_is_boolean(value))
    return json_is_true(value) ? "true" : "false";
  if (!json_is_number(value))
    return NULL;
  snprintf(buffer, MEASURE_MAX, "%.17g", json_number_value(value));
  return buffer;
}

static enum vqct_status read_json_value(const struct reader *reader, const char *path,
                                        const struct option *option, const json_t *value) {
  char source[160], buffer[MEASURE_MAX];
  snprintf(source, sizeof source, "%.150s: ", path);
  bool is_array = option->type == OPTION_LIST && json_is_array(value);
  clear_list(reader, option);
  size_t parts = is_array ? json_array_size(value) : 1;
  for (size_t i = 0; i < parts; i++) {
    const char *text = json_text(is_array ? json_array_get(value, i) : value, buffer);
    if (!text)
      return error_set(reader->error, VQCT_INVALID,
                       "%s%s is neither text, number nor true or false", source, option->name);
    enum vqct_status status = set_value(reader, option, text, source);
    if (status != VQCT_OK)
      return status;
  }
  return VQCT_OK;
}

static enum vqct_status read_file(const struct reader *reader, const char *path) {
  json_error_t fault;
  FILE *file = fopen(path, "rb");
  if (!file)
    return error_set(reader->error, VQCT_READ, "%s: %s", path, strerror(errno));
  json_t *root = json_loadf(file, JSON_REJECT_DUPLICATES, &fault);
  fclose(file);
  if (!root)
    return error_set(reader->error, VQCT_DATA, "%s:%d: %s", path, fault.line, fault.text);
  enum vqct_status status = VQCT_OK;
  if (!json_is_object(root))
    status = error_set(reader->error, VQCT_DATA, "%s: not a JSON object of options", path);
  for (void *at = json_object_iter(root); status == VQCT_OK && at;
       at = json_object_iter_next(root, at)) {
    const char *key = json_object_iter_key(at);
    const struct option *option = option_find(reader->table, key, strlen(key));
    status = option ? read_json_value(reader, path, option, json_object_iter_value(at))
                    : error_set(reader->error, VQCT_INVALID, "%s: '%.80s' is not an option of %s",
                                path, key, reader->table->command);
  }
  json_decref(root);
  return status;
}

static enum vqct_status read_environment(const struct reader *reader) {
  for (size_t i = 0; i < reader->table->count; i++) {
    const struct option *option = &reader->table->options[i];
    struct variable_name name = variable_name(option);
    const char *text = variable_value(name.text);
    if (!text)
      continue;
    clear_list(reader, option);
    enum vqct_status status = set_value(reader, option, text, "environment: ");
    if (status != VQCT_OK)
      return status;
  }
  struct variable_name misspelt, meant;
  if (!environment_misspelt(reader->table, &misspelt, &meant))
    return VQCT_OK;
  return error_set(reader->error, VQCT_INVALID, "environment: %.80s is not an option of %s; %s is",
                   misspelt.text, reader->table->command, meant.text);
}

/* ---- the command line ------------------------------------------------------------------------ */

/* One option of the command line, taken apart. */
struct flag {
  const struct option *option; /* NULL: none of that name */
  const char *value;           /* NULL: the next word, or none for a switch */
  bool is_config, is_help;
};

static bool is_flag(const char *word) {
  return word[0] == '-' && word[1] != '\0';
}

/* -x, -xVALUE */
static struct flag split_short(const struct option_table *table, const char *word) {
  return (struct flag){.option = option_of_letter(table, word[1]),
                       .value = word[2] ? word + 2 : NULL,
                       .is_help = !strcmp(word, "-h")};
}

/* --name, --name=VALUE, --no-name */
static struct flag split_long(const struct option_table *table, const char *word) {
  const char *name = word + 2;
  size_t length = strcspn(name, "=");
  const struct option *option = option_find(table, name, length);
  if (!option && !name[length] && length > 3 && !memcmp(name, "no-", 3)) {
    option = option_find(table, name + 3, length - 3);
    return (struct flag){.option = option && option->type == OPTION_SWITCH ? option : NULL,
                         .value = "false"};
  }
  return (struct flag){.option = option,
                       .value = name[length] ? name + length + 1 : NULL,
                       .is_help = !strcmp(name, "help"),
                       .is_config = table->layered && length == 6 && !memcmp(name, "config", 6)};
}

static struct flag flag_split(const struct option_table *table, const char *word) {
  struct flag flag = word[1] == '-' ? split_long(table, word) : split_short(table, word);
  if (flag.option && flag.option->type == OPTION_SWITCH && !flag.value)
    flag.value = "true";
  return flag;
}

/* What a pass over the command line does. */
enum pass {
  PASS_CONFIG, /* find --help and --config */
  PASS_VALUES  /* set the values, collect the operands */
};

static enum vqct_status take_flag(const struct reader *reader, enum pass pass, struct flag flag,
                                  bool *listed, const char **config) {
  if (flag.is_config) {
    *config = flag.value;
    return VQCT_OK;
  }
  if (pass == PASS_CONFIG)
    return VQCT_OK;
  size_t index = (size_t)(flag.option - reader->table->options);
  if (!listed[index])
    clear_list(reader, flag.option);
  listed[index] = true;
  return set_value(reader, flag.option, flag.value, "--");
}

static enum vqct_status walk(const struct reader *reader, enum pass pass, int argc, char **argv,
                             struct options_found *found, const char **config) {
  bool *listed = arena_calloc(reader->arena, reader->table->count + 1, sizeof *listed);
  if (!listed)
    return error_set(reader->error, VQCT_MEMORY, "no memory for the options");
  bool only_operands = false;
  found->operand_count = 0;
  for (int i = 0; i < argc; i++) {
    if (!only_operands && !strcmp(argv[i], "--")) {
      only_operands = true;
    } else if (only_operands || !is_flag(argv[i])) {
      found->operands[found->operand_count++] = argv[i];
    } else {
      struct flag flag = flag_split(reader->table, argv[i]);
      if (flag.is_help) {
        found->help = true;
        return VQCT_OK;
      }
      if (!flag.option && !flag.is_config)
        return error_set(reader->error, VQCT_INVALID, "'%.80s' is not an option of vqct %s",
                         argv[i], reader->table->command);
      if (!flag.value && ++i == argc)
        return error_set(reader->error, VQCT_INVALID, "option '%.80s' needs a value", argv[i - 1]);
      if (!flag.value)
        flag.value = argv[i];
      enum vqct_status status = take_flag(reader, pass, flag, listed, config);
      if (status != VQCT_OK)
        return status;
    }
  }
  return VQCT_OK;
}

static enum vqct_status check_operands(const struct reader *reader,
                                       const struct options_found *found) {
  const struct option_table *table = reader->table;
  bool few = found->operand_count < table->operands_min;
  bool many = table->operands_max >= 0 && found->operand_count > table->operands_max;
  if (!few && !many)
    return VQCT_OK;
  return error_set(reader->error, VQCT_INVALID, "too %s arguments; usage: vqct %s%s%s [OPTION...]",
                   few ? "few" : "many", table->command, *table->operands ? " " : "",
                   table->operands);
}

enum vqct_status options_read(const struct option_table *table, int argc, char **argv, void *values,
                              struct options_found *found, struct arena *arena,
                              struct vqct_error *error) {
  struct reader reader = {table, values, arena, error};
  *found = (struct options_found){0};
  found->operands = arena_calloc(arena, (size_t)argc + 1, sizeof *found->operands);
  if (!found->operands)
    return error_set(error, VQCT_MEMORY, "no memory for the options");
  const char *config = table->layered ? variable_value("VQCT_CONFIG") : NULL;
  enum vqct_status status = walk(&reader, PASS_CONFIG, argc, argv, found, &config);
  if (status != VQCT_OK || found->help)
    return status;
  if ((status = read_defaults(&reader)) != VQCT_OK)
    return status;
  found->config = config;
  if (config && (status = read_file(&reader, config)) != VQCT_OK)
    return status;
  if (table->layered && (status = read_environment(&reader)) != VQCT_OK)
    return status;
  if ((status = walk(&reader, PASS_VALUES, argc, argv, found, &config)) != VQCT_OK)
    return status;
  return check_operands(&reader, found);
}

/* ---- help and reference ---------------------------------------------------------------------- */

/* "8 to 65535", "cover|contain|none" or "". */
static const char *allowed_text(const struct option *option, char buffer[80]) {
  buffer[0] = '\0';
  if (option->type == OPTION_CHOICE)
    return option->choices;
  if (option->type == OPTION_INTEGER || option->type == OPTION_NUMBER ||
      option->type == OPTION_SIZE || option->type == OPTION_DURATION)
    snprintf(buffer, 80, "%.16g to %.16g", option->min, option->max);
  return buffer;
}

void options_help(const struct option_table *table, FILE *out) {
  fprintf(out, "usage: vqct %s%s%s [OPTION...]\n\n%s\n\n", table->command,
          *table->operands ? " " : "", table->operands, table->summary);
  for (size_t i = 0; i < table->count; i++) {
    const struct option *option = &table->options[i];
    char buffer[80];
    const char *allowed = allowed_text(option, buffer);
    fprintf(out, "  %c%c%c --%s%s%s\n        %s", option->letter ? '-' : ' ',
            option->letter ? option->letter : ' ', option->letter ? ',' : ' ', option->name,
            option->type == OPTION_SWITCH ? "" : " ",
            option->type == OPTION_SWITCH ? "" : option->value, option->doc);
    if (*allowed)
      fprintf(out, "; %s", allowed);
    if (option->fallback && *option->fallback && option->type != OPTION_SWITCH)
      fprintf(out, " (default %s)", option->fallback);
    else if (option->type == OPTION_SWITCH && option->fallback && !strcmp(option->fallback, "true"))
      fprintf(out, " (on; --no-%s turns it off)", option->name);
    fputc('\n', out);
  }
  if (table->layered)
    fputs("      --config FILE\n        JSON object with any of these options by name\n", out);
  fputs("  -h, --help\n        this text\n", out);
  if (table->layered)
    fputs("\nEvery option can also stand in the environment as VQCT_NAME (dashes as underscores).\n"
          "Flags count over the environment, that over the file, that over the default.\n",
          out);
}

void options_reference(const struct option_table *table, FILE *out) {
  fputs("| option | default | allowed | meaning |\n| --- | --- | --- | --- |\n", out);
  for (size_t i = 0; i < table->count; i++) {
    const struct option *option = &table->options[i];
    char buffer[80];
    fprintf(out, "| `%s` | %s%s%s | ", option->name, option->fallback ? "`" : "",
            option->fallback ? option->fallback : "", option->fallback ? "`" : "");
    for (const char *c = allowed_text(option, buffer); *c; c++)
      fprintf(out, *c == '|' ? ", " : "%c", *c);
    fprintf(out, " | %s |\n", option->doc);
  }
}
