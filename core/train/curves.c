/* Small multiples: one panel a quantity, steps from left to right, a line for each series. A panel
 * whose values are all 0, as those of a loss that is off, is left out. */
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "atomic_file.h"
#include "error.h"
#include "mapped_file.h"
#include "metrics_log.h"

#define SERIES_MAX   3
#define POINTS_MAX   400 /* of a line; longer histories are averaged */
#define PANEL_WIDTH  380
#define PANEL_HEIGHT 210
#define COLUMNS      3
#define TICKS        5  /* of an axis, about */
#define TICKS_MAX    12 /* whatever the values are */

/* A key of a line, or after a slash one of validation. */
struct curve {
  const char *key, *label;
};

struct panel {
  const char *title;
  struct curve curve[SERIES_MAX];
};

static const struct panel panels[] = {
    {"pixel loss", {{"pixel", "training"}}},
    {"LPIPS", {{"perceptual", "training"}, {"/lpips", "validation"}}},
    {"codebook loss", {{"codebook", "training"}}},
    {"usage of the codes",
     {{"adjective_usage", "adjectives"}, {"noun_usage", "nouns"}, {"code_usage", "codes"}}},
    {"perplexity",
     {{"adjective_perplexity", "adjectives"},
      {"noun_perplexity", "nouns"},
      {"code_perplexity", "codes"}}},
    {"adversarial losses", {{"generator", "generator"}, {"discriminator", "discriminator"}}},
    {"PSNR of validation, dB", {{"/psnr", "validation"}}},
    {"SSIM of validation", {{"/ssim", "validation"}}},
    {"usage in validation",
     {{"/adjective_usage", "adjectives"}, {"/noun_usage", "nouns"}, {"/code_usage", "codes"}}},
};
#define PANELS (sizeof panels / sizeof *panels)

static const char *const colours[SERIES_MAX] = {"#1f77b4", "#d62728", "#2ca02c"};

struct point {
  double step, value;
};

struct drawn_curve {
  struct point *point;
  size_t count, capacity;
};

struct drawing {
  struct drawn_curve series[PANELS][SERIES_MAX];
  char *text;
  size_t size, capacity;
  bool failed; /* memory was short */
};

static void add_point(struct drawing *drawing, struct drawn_curve *series, double step,
                      double value) {
  if (series->count == series->capacity) {
    size_t capacity = series->capacity ? 2 * series->capacity : 256;
    struct point *point = realloc(series->point, capacity * sizeof *point);
    if (!point) {
      drawing->failed = true;
      return;
    }
    series->point = point;
    series->capacity = capacity;
  }
  series->point[series->count++] = (struct point){step, value};
}

static void read_line(struct drawing *drawing, const json_t *line) {
  const json_t *validation = json_object_get(line, "validation");
  double step = json_number_value(json_object_get(line, "step"));
  for (size_t p = 0; p < PANELS; p++)
    for (size_t s = 0; s < SERIES_MAX && panels[p].curve[s].key; s++) {
      const char *key = panels[p].curve[s].key;
      const json_t *value =
          *key == '/' ? json_object_get(validation, key + 1) : json_object_get(line, key);
      if (json_is_number(value))
        add_point(drawing, &drawing->series[p][s], step, json_number_value(value));
    }
}

static enum vqct_status read_lines(const char *path, struct drawing *drawing,
                                   struct vqct_error *error) {
  struct mapped_file file;
  enum vqct_status status = mapped_file_open(path, &file, error);
  if (status != VQCT_OK)
    return status;
  const char *at = (const char *)file.data;
  const char *end = at ? at + file.size : NULL;
  for (size_t number = 1; at != end && status == VQCT_OK; number++) {
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    size_t length = newline ? (size_t)(newline - at) : (size_t)(end - at);
    json_t *line = json_loadb(at, length, 0, NULL);
    if (line)
      read_line(drawing, line);
    else
      status = error_set(error, VQCT_DATA, "%s:%zu: not JSON", path, number);
    json_decref(line);
    at += length + (newline ? 1 : 0);
  }
  mapped_file_close(&file);
  return status;
}

