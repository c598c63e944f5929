/* Gradients of layers and of the whole encoder and decoder, as gradient_check.h tells. */
#include "../suite.h"
#include "attention.h"
#include "attention_backward.h"
#include "blocks_backward.h"
#include "conv.h"
#include "gradient_check.h"
#include "network_parameters.h"
#include "norm.h"
#include "norm_backward.h"
#include "presets.h"

/* ---- convolutions ---------------------------------------------------------------------------- */

struct conv_case {
  const char *name;
  struct conv_shape shape; /* in, out, kernel, stride, pad before, pad after */
  int height, width;
  bool upsample;
};

static struct conv_input conv_case_input(const struct subject *subject) {
  const struct conv_case *c = subject->state;
  return (struct conv_input){.x = subject->block[0].values,
                             .images = IMAGES,
                             .height = c->height,
                             .width = c->width,
                             .upsample = c->upsample};
}

static size_t conv_case_outputs(const struct conv_case *c) {
  int scale = c->upsample ? 2 : 1;
  return (size_t)(IMAGES * conv_output_size(&c->shape, scale * c->height) *
                  conv_output_size(&c->shape, scale * c->width) * c->shape.out_channels);
}

static double conv_value(struct subject *subject) {
  const struct conv_case *c = subject->state;
  struct arena_mark mark = arena_mark(&subject->place.arena);
  size_t count = conv_case_outputs(c);
  struct conv *conv;
  ck_assert_int_eq(
      conv_new(&c->shape, subject->block[1].values, subject->block[2].values, NULL, &conv, NULL),
      VQCT_OK);
  struct conv_input input = conv_case_input(subject);
  struct conv_output output = {.y = take(subject, count)};
  ck_assert_int_eq(conv_forward(conv, &input, &output, &subject->place.exec), VQCT_OK);
  double value = weigh(subject, output.y, count);
  conv_free(conv);
  arena_release(&subject->place.arena, mark);
  return value;
}

static void conv_derive(struct subject *subject) {
  const struct conv_case *c = subject->state;
  const struct exec *exec = &subject->place.exec;
  int scale = c->upsample ? 2 : 1, height = scale * c->height, width = scale * c->width;
  size_t channels = (size_t)c->shape.in_channels;
  float *dread = take(subject, (size_t)(IMAGES * height * width) * channels);
  struct conv_input input = conv_case_input(subject);
  ck_assert_int_eq(conv_backward_input(&c->shape, subject->block[1].values, subject->weights,
                                       IMAGES, height, width, dread, exec),
                   VQCT_OK);
  ck_assert_int_eq(conv_backward_weight(&c->shape, &input, subject->weights,
                                        subject->block[1].gradient, subject->block[2].gradient,
                                        exec),
                   VQCT_OK);
  for (int row = 0; row < IMAGES * height; row++) /* every read position came from one of x */
    for (int column = 0; column < width; column++)
      for (size_t k = 0; k < channels; k++)
        subject->block[0]
            .gradient[(size_t)(row / scale * c->width + column / scale) * channels + k] +=
            dread[(size_t)(row * width + column) * channels + k];
}

static const struct conv_case conv_cases[] = {
    {"3x3", {5, 7, 3, 1, 1, 1}, 6, 9, false},
    {"3x3 by tiles", {48, 40, 3, 1, 1, 1}, 24, 20, false},
    {"1x1", {6, 10, 1, 1, 0, 0}, 5, 4, false},
    {"3x3, stride 2", {6, 9, 3, 2, 0, 1}, 8, 10, false},
    {"3x3 after upsampling", {8, 6, 3, 1, 1, 1}, 5, 6, true},
    {"4x4, stride 2", {4, 8, 4, 2, 1, 1}, 10, 12, false},
    {"4x4", {4, 3, 4, 1, 1, 1}, 7, 6, false},
};

START_TEST(convolutions) {
  struct conv_case c = conv_cases[_i];
  size_t kernel = (size_t)(c.shape.kernel * c.shape.kernel);
  struct subject subject;
  open_subject(&subject, c.name, &c, conv_value, conv_derive);
  add_block(&subject, "x", (size_t)(IMAGES * c.height * c.width * c.shape.in_channels));
  add_block(&subject, "weight", (size_t)(c.shape.out_channels * c.shape.in_channels) * kernel);
  add_block(&subject, "bias", (size_t)c.shape.out_channels);
  subject.weights = normal_floats(conv_case_outputs(&c), 1);
  check_subject(&subject, 0.1, 1e-4); /* linear in each, so the step may be large */
  close_subject(&subject);
}
END_TEST

/* ---- norm, swish, attention ------------------------------------------------------------------ */

enum { NORM_POSITIONS = 30, NORM_CHANNELS = 12, NORM_GROUPS = 4 };
#define NORM_COUNT ((size_t)IMAGES * NORM_POSITIONS * NORM_CHANNELS)

