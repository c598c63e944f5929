#include "train_settings.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "atomic_file.h"
#include "error.h"

#define AT(field)  offsetof(struct train_options, training.field)
#define OWN(field) offsetof(struct train_options, field)
#define TEXT(name, field, v, doc)                                                                  \
  { name, 0, OPTION_TEXT, AT(field), NULL, 0, 0, NULL, v, doc }
#define PATHS(name, field, doc)                                                                    \
  { name, 0, OPTION_LIST, OWN(field), NULL, 0, 0, NULL, "PATH", doc }
#define SWITCH(name, field, d, doc)                                                                \
  { name, 0, OPTION_SWITCH, AT(field), d, 0, 0, NULL, NULL, doc }
#define WHOLE(name, field, d, least, most, v, doc)                                                 \
  { name, 0, OPTION_INTEGER, AT(field), d, least, most, NULL, v, doc }
#define NUMBER(name, field, d, least, most, v, doc)                                                \
  { name, 0, OPTION_NUMBER, AT(field), d, least, most, NULL, v, doc }
#define CHOICE(name, field, d, choices, v, doc)                                                    \
  { name, 0, OPTION_CHOICE, AT(field), d, 0, 0, choices, v, doc }

static const struct option options[] = {
    {"output", 'o', OPTION_TEXT, AT(folder), NULL, 0, 0, NULL, "RUN",
     "folder for metrics, checkpoints, pictures and the final model"},
    SWITCH("resume", resume, "false", "go on from the newest checkpoint of RUN"),
    PATHS("data", data, "directory, .tar shard or picture to train on; may be given several times"),
    PATHS("validation", validation, "the same for validation; otherwise pictures are held out"),
    TEXT("prior", prior, "FILE", "words, graph and embeddings, from `vqct prior build`"),
    TEXT("perceptual", perceptual, "FILE",
         "weights of LPIPS (VGG16 or SqueezeNet 1.1) as safetensors; without them that loss is "
         "left out"),
    {"preset", 'p', OPTION_TEXT, AT(preset), "vqct-f8-small", 0, 0, NULL, "NAME",
     "architecture: vqct-f16 (the paper's), vqct-f8-small or vqct-tiny"},
    TEXT("architecture", architecture, "FILE", "architecture as JSON, instead of a preset"),
    TEXT("name", name, "NAME", "what the model is called, instead of its architecture's name"),

    CHOICE("codes", codes, "gcn", "gcn|mlp|fixed|free|simvq|ema", "KIND",
           "how codes come about: the graph convolution, or what it is compared with"),
    CHOICE("parts", parts, "both", "both|adjectives|nouns", "WHICH",
           "words of the prior that become codes; one part alone makes a plain codebook"),
    SWITCH("standardize", standardize, "true",
           "bring the word embeddings to mean 0 and variance 1 before the transfer"),
    NUMBER("dropout", dropout, "0.5", 0, 0.99, "SHARE", "of the graph convolution in training"),
    WHOLE("adjective-k", adjective_k, "0", 0, 2, "K",
          "adjectives chosen for each position; 0: as the architecture says"),
    WHOLE("adjectives", random_adjectives, "0", 0, 0x1p24, "N",
          "codes of the adjectives without a prior; 0: as the architecture says"),
    WHOLE("nouns", random_nouns, "0", 0, 0x1p24, "N",
          "codes of the nouns without a prior; 0: as the architecture says"),
    NUMBER("beta", beta, "0.25", 0, 100, "WEIGHT", "of one side of the codebook loss"),
    CHOICE("beta-placement", beta_placement, "released", "released|corrected", "WHERE",
           "released: before the codes' side, as the published code has it; corrected: before the "
           "commitment"),
    NUMBER("codebook-weight", codebook_weight, "1", 0, 1e6, "WEIGHT", "of the codebook loss"),
    NUMBER("ema-decay", ema_decay, "0.99", 0, 0.999999, "DECAY", "of codes of kind ema"),
    NUMBER("ema-threshold", ema_threshold, "0.01", 0, 1e6, "COUNT",
           "choices a step, averaged, below which a code of kind ema restarts"),

    CHOICE("pixel", pixel, "l1", "l1|l2", "LOSS", "of the pixels"),
    NUMBER("pixel-weight", pixel_weight, "1", 0, 1e6, "WEIGHT", "of the pixels' loss"),
    NUMBER("perceptual-weight", perceptual_weight, "1", 0, 1e6, "WEIGHT", "of LPIPS"),
    WHOLE("discriminator-start", discriminator_start, "10000", -1, 0x1p53, "STEP",
          "first step of the adversarial loss; -1: never"),
    NUMBER("discriminator-weight", discriminator_weight, "0.8", 0, 1e6, "WEIGHT",
           "what the adaptive weight of the adversarial loss is multiplied by"),
    NUMBER("discriminator-rate", discriminator_rate, "0", 0, 10, "RATE",
           "learning rate of the discriminator; 0: that of the generator"),
    WHOLE("discriminator-channels", discriminator_channels, "64", 1, 512, "N",
          "of its first convolution"),
    WHOLE("discriminator-layers", discriminator_layers, "3", 1, VQCT_TRAIN_LAYERS_MAX, "N",
          "of its convolutions that halve the picture"),

    NUMBER("learning-rate", learning_rate, "7.2e-5", 1e-12, 10, "RATE", "after the warm-up"),
    SWITCH("cosine", cosine, "false", "let the rate fall along a cosine to the last step"),
    NUMBER("final-learning-rate", final_learning_rate, "0", 0, 10, "RATE", "where the cosine ends"),
    WHOLE("warmup-steps", warmup_steps, "0", 0, 0x1p53, "STEPS", "over which the rate grows"),
    NUMBER("beta1", beta1, "0.5", 0, 0.999999, "BETA", "of Adam"),
    NUMBER("beta2", beta2, "0.9", 0, 0.999999, "BETA", "of Adam"),
    NUMBER("clip-norm", clip_norm, "0", 0, 1e9, "NORM",
           "longest gradient, by Euclidean norm; 0: any"),
    NUMBER("average-decay", average_decay, "0", 0, 0.999999, "DECAY",
           "of a moving average of the weights, which is then what is validated and served; 0: "
           "none"),

    WHOLE("batch", batch, "8", 1, 65536, "N", "pictures computed together"),
    WHOLE("accumulate", accumulate, "1", 1, 65536, "N", "such batches in a step"),
    WHOLE("steps", steps, "100000", 1, 0x1p53, "N", "of the whole run"),
    WHOLE("until", until, "0", 0, 0x1p53, "STEP",
          "stop there with a checkpoint, to go on later; 0: at the last step"),
    WHOLE("crop", crop, "256", 8, 4096, "PIXELS", "side of the squares to train on"),
    NUMBER("crop-min", crop_min, "0.5", 0.01, 1, "SHARE",
           "smallest square as a share of a picture's short side; it is never enlarged without "
           "need"),
    NUMBER("crop-max", crop_max, "1", 0.01, 1, "SHARE", "largest square, likewise"),
    SWITCH("flip", flip, "true", "mirror every other crop"),
    WHOLE("late-start", late_start, "-1", -1, 0x1p53, "STEP",
          "from here on crops are of --late-crop; -1: never"),
    WHOLE("late-crop", late_crop, "256", 8, 4096, "PIXELS", "side of the crops at the end"),
    WHOLE("late-batch", late_batch, "8", 1, 65536, "N", "pictures computed together at the end"),
    WHOLE("seed", seed, "0", 0, 0x1p53, "NUMBER",
          "of weights, dropout, order and augmentation; the same seed gives the same run"),
    WHOLE("threads", threads, "0", 0, 1024, "N", "to compute with; 0: all processors"),
    WHOLE("loader-threads", loader_threads, "2", 1, 64, "N", "to decode pictures ahead with"),

    WHOLE("log-every", log_every, "50", 0, 0x1p53, "STEPS", "a line of metrics"),
    WHOLE("validate-every", validate_every, "1000", 0, 0x1p53, "STEPS",
          "validation, pictures, curves and model; 0: only at the end"),
    WHOLE("checkpoint-every", checkpoint_every, "500", 0, 0x1p53, "STEPS",
          "a checkpoint; 0: only at the end"),
    {"metrics-port", 0, OPTION_INTEGER, OWN(metrics_port), "0", 0, 65535, NULL, "PORT",
     "answer Prometheus there at /metrics; 0: do not"},
    WHOLE("held-out", held_out, "64", 0, 0x1p40, "N", "pictures kept for validation"),
    WHOLE("validation-pictures", validation_pictures, "64", 1, 0x1p40, "N",
          "the most that a validation uses"),
    WHOLE("validation-size", validation_size, "256", 16, 4096, "PIXELS",
          "validation pictures are cut to squares of this side"),
};

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