/* ---- drawing --------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void put(struct drawing *drawing, const char *format,
                                                      ...) {
  va_list arguments;
  va_start(arguments, format);
  char piece[512];
  int length = vsnprintf(piece, sizeof piece, format, arguments);
  va_end(arguments);
  if (length < 0 || (size_t)length >= sizeof piece)
    return;
  if (drawing->size + (size_t)length >= drawing->capacity) {
    size_t capacity = 2 * (drawing->capacity + sizeof piece);
    char *text = realloc(drawing->text, capacity);
    if (!text) {
      drawing->failed = true;
      return;
    }
    drawing->text = text;
    drawing->capacity = capacity;
  }
  memcpy(drawing->text + drawing->size, piece, (size_t)length + 1);
  drawing->size += (size_t)length;
}

struct range {
  double least, most, last; /* values, and the last step */
};

static struct range range_of(const struct drawn_curve series[SERIES_MAX]) {
  struct range range = {INFINITY, -INFINITY, 1};
  for (size_t s = 0; s < SERIES_MAX; s++)
    for (size_t i = 0; i < series[s].count; i++) {
      range.least = fmin(range.least, series[s].point[i].value);
      range.most = fmax(range.most, series[s].point[i].value);
      range.last = fmax(range.last, series[s].point[i].step);
    }
  if (range.most <= range.least) { /* a flat line, or none */
    range.least = isfinite(range.least) ? range.least - 0.5 : 0;
    range.most = range.least + 1;
  }
  return range;
}

static void draw_series(struct drawing *drawing, const struct drawn_curve *series,
                        const struct range *range, const char *colour, double left, double top) {
  size_t every = (series->count + POINTS_MAX - 1) / POINTS_MAX;
  put(drawing, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.3\" points=\"", colour);
  for (size_t i = 0; i < series->count; i += every) {
    double step = 0, value = 0;
    size_t end = i + every < series->count ? i + every : series->count;
    for (size_t k = i; k < end; k++) {
      step += series->point[k].step / (double)(end - i);
      value += series->point[k].value / (double)(end - i);
    }
    put(drawing, "%.1f,%.1f ", left + (PANEL_WIDTH - 70) * step / range->last,
        top + (PANEL_HEIGHT - 60) * (range->most - value) / (range->most - range->least));
  }
  put(drawing, "\"/>\n");
}

/* The distance of ticks over a length: 1, 2 or 5 times a power of ten. */
static double tick_distance(double length) {
  double power = pow(10, floor(log10(length / TICKS))), times = length / TICKS / power;
  return power * (times <= 1 ? 1 : times <= 2 ? 2 : times <= 5 ? 5 : 10);
}

/* Lines across the panel at round values, with numbers to the left, and marks below it at round
 * steps. */
static void draw_ticks(struct drawing *drawing, const struct range *range, double left,
                       double top) {
  double right = left + PANEL_WIDTH - 70, bottom = top + PANEL_HEIGHT - 60;
  double length = range->most - range->least, each = tick_distance(length);
  double first = ceil(range->least / each);
  for (int i = 0; i <= TICKS_MAX && (first + i) * each <= range->most; i++) {
    double value = (first + i) * each;
    double y = top + (PANEL_HEIGHT - 60) * (range->most - value) / length;
    put(drawing,
        "<line class=\"tick\" x1=\"%.0f\" y1=\"%.1f\" x2=\"%.0f\" y2=\"%.1f\" stroke=\"#ddd\"/>\n"
        "<text x=\"%.0f\" y=\"%.1f\" text-anchor=\"end\">%.4g</text>\n",
        left, y, right, y, left - 4, y + 4, value);
  }
  each = fmax(tick_distance(range->last), 1);
  for (int i = 0; i <= TICKS_MAX && i * each <= range->last; i++) {
    double x = left + (PANEL_WIDTH - 70) * i * each / range->last;
    put(drawing,
        "<line class=\"tick\" x1=\"%.1f\" y1=\"%.0f\" x2=\"%.1f\" y2=\"%.0f\" stroke=\"#999\"/>\n"
        "<text x=\"%.1f\" y=\"%.0f\" text-anchor=\"middle\">%.0f</text>\n",
        x, bottom, x, bottom + 4, x, bottom + 14, i * each);
  }
}