struct norm_state {
  bool swish;
  double sums[IMAGES * NORM_GROUPS], squares[IMAGES * NORM_GROUPS];
};

static double norm_value(struct subject *subject) {
  struct norm_state *s = subject->state;
  const struct exec *exec = &subject->place.exec;
  struct arena_mark mark = arena_mark(&subject->place.arena);
  float scale[IMAGES * NORM_CHANNELS], shift[IMAGES * NORM_CHANNELS];
  float *y = take(subject, NORM_COUNT);
  ck_assert_int_eq(group_norm_statistics(subject->block[0].values, IMAGES, NORM_POSITIONS,
                                         NORM_CHANNELS, NORM_GROUPS, s->sums, s->squares, exec),
                   VQCT_OK);
  group_norm_scale(s->sums, s->squares, subject->block[1].values, subject->block[2].values, IMAGES,
                   NORM_POSITIONS, NORM_CHANNELS, NORM_GROUPS, scale, shift);
  norm_apply(subject->block[0].values, IMAGES, NORM_POSITIONS, NORM_CHANNELS, scale, shift,
             s->swish, y, exec);
  double value = weigh(subject, y, NORM_COUNT);
  arena_release(&subject->place.arena, mark);
  return value;
}

static void norm_derive(struct subject *subject) {
  struct norm_state *s = subject->state;
  norm_value(subject); /* leaves the statistics */
  float *da = take(subject, NORM_COUNT);
  memcpy(da, subject->weights, NORM_COUNT * sizeof *da);
  const struct norm_pass pass = {.x = subject->block[0].values,
                                 .sums = s->sums,
                                 .squares = s->squares,
                                 .gamma = subject->block[1].values,
                                 .beta = subject->block[2].values,
                                 .images = IMAGES,
                                 .positions = NORM_POSITIONS,
                                 .channels = NORM_CHANNELS,
                                 .groups = NORM_GROUPS,
                                 .swish = s->swish};
  ck_assert_int_eq(group_norm_backward(&pass, da, NULL, subject->block[0].gradient,
                                       subject->block[1].gradient, subject->block[2].gradient,
                                       &subject->place.exec),
                   VQCT_OK);
}

START_TEST(group_norm) {
  struct norm_state state = {.swish = _i};
  struct subject subject;
  open_subject(&subject, _i ? "group norm and swish" : "group norm", &state, norm_value,
               norm_derive);
  add_block(&subject, "x", NORM_COUNT);
  add_block(&subject, "gamma", NORM_CHANNELS);
  add_block(&subject, "beta", NORM_CHANNELS);
  subject.weights = normal_floats(NORM_COUNT, 1);
  check_subject(&subject, 2e-2, 5e-5);
  close_subject(&subject);
}
END_TEST

enum { ATTENTION_POSITIONS = 70, ATTENTION_CHANNELS = 12 };
#define ATTENTION_COUNT ((size_t)IMAGES * ATTENTION_POSITIONS * ATTENTION_CHANNELS)

static double attention_value(struct subject *subject) {
  struct arena_mark mark = arena_mark(&subject->place.arena);
  float *y = take(subject, ATTENTION_COUNT);
  ck_assert_int_eq(attention_forward(subject->block[0].values, subject->block[1].values,
                                     subject->block[2].values, IMAGES, ATTENTION_POSITIONS,
                                     ATTENTION_CHANNELS, y, &subject->place.exec),
                   VQCT_OK);
  double value = weigh(subject, y, ATTENTION_COUNT);
  arena_release(&subject->place.arena, mark);
  return value;
}

static void attention_derive(struct subject *subject) {
  struct numbers *block = subject->block;
  ck_assert_int_eq(attention_backward(block[0].values, block[1].values, block[2].values,
                                      subject->weights, IMAGES, ATTENTION_POSITIONS,
                                      ATTENTION_CHANNELS, block[0].gradient, block[1].gradient,
                                      block[2].gradient, &subject->place.exec),
                   VQCT_OK);
}

START_TEST(attention) {
  struct subject subject;
  open_subject(&subject, "attention", NULL, attention_value, attention_derive);
  add_block(&subject, "query", ATTENTION_COUNT);
  add_block(&subject, "key", ATTENTION_COUNT);
  add_block(&subject, "value", ATTENTION_COUNT);
  subject.weights = normal_floats(ATTENTION_COUNT, 1);
  check_subject(&subject, 2e-2, 5e-5);
  close_subject(&subject);
}
END_TEST

/* ---- whole networks: residual blocks, attention blocks, down- and upsampling ----------------- */

struct network_state {
  struct parameter_list list;
  struct network *network;
  const struct chain *chain;
  float *values, *gradients; /* the list's flat block */
  int side, channels;        /* of x */
  size_t outputs;
};

