/* Anchors: their file, the colours that they name, and the gradients of what draws to them. */
#include <unistd.h>

#include "../suite.h"
#include "anchor_loss.h"
#include "gradient_check.h"
#include "presets.h"

static const char *const words[] = {"red", "blue", "gray", "red"}; /* the last one is a noun */
static const struct prior prior = {.adjectives = 3, .nouns = 1, .words = 4, .word = words};

static enum vqct_status read_text(const char *text, struct anchors *anchors,
                                  struct vqct_error *error) {
  char path[] = "/tmp/vqct-anchors-XXXXXX";
  int file = mkstemp(path);
  ck_assert_int_ge(file, 0);
  ck_assert_int_eq(write(file, text, strlen(text)), (ssize_t)strlen(text));
  close(file);
  enum vqct_status status = anchors_read(path, &prior, anchors, error);
  unlink(path);
  return status;
}

#define RED  "{\"word\": \"red\", \"chroma\": [40, 200], \"hue\": [350, 45]}"
#define BLUE "{\"word\": \"blue\", \"lightness\": [10, 60], \"hue\": [230, 310]}"

START_TEST(reads) {
  struct anchors anchors;
  struct vqct_error error;
  ck_assert_msg(read_text("[" BLUE "," RED "]", &anchors, &error) == VQCT_OK, "%s", error.message);
  ck_assert_uint_eq(anchors.count, 2);
  ck_assert_uint_eq(anchors.anchor[0].code, 1);
  ck_assert_uint_eq(anchors.anchor[1].code, 0);
  ck_assert_double_eq(anchors.anchor[0].lightness[1], 60);
  ck_assert_double_eq(anchors.anchor[0].chroma[1], 200);
  ck_assert_double_eq(anchors.anchor[1].hue[0], 350);
}
END_TEST

static const struct {
  const char *text, *message;
} refused[] = {
    {"[" RED, "line 1"},
    {"{}", "not an array of 2"},
    {"[" RED "]", "not an array of 2"},
    {"[" RED ", 3]", "anchor 1 is not an object"},
    {"[" RED ", {\"hue\": [1, 2]}]", "anchor 1 has no \"word\""},
    {"[" RED "," RED "]", "\"red\" stands twice"},
    {"[" RED ", {\"word\": \"mauve\"}]", "\"mauve\" is not an adjective"},
    {"[" RED ", {\"word\": \"gray\", \"light\": [1, 2]}]", "a key \"light\""},
    {"[" RED ", {\"word\": \"gray\", \"chroma\": [1]}]", "\"chroma\" is not two numbers"},
    {"[" RED ", {\"word\": \"gray\", \"hue\": [1, 361]}]", "\"hue\" is not two numbers"},
    {"[" RED ", {\"word\": \"gray\", \"lightness\": [-1, 9]}]", "\"lightness\" is not two numbers"},
    {"[" RED ", {\"word\": \"gray\", \"lightness\": [9, 1]}]", "first number is the greater"},
};

START_TEST(refuses) {
  struct anchors anchors;
  struct vqct_error error = {0};
  ck_assert_int_eq(read_text(refused[_i].text, &anchors, &error), VQCT_DATA);
  ck_assert_msg(strstr(error.message, refused[_i].message) != NULL, "%s", error.message);
}
END_TEST

/* L*a*b* as colour tables have it to two places, of pure colours coded as sRGB. */
static const struct {
  float rgb[3];
  struct lab lab;
  int name; /* of the anchors above, read in the order red, blue */
} colours[] = {
    {{1, -1, -1}, {53.24, 80.09, 67.20}, 0},
    {{-1, -1, 1}, {32.30, 79.19, -107.86}, 1},
    {{-1, 1, -1}, {87.73, -86.18, 83.18}, NO_ANCHOR},
    {{1, 1, 1}, {100, 0, 0}, NO_ANCHOR},
    {{-1, -1, -1}, {0, 0, 0}, NO_ANCHOR},
    {{2, -3, -1}, {53.24, 80.09, 67.20}, 0},                                          /* cut off */
    {{220 / 127.5F - 1, 20 / 127.5F - 1, 60 / 127.5F - 1}, {47.03, 70.92, 33.60}, 0}, /* crimson */
};

START_TEST(names) {
  struct anchors anchors;
  struct vqct_error error;
  ck_assert_int_eq(read_text("[" RED "," BLUE "]", &anchors, &error), VQCT_OK);
  struct lab lab = lab_of_rgb(colours[_i].rgb);
  ck_assert_double_eq_tol(lab.lightness, colours[_i].lab.lightness, 0.02);
  ck_assert_double_eq_tol(lab.a, colours[_i].lab.a, 0.02);
  ck_assert_double_eq_tol(lab.b, colours[_i].lab.b, 0.02);
  ck_assert_int_eq(anchors_name(&anchors, lab), colours[_i].name);
  ck_assert_int_eq(anchors_name(&anchors, (struct lab){50, 60, -5}), 0); /* hue 355 of 350 to 45 */
}
END_TEST

