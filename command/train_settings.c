/* The table comes out of VQCT_TRAIN_SETTING_MAP, which has names, defaults and ranges once for the
 * library and the command. The JSON form is that table walked again; it leaves out what belongs to
 * one start of a run: its folder, --resume and --until. */
#include "train_settings.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "atomic_file.h"
#include "error.h"

#define AT(field)  offsetof(struct train_options, training.field)
#define OWN(field) offsetof(struct train_options, field)
#define PATHS(name, field, doc)                                                                    \
  { name, 0, OPTION_LIST, OWN(field), NULL, 0, 0, NULL, "PATH", doc }

/* "gcn|mlp|...": the names of a map without the first bar. */
#define BAR(enumerator, name) "|" name
#define NAMES(map)            (&("" map(BAR))[1])

#define TEXT(field, option, letter, fallback, v, doc)                                              \
  {option, letter, OPTION_TEXT, AT(field), fallback, 0, 0, NULL, v, doc},
#define SWITCH(field, option, fallback, doc)                                                       \
  {option, 0, OPTION_SWITCH, AT(field), #fallback, 0, 0, NULL, NULL, doc},
#define WHOLE(field, option, fallback, least, most, v, doc)                                        \
  {option, 0, OPTION_INTEGER, AT(field), #fallback, least, most, NULL, v, doc},
#define NUMBER(field, option, fallback, least, most, v, doc)                                       \
  {option, 0, OPTION_NUMBER, AT(field), #fallback, least, most, NULL, v, doc},
#define CHOICE(field, option, tag, names, fallback, v, doc)                                        \
  {option, 0, OPTION_CHOICE, AT(field), fallback, 0, 0, NAMES(names), v, doc},

static const struct option options[] = {
    {"output", 'o', OPTION_TEXT, AT(folder), NULL, 0, 0, NULL, "RUN",
     "folder for metrics, checkpoints, pictures and the final model"},
    {"resume", 0, OPTION_SWITCH, AT(resume), "false", 0, 0, NULL, NULL,
     "go on from the newest checkpoint of RUN"},
    PATHS("data", data, "directory, .tar shard or picture to train on; may be given several times"),
    PATHS("validation", validation, "the same for validation; otherwise pictures are held out"),
    {"metrics-port", 0, OPTION_INTEGER, OWN(metrics_port), "0", 0, 65535, NULL, "PORT",
     "answer Prometheus there at /metrics; 0: do not"},
    VQCT_TRAIN_SETTING_MAP(TEXT, SWITCH, WHOLE, NUMBER, CHOICE)};

const struct option_table train_table = {
    .command = "train",
    .operands = "",
    .summary = "Trains a model from photographs and a prior.",
    .options = options,
    .count = sizeof options / sizeof *options,
    .layered = true,
};

/* ---- meaning --------------------------------------------------------------------------------- */

enum vqct_status train_settings_finish(struct train_options *o, struct vqct_error *error) {
  struct vqct_train_settings *settings = &o->training;
  settings->data = o->data.items;
  settings->data_count = o->data.count;
  settings->validation = o->validation.items;
  settings->validation_count = o->validation.count;
  if (!settings->folder)
    return error_set(error, VQCT_INVALID, "give --output RUN");
  if (!settings->data_count)
    return error_set(error, VQCT_INVALID, "give --data PATH");
  return VQCT_OK;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* Word number `index` of choices divided by bars. */
static json_t *choice_json(const char *choices, int index) {
  while (index-- > 0)
    choices = strchr(choices, '|') + 1;
  return json_stringn(choices, strcspn(choices, "|"));
}

static json_t *value_json(const struct option *option, const void *at) {
  json_t *list;
  const struct option_list *paths = at;
  switch (option->type) {
  case OPTION_SWITCH:
    return json_boolean(*(const bool *)at);
  case OPTION_INTEGER:
  case OPTION_SIZE:
    return json_integer(*(const int64_t *)at);
  case OPTION_NUMBER:
  case OPTION_DURATION:
    return json_real(*(const double *)at);
  case OPTION_TEXT:
    return *(const char *const *)at ? json_string(*(const char *const *)at) : NULL;
  case OPTION_CHOICE:
    return choice_json(option->choices, *(const int *)at);
  case OPTION_LIST:
    list = paths->count ? json_array() : NULL;
    for (size_t i = 0; i < paths->count; i++)
      json_array_append_new(list, json_string(paths->items[i]));
    return list;
  }
  return NULL;
}

static bool digits_suffice(int digits, double value) {
  char text[32];
  snprintf(text, sizeof text, "%.*g", digits, value);
  return strtod(text, NULL) == value;
}

/* The fewest digits that bring every number back as it is: 15 for what people write, up to 17. */
static size_t digits_needed(const struct train_options *values) {
  int digits = 15;
  for (size_t i = 0; i < train_table.count; i++) {
    const void *at = (const char *)values + options[i].offset;
    while (digits < 17 && options[i].type == OPTION_NUMBER &&
           !digits_suffice(digits, *(const double *)at))
      digits++;
  }
  return (size_t)digits;
}

enum vqct_status train_settings_save(const struct train_options *values, const char *path,
                                     struct vqct_error *error) {
  json_t *object = json_object();
  for (size_t i = 0; i < train_table.count; i++) {
    const struct option *option = &options[i];
    json_t *value =
        option->offset == AT(folder) || option->offset == AT(resume) || option->offset == AT(until)
            ? NULL
            : value_json(option, (const char *)values + option->offset);
    if (value)
      json_object_set_new(object, option->name, value);
  }
  char *text = json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(digits_needed(values)));
  json_decref(object);
  if (!text)
    return error_set(error, VQCT_MEMORY, "no memory to write %s", path);
  enum vqct_status status = atomic_file_save(path, text, strlen(text), error);
  free(text);
  return status;
}