static enum vqct_status get_values(void *context, int index, const float **values,
                                   struct vqct_error *error) {
  (void)error;
  const struct network_state *s = context;
  *values = s->values + s->list.parameter[index].offset;
  return VQCT_OK;
}

static double run_chain(struct subject *subject, struct block_tape *tape) {
  struct network_state *s = subject->state;
  const struct parameter_source source = {.get = get_values, .context = s, .precise = true};
  const struct activation x = {.data = subject->block[0].values,
                               .images = IMAGES,
                               .height = s->side,
                               .width = s->side,
                               .channels = s->channels};
  struct activation y;
  ck_assert_int_eq(network_load(s->network, &source, NULL, NULL), VQCT_OK);
  ck_assert_int_eq(chain_forward(s->chain, &x, &y, tape, &subject->place.exec, NULL), VQCT_OK);
  s->outputs = (size_t)IMAGES * activation_image_size(&y);
  return subject->weights ? weigh(subject, y.data, s->outputs) : 0;
}

static double network_value(struct subject *subject) {
  struct arena_mark mark = arena_mark(&subject->place.arena);
  double value = run_chain(subject, NULL);
  arena_release(&subject->place.arena, mark);
  return value;
}

static void network_derive(struct subject *subject) {
  struct network_state *s = subject->state;
  struct block_tape *tape =
      arena_calloc(&subject->place.arena, (size_t)s->chain->blocks, sizeof *tape);
  const struct parameter_gradients parameters = {&s->list, s->values, s->gradients};
  run_chain(subject, tape);
  ck_assert_int_eq(chain_backward(s->chain, tape, &parameters, subject->weights,
                                  subject->block[0].gradient, &subject->place.exec, NULL),
                   VQCT_OK);
}

/* Encoder, decoder, a decoder of spatial norms, and both with pixels moved into channels. Every
 * parameter is a block of its own: a wrong one cannot hide among the others. */
START_TEST(networks) {
  bool encoder = _i == 0 || _i == 3;
  const char *prefix[] = {encoder ? "encoder." : "decoder.", encoder ? "quant_conv" : "post_quant"};
  struct model_config config = model_preset_find("vqct-tiny")->config;
  config.spatial_norm = _i == 2;
  config.space_to_depth = config.upsample_changes_channels = _i >= 3;
  struct network_state s = {.side = encoder ? 16 : 4};
  struct subject subject;
  open_subject(&subject, encoder ? "encoder" : "decoder", &s, network_value, network_derive);
  ck_assert_int_eq(network_parameters(&config, &s.list, NULL), VQCT_OK);
  s.values = malloc(s.list.total * sizeof *s.values);
  s.gradients = calloc(s.list.total, sizeof *s.gradients);
  parameters_initialize(&s.list, 3, s.values);
  const struct parameter_source source = {.get = get_values, .context = &s, .precise = true};
  ck_assert_int_eq(network_new(&config, &s.list, &source, &s.network, NULL), VQCT_OK);
  s.chain = encoder ? &s.network->encoder : &s.network->decoder;
  s.channels = encoder ? config.image_channels : model_config_code_channels(&config);
  add_block(&subject, "x", (size_t)(IMAGES * s.side * s.side * s.channels));
  for (size_t i = 0; i < s.list.count; i++) {
    const struct parameter *p = &s.list.parameter[i];
    if (strncmp(p->name, prefix[0], strlen(prefix[0])) != 0 &&
        strncmp(p->name, prefix[1], strlen(prefix[1])) != 0)
      continue;
    ck_assert_int_lt(subject.blocks, BLOCKS_MAX);
    subject.block[subject.blocks++] =
        (struct numbers){p->name, p->count, s.values + p->offset, s.gradients + p->offset, true};
  }
  ck_assert_int_gt(subject.blocks, 40);
  network_value(&subject); /* tells how many outputs there are */
  subject.weights = normal_floats(s.outputs, 1);
  /* Some thirty layers deep, and parameters of little influence count too: rounding is what is
   * left, 2e-3 at most at this step and ten times that at a tenth of it. */
  check_subject(&subject, 0.1, 5e-3);
  close_subject(&subject);
  network_free(s.network);
  parameter_list_free(&s.list);
  free(s.values);
  free(s.gradients);
}
END_TEST

int main(void) {
  TCase *cases = tcase_create("layers");
  tcase_set_timeout(cases, 600); /* of a sanitizer on a busy machine */
  tcase_add_loop_test(cases, convolutions, 0, sizeof conv_cases / sizeof *conv_cases);
  tcase_add_loop_test(cases, group_norm, 0, 2);
  tcase_add_test(cases, attention);
  tcase_add_loop_test(cases, networks, 0, 5);
  return suite_run("gradients of layers", cases);
}