/* ---- the loss -------------------------------------------------------------------------------- */

enum { HEIGHT = 2, WIDTH = 3, SIDE = 2, CELLS = IMAGES * HEIGHT * WIDTH };

struct pulled {
  struct anchors anchors;
  struct quantizer quantizer;
  struct activation x, z;
};

static enum vqct_status pull(struct subject *subject, double *loss, float *dz, float *dcodes) {
  struct pulled *s = subject->state;
  s->z.data = subject->block[0].values;
  return anchor_loss(&s->anchors, &s->quantizer, subject->block[1].values, &s->x, &s->z, 1, loss,
                     dz, dcodes, &subject->place.exec);
}

static double pulled_value(struct subject *subject) {
  float *dz = take(subject, subject->block[0].count);
  double loss = 0;
  ck_assert_int_eq(pull(subject, &loss, dz, NULL), VQCT_OK);
  return loss;
}

static void pulled_derive(struct subject *subject) {
  double loss;
  ck_assert_int_eq(pull(subject, &loss, subject->block[0].gradient, subject->block[1].gradient),
                   VQCT_OK);
}

/* Cells red, blue and green in turn: a picture whose colours lie at single pixels' places. */
static void paint(const struct activation *x) {
  for (int i = 0; i < x->images * x->height * x->width; i++) {
    int row = i / x->width, column = i % x->width;
    int cell = row / SIDE * WIDTH + column / SIDE;
    for (int c = 0; c < 3; c++)
      x->data[3 * i + c] = c == cell % 3 ? 1.0F : -1.0F;
  }
}

/* Two pictures of coloured cells; block 0 is z, block 1 the codes, of d numbers each. */
static size_t open_pulled(struct subject *subject, struct pulled *s) {
  const struct model_config config = model_preset_find("vqct-tiny")->config;
  size_t d = (size_t)config.code_dimension;
  struct vqct_error error;
  *s = (struct pulled){
      .x = {.images = IMAGES, .height = HEIGHT * SIDE, .width = WIDTH * SIDE, .channels = 3},
      .z = {.images = IMAGES, .height = HEIGHT, .width = WIDTH, .channels = (int)(2 * d)}};
  open_subject(subject, "anchors", s, pulled_value, pulled_derive);
  ck_assert_int_eq(read_text("[" BLUE "," RED "]", &s->anchors, &error), VQCT_OK);
  s->x.data = take(subject, (size_t)CELLS * SIDE * SIDE * 3);
  paint(&s->x);
  add_block(subject, "z", CELLS * 2 * d);
  float *codes = add_block(subject, "codes", (size_t)model_config_codes(&config) * d);
  ck_assert_int_eq(quantizer_init(&s->quantizer, &config, codes, NULL), VQCT_OK);
  return d;
}

static void close_pulled(struct subject *subject, struct pulled *s) {
  quantizer_free(&s->quantizer);
  close_subject(subject);
}

START_TEST(draws) {
  struct subject subject;
  struct pulled s;
  size_t d = open_pulled(&subject, &s);
  /* Smooth, and summed in double: what is left is the rounding of gradients to float. */
  check_subject(&subject, 0.02, 2e-6);
  /* Green has no anchor: a third of the vectors stay, and so does every noun's half. */
  for (size_t t = 0; t < CELLS; t++)
    for (size_t i = 0; i < 2 * d; i++)
      ck_assert((subject.block[0].gradient[t * 2 * d + i] != 0) == (t % 3 != 1 && i < d));
  close_pulled(&subject, &s);
}
END_TEST

/* With both codes at 0 either is as near: the loss is log 2 at two positions of three. */
START_TEST(worth) {
  struct subject subject;
  struct pulled s;
  size_t d = open_pulled(&subject, &s);
  memset(subject.block[1].values, 0, 2 * d * sizeof(float));
  ck_assert_double_eq_tol(pulled_value(&subject), log(2) * 2 / 3, 1e-12);
  close_pulled(&subject, &s);
}
END_TEST

int main(void) {
  TCase *cases = tcase_create("anchors");
  tcase_add_test(cases, reads);
  tcase_add_loop_test(cases, refuses, 0, sizeof refused / sizeof *refused);
  tcase_add_loop_test(cases, names, 0, sizeof colours / sizeof *colours);
  tcase_add_test(cases, draws);
  tcase_add_test(cases, worth);
  return suite_run("anchors", cases);
}
