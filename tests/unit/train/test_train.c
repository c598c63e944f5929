/* The public interface of training: its defaults and ranges are the command's, and a run through it
 * makes a model that opens. */
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../suite.h"
#include "rng.h"
#include "train_settings.h"
#include "vqct/image.h"
#include "vqct/model.h"
#include "vqct/train.h"

#define PICTURES 4
#define SIDE     40

static char folder[] = "/tmp/vqct-test-XXXXXX", run[64], paths[PICTURES][64];
static const char *data[PICTURES];
static struct vqct_train_settings settings;
static struct vqct_error error;

static void write_picture(const char *path, struct rng *rng) {
  struct vqct_image image = {NULL, SIDE, SIDE, 3};
  struct vqct_bytes file;
  uint8_t pixels[SIDE * SIDE * 3];
  for (size_t i = 0; i < sizeof pixels; i++)
    pixels[i] = (uint8_t)rng_below(rng, 256);
  image.pixels = pixels;
  ck_assert_int_eq(vqct_image_encode_png(&image, &file, &error), VQCT_OK);
  FILE *to = fopen(path, "wb");
  ck_assert_ptr_nonnull(to);
  ck_assert_uint_eq(fwrite(file.data, 1, file.size, to), file.size);
  ck_assert_int_eq(fclose(to), 0);
  free(file.data);
}

static void set_up(void) {
  static const struct vqct_train_settings defaults = VQCT_TRAIN_SETTINGS_DEFAULT;
  struct rng rng;
  rng_seed(&rng, 1, 0);
  strcpy(folder, "/tmp/vqct-test-XXXXXX");
  ck_assert_ptr_nonnull(mkdtemp(folder));
  for (int i = 0; i < PICTURES; i++) {
    snprintf(paths[i], sizeof paths[i], "%s/%d.png", folder, i);
    write_picture(paths[i], &rng);
    data[i] = paths[i];
  }
  snprintf(run, sizeof run, "%s/run", folder);
  settings = defaults;
  settings.folder = run;
  settings.data = data;
  settings.data_count = PICTURES;
  settings.preset = "vqct-tiny";
  settings.codes = VQCT_CODES_FREE;
  settings.perceptual_weight = 0;
  settings.discriminator_start = -1;
  settings.batch = 2;
  settings.steps = 3;
  settings.crop = settings.validation_size = 32;
  settings.held_out = 1;
  settings.log_every = 1;
  settings.threads = 2;
}

static void tear_down(void) {
  char command[128];
  snprintf(command, sizeof command, "rm -rf %s", folder);
  ck_assert_int_eq(system(command), 0);
}

/* ---- defaults and ranges --------------------------------------------------------------------- */

START_TEST(defaults_are_the_commands) {
  static const struct train_options expected = {.training = VQCT_TRAIN_SETTINGS_DEFAULT};
  struct train_options parsed = {0};
  struct options_found found;
  struct arena arena;
  arena_init(&arena, 0);
  char **none = {NULL};
  ck_assert_int_eq(options_read(&train_table, 0, none, &parsed, &found, &arena, &error), VQCT_OK);
  for (size_t i = 0; i < train_table.count; i++) {
    const struct option *option = &train_table.options[i];
    const char *ours = (const char *)&expected + option->offset;
    const char *theirs = (const char *)&parsed + option->offset;
    if (option->type == OPTION_TEXT) {
      const char *a = *(const char *const *)ours, *b = *(const char *const *)theirs;
      ck_assert_msg(a && b ? !strcmp(a, b) : a == b, "%s", option->name);
    } else {
      size_t size = option->type == OPTION_SWITCH   ? sizeof(bool)
                    : option->type == OPTION_CHOICE ? sizeof(int)
                    : option->type == OPTION_LIST   ? sizeof(struct option_list)
                                                    : 8;
      ck_assert_msg(!memcmp(ours, theirs, size), "%s", option->name);
    }
  }
  arena_free(&arena);
}
END_TEST

/* What --help refuses, the library refuses too: before it has made anything. */
START_TEST(ranges_are_the_commands) {
  size_t tried = 0;
  for (size_t i = 0; i < train_table.count; i++) {
    const struct option *option = &train_table.options[i];
    if (option->offset >= sizeof settings) /* the command's own */
      continue;
    for (int side = 0; side < 2; side++) {
      struct vqct_train_settings wrong = settings;
      char *at = (char *)&wrong + option->offset;
      double limit = side ? option->max : option->min;
      if (option->type == OPTION_INTEGER)
        *(int64_t *)at = /* the next number that a double holds, even at 2^53 */
            (int64_t)limit + (side ? 2 : -1);
      else if (option->type == OPTION_NUMBER)
        *(double *)at = nextafter(limit, side ? INFINITY : -INFINITY);
      else if (option->type == OPTION_CHOICE)
        *(int *)at = side ? 100 : -1;
      else
        continue;
      tried++;
      ck_assert_msg(vqct_train(&wrong, NULL, &error) == VQCT_INVALID, "%s, side %d: %s",
                    option->name, side, error.message);
      ck_assert_int_ne(access(run, F_OK), 0);
    }
  }
  ck_assert_uint_gt(tried, 60);
}
END_TEST