/* Whether a panel has anything but zeros. */
static bool has_values(const struct drawn_curve series[SERIES_MAX]) {
  for (size_t s = 0; s < SERIES_MAX; s++)
    for (size_t i = 0; i < series[s].count; i++)
      if (series[s].point[i].value != 0)
        return true;
  return false;
}

/* Panel p at its place among those that are drawn. */
static void draw_panel(struct drawing *drawing, size_t p, size_t place) {
  const struct drawn_curve *series = drawing->series[p];
  struct range range = range_of(series);
  double left = (double)(place % COLUMNS) * PANEL_WIDTH + 55;
  double top = (double)(place / COLUMNS) * PANEL_HEIGHT + 25;
  double bottom = top + PANEL_HEIGHT - 60;
  draw_ticks(drawing, &range, left, top);
  put(drawing,
      "<text x=\"%.0f\" y=\"%.0f\" font-weight=\"bold\">%s</text>\n"
      "<rect x=\"%.0f\" y=\"%.0f\" width=\"%d\" height=\"%d\" fill=\"none\" stroke=\"#999\"/>\n",
      left, top - 7, panels[p].title, left, top, PANEL_WIDTH - 70, PANEL_HEIGHT - 60);
  for (size_t s = 0; s < SERIES_MAX; s++)
    if (series[s].count)
      draw_series(drawing, &series[s], &range, colours[s], left, top);
  /* One text: whoever draws it knows how wide the labels are. */
  put(drawing, "<text x=\"%.0f\" y=\"%.0f\">", left + 4, bottom + 28);
  for (size_t s = 0, shown = 0; s < SERIES_MAX; s++)
    if (series[s].count)
      put(drawing, "<tspan%s fill=\"%s\">%s</tspan>", shown++ ? " dx=\"12\"" : "", colours[s],
          panels[p].curve[s].label);
  put(drawing, "</text>\n");
}

static void draw_panels(struct drawing *drawing) {
  size_t shown = 0;
  for (size_t p = 0; p < PANELS; p++)
    shown += has_values(drawing->series[p]);
  int height = (int)((shown + COLUMNS - 1) / COLUMNS) * PANEL_HEIGHT;
  put(drawing,
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
      "font-family=\"sans-serif\" font-size=\"11\">\n"
      "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
      COLUMNS * PANEL_WIDTH, height);
  for (size_t p = 0, place = 0; p < PANELS; p++)
    if (has_values(drawing->series[p]))
      draw_panel(drawing, p, place++);
  put(drawing, "</svg>\n");
}

enum vqct_status curves_draw(const char *metrics, const char *svg, struct vqct_error *error) {
  struct drawing *drawing = calloc(1, sizeof *drawing);
  if (!drawing)
    return error_set(error, VQCT_MEMORY, "no memory to draw %s", svg);
  enum vqct_status status = read_lines(metrics, drawing, error);
  if (status != VQCT_OK)
    goto done;
  draw_panels(drawing);
  status = drawing->failed ? error_set(error, VQCT_MEMORY, "no memory to draw %s", svg)
                           : atomic_file_save(svg, drawing->text, drawing->size, error);
done:
  for (size_t p = 0; p < PANELS; p++)
    for (size_t s = 0; s < SERIES_MAX; s++)
      free(drawing->series[p][s].point);
  free(drawing->text);
  free(drawing);
  return status;
}