START_TEST(what_is_missing_is_named) {
  struct vqct_train_settings wrong = settings;
  wrong.folder = NULL;
  ck_assert_int_eq(vqct_train(&wrong, NULL, &error), VQCT_INVALID);
  ck_assert_ptr_nonnull(strstr(error.message, "folder"));
  wrong = settings;
  wrong.data_count = 0;
  ck_assert_int_eq(vqct_train(&wrong, NULL, &error), VQCT_INVALID);
  ck_assert_ptr_nonnull(strstr(error.message, "data"));
  wrong = settings;
  wrong.preset = NULL;
  ck_assert_int_eq(vqct_train(&wrong, NULL, &error), VQCT_INVALID);
  ck_assert_ptr_nonnull(strstr(error.message, "preset"));
  wrong = settings;
  wrong.dropout = NAN;
  ck_assert_int_eq(vqct_train(&wrong, NULL, &error), VQCT_INVALID);
  ck_assert_ptr_nonnull(strstr(error.message, "dropout"));
}
END_TEST

/* ---- a run ----------------------------------------------------------------------------------- */

struct seen {
  struct vqct_train_progress last;
  int lines, validations;
  uint64_t stop_after; /* a line of this step; 0: never */
};

static void on_progress(void *context, const struct vqct_train_progress *progress) {
  struct seen *seen = context;
  seen->last = *progress;
  seen->lines++;
}

static void on_validated(void *context, uint64_t step, const struct vqct_evaluation *result) {
  struct seen *seen = context;
  seen->validations++;
  ck_assert_uint_eq(step, 3);
  ck_assert_uint_eq(result->pictures, 1);
  ck_assert_uint_eq(result->positions, 8 * 8); /* the tiny architecture halves twice */
  ck_assert_double_gt(result->psnr, 0);
  ck_assert(isnan(result->lpips));
}

static bool on_stopping(void *context) {
  const struct seen *seen = context;
  return seen->stop_after && seen->last.step >= seen->stop_after;
}

START_TEST(a_run_stops_goes_on_and_makes_a_model) {
  struct seen seen = {.stop_after = 1}; /* within the second step */
  struct vqct_train_hooks hooks = {.progress = on_progress,
                                   .validated = on_validated,
                                   .stopping = on_stopping,
                                   .context = &seen};
  ck_assert_int_eq(vqct_train(&settings, &hooks, &error), VQCT_INTERRUPTED);
  ck_assert_int_eq(seen.lines, 1);
  ck_assert_int_eq(seen.validations, 0);
  ck_assert_int_eq(vqct_train(&settings, &hooks, &error), VQCT_INVALID); /* a run is there */
  seen.stop_after = 0;
  settings.resume = true;
  ck_assert_msg(vqct_train(&settings, &hooks, &error) == VQCT_OK, "%s", error.message);
  ck_assert_int_eq(seen.lines, 3);
  ck_assert_int_eq(seen.validations, 1);
  ck_assert_uint_eq(seen.last.step, 3);
  ck_assert_uint_eq(seen.last.steps, 3);
  ck_assert_uint_eq(seen.last.window, 2 * 8 * 8);
  ck_assert_int_eq(seen.last.codebooks, 2);
  ck_assert_str_eq(seen.last.name[1], "noun");
  ck_assert_double_gt(seen.last.losses.pixel, 0);
  ck_assert_double_eq(seen.last.losses.generator, 0);
  struct vqct_model *model;
  char path[96];
  snprintf(path, sizeof path, "%s/model.safetensors", run);
  ck_assert_msg(vqct_model_open(path, &model, &error) == VQCT_OK, "%s", error.message);
  ck_assert_uint_eq(vqct_model_info(model)->downsampling, 4);
  vqct_model_close(model);
}
END_TEST

/* ---- every setting counts -------------------------------------------------------------------- */

static const struct {
  const char *option;
  double value;
  enum vqct_train_codes codes; /* of the runs that are compared */
} changes[] = {
    {"standardize", 0, VQCT_CODES_GCN},
    {"dropout", 0.1, VQCT_CODES_GCN},
    {"parts", VQCT_PARTS_NOUNS, VQCT_CODES_GCN},
    {"beta", 0.5, VQCT_CODES_FREE},
    {"beta-placement", VQCT_BETA_CORRECTED, VQCT_CODES_FREE},
    {"codebook-weight", 2, VQCT_CODES_FREE},
    {"estimator", VQCT_ESTIMATOR_ROTATION, VQCT_CODES_FREE},
    {"estimator", VQCT_ESTIMATOR_DIVEQ, VQCT_CODES_FREE},
    {"ema-decay", 0.9, VQCT_CODES_EMA},
    {"ema-threshold", 2, VQCT_CODES_EMA},
    {"pixel", VQCT_PIXEL_L2, VQCT_CODES_FREE},
    {"pixel-weight", 2, VQCT_CODES_FREE},
    {"discriminator-start", 2, VQCT_CODES_FREE},
    {"discriminator-weight", 0.4, VQCT_CODES_FREE},
    {"discriminator-rate", 1e-4, VQCT_CODES_FREE},
    {"discriminator-channels", 5, VQCT_CODES_FREE},
    {"discriminator-layers", 1, VQCT_CODES_FREE},
    {"learning-rate", 2e-3, VQCT_CODES_FREE},
    {"cosine", 0, VQCT_CODES_FREE},
    {"final-learning-rate", 5e-4, VQCT_CODES_FREE},
    {"warmup-steps", 3, VQCT_CODES_FREE},
    {"beta1", 0.4, VQCT_CODES_FREE},
    {"beta2", 0.8, VQCT_CODES_FREE},
    {"clip-norm", 1e-3, VQCT_CODES_FREE},
    {"average-decay", 0.05, VQCT_CODES_FREE},
    {"batch", 3, VQCT_CODES_FREE},
    {"accumulate", 1, VQCT_CODES_FREE},
    {"crop", 36, VQCT_CODES_FREE},
    {"crop-min", 0.95, VQCT_CODES_FREE},
    {"crop-max", 0.8, VQCT_CODES_FREE},
    {"flip", 0, VQCT_CODES_FREE},
    {"late-start", 2, VQCT_CODES_FREE},
    {"late-crop", 32, VQCT_CODES_FREE},
    {"late-batch", 2, VQCT_CODES_FREE},
    {"seed", 1, VQCT_CODES_FREE},
    {"held-out", 2, VQCT_CODES_FREE},
};

static void change(const char *name, double value) {
  for (size_t i = 0; i < train_table.count; i++) {
    const struct option *option = &train_table.options[i];
    char *at = (char *)&settings + option->offset;
    if (strcmp(option->name, name) != 0)
      continue;
    if (option->type == OPTION_INTEGER)
      *(int64_t *)at = (int64_t)value;
    else if (option->type == OPTION_NUMBER)
      *(double *)at = value;
    else if (option->type == OPTION_SWITCH)
      *(bool *)at = value != 0;
    else if (option->type == OPTION_CHOICE)
      *(int *)at = (int)value;
    else
      break;
    return;
  }
  ck_abort_msg("%s", name);
}

/* The checkpoint of the run. */
static struct vqct_bytes read_checkpoint(void) {
  struct vqct_bytes bytes = {0};
  char path[96];
  snprintf(path, sizeof path, "%s/last.safetensors", run);
  FILE *file = fopen(path, "rb");
  ck_assert_ptr_nonnull(file);
  ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
  bytes.size = (size_t)ftell(file);
  rewind(file);
  ck_assert_ptr_nonnull(bytes.data = malloc(bytes.size));
  ck_assert_uint_eq(fread(bytes.data, 1, bytes.size, file), bytes.size);
  fclose(file);
  return bytes;
}

/* Trains in a folder of its own and reads the checkpoint. */
static struct vqct_bytes checkpoint_of(size_t number, const char *name) {
  snprintf(run, sizeof run, "%s/%zu-%.24s", folder, number, name);
  ck_assert_msg(vqct_train(&settings, NULL, &error) == VQCT_OK, "%s: %s", name, error.message);
  return read_checkpoint();
}

static bool same(const struct vqct_bytes *a, const struct vqct_bytes *b) {
  return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

START_TEST(every_setting_counts) {
  struct vqct_bytes first[VQCT_CODES_EMA + 1] = {{0}};
  settings.threads = 1;
  settings.discriminator_start = 1;
  settings.discriminator_channels = 4;
  settings.discriminator_layers = 2;
  settings.learning_rate = 1e-3;
  settings.cosine = true;
  settings.average_decay = 0.9;
  settings.accumulate = 2;
  settings.steps = 4;
  settings.late_start = 3;
  settings.late_crop = 36;
  settings.late_batch = 1;
  const struct vqct_train_settings unchanged = settings;
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
    enum vqct_train_codes codes = changes[i].codes;
    settings = unchanged;
    settings.codes = codes;
    settings.prior = codes == VQCT_CODES_GCN ? "models/prior-glove-100d.safetensors" : NULL;
    if (!first[codes].data) {
      struct vqct_bytes second = checkpoint_of(i, "second");
      first[codes] = checkpoint_of(i, "first");
      ck_assert_msg(same(&first[codes], &second), "the same run gave another checkpoint");
      free(second.data);
    }
    change(changes[i].option, changes[i].value);
    struct vqct_bytes changed = checkpoint_of(i, changes[i].option);
    ck_assert_msg(!same(&first[codes], &changed), "%s changes nothing", changes[i].option);
    free(changed.data);
  }
  for (int i = 0; i <= VQCT_CODES_EMA; i++)
    free(first[i].data);
}
END_TEST

/* ---- stopping anywhere ----------------------------------------------------------------------- */

struct patience {
  atomic_uint asked;
  unsigned most; /* questions that are answered with no */
  int validations;
};

static bool on_impatient(void *context) {
  struct patience *patience = context;
  return atomic_fetch_add(&patience->asked, 1) >= patience->most;
}

static void on_counted(void *context, uint64_t step, const struct vqct_evaluation *result) {
  struct patience *patience = context;
  (void)step;
  (void)result;
  patience->validations++;
}

/* Wherever in a step or a validation a run stops and goes on, the end is the same, and every
 * validation is made once. */
START_TEST(a_run_may_stop_anywhere) {
  static const enum vqct_train_codes codes[] = {VQCT_CODES_FREE, VQCT_CODES_EMA, VQCT_CODES_GCN};
  settings.discriminator_start = 1;
  settings.discriminator_channels = 4;
  settings.discriminator_layers = 2;
  settings.accumulate = 2;
  settings.validate_every = 2;
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    settings.codes = codes[i];
    settings.prior = codes[i] == VQCT_CODES_GCN ? "models/prior-glove-100d.safetensors" : NULL;
    settings.resume = false;
    struct vqct_bytes straight = checkpoint_of(i, "straight");
    struct patience patience = {.most = 1};
    const struct vqct_train_hooks hooks = {
        .stopping = on_impatient, .validated = on_counted, .context = &patience};
    char path[96];
    unsigned stops = 0;
    enum vqct_status status;
    snprintf(run, sizeof run, "%s/%zu-stops", folder, i);
    snprintf(path, sizeof path, "%s/last.safetensors", run);
    while ((status = vqct_train(&settings, &hooks, &error)) == VQCT_INTERRUPTED) {
      stops++;
      settings.resume = access(path, F_OK) == 0;
      patience.most += patience.most / 4 + 20;
      atomic_store(&patience.asked, 0);
    }
    ck_assert_msg(status == VQCT_OK, "%s", error.message);
    ck_assert_uint_gt(stops, 5);
    ck_assert_int_eq(patience.validations, 2); /* after steps 2 and 3 */
    struct vqct_bytes stopped = read_checkpoint();
    ck_assert_msg(same(&straight, &stopped), "codes %d: another checkpoint", codes[i]);
    free(straight.data);
    free(stopped.data);
  }
}
END_TEST

START_TEST(hooks_may_be_missing) {
  struct vqct_train_hooks none = {0};
  settings.steps = 1;
  ck_assert_int_eq(vqct_train(&settings, &none, &error), VQCT_OK);
  settings.steps = 2;
  settings.resume = true;
  ck_assert_int_eq(vqct_train(&settings, NULL, &error), VQCT_OK);
}
END_TEST

int main(void) {
  TCase *cases = tcase_create("train");
  tcase_add_checked_fixture(cases, set_up, tear_down);
  tcase_set_timeout(cases, 600); /* of a sanitizer on a busy machine */
  tcase_add_test(cases, defaults_are_the_commands);
  tcase_add_test(cases, ranges_are_the_commands);
  tcase_add_test(cases, what_is_missing_is_named);
  tcase_add_test(cases, a_run_stops_goes_on_and_makes_a_model);
  tcase_add_test(cases, every_setting_counts);
  tcase_add_test(cases, a_run_may_stop_anywhere);
  tcase_add_test(cases, hooks_may_be_missing);
  return suite_run("train", cases);
}
