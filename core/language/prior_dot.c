/* Around the word: its strongest neighbours in the graph, a third as many of each of theirs in
 * grey, and its nearest in the embedding space, dashed. A word has one node however often it comes;
 * sfdp lays them out. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "neighbours.h"

#define RING_MOST 64 /* neighbours that are drawn around one word */

struct dot_drawing {
  const struct prior *prior;
  FILE *out;
  bool *drawn; /* N: the word has its node */
};

/* DOT's strings end at a quote; a backslash begins an escape. */
static void write_text(FILE *out, const char *text) {
  for (; *text; text++) {
    if (*text == '"' || *text == '\\')
      fputc('\\', out);
    fputc(*text, out);
  }
}

static void draw_word(struct dot_drawing *drawing, uint32_t row, bool centre) {
  const struct prior *prior = drawing->prior;
  if (drawing->drawn[row])
    return;
  drawing->drawn[row] = true;
  fprintf(drawing->out, "  n%u [label=\"", (unsigned)row);
  write_text(drawing->out, prior->word[row]);
  fprintf(drawing->out, "\", fillcolor=\"%s\"%s];\n",
          row < prior->adjectives ? "#cfe3f7" : "#fbe0c3",
          centre ? ", penwidth=2.5, fontsize=20" : "");
}

/* A line as thick as the logarithm of its weight. */
static void draw_edge(struct dot_drawing *drawing, uint32_t from, const struct neighbour *to,
                      bool second) {
  fprintf(drawing->out, "  n%u -- n%u [penwidth=%.2f%s", (unsigned)from, (unsigned)to->row,
          0.5 + 0.5 * log(to->strength), second ? ", color=\"#bbbbbb\"" : "");
  if (!second)
    fprintf(drawing->out, ", label=\"%.0f\"", to->strength);
  fputs("];\n", drawing->out);
}

/* The neighbours of a neighbour; the centre is one of them and already joined to it. */
static void draw_second_ring(struct dot_drawing *drawing, uint32_t centre, uint32_t row,
                             size_t most) {
  struct neighbour ring[RING_MOST];
  size_t all, count = prior_graph_neighbours(drawing->prior, row, ring, most, &all);
  for (size_t i = 0; i < count; i++) {
    if (ring[i].row == centre)
      continue;
    draw_word(drawing, ring[i].row, false);
    draw_edge(drawing, row, &ring[i], true);
  }
}

static void draw_nearest(struct dot_drawing *drawing, uint32_t centre, size_t most) {
  struct neighbour nearest[RING_MOST];
  bool adjective = centre < drawing->prior->adjectives;
  size_t count = prior_nearest(drawing->prior, centre, adjective, nearest, most);
  for (size_t i = 0; i < count; i++) {
    draw_word(drawing, nearest[i].row, false);
    fprintf(drawing->out,
            "  n%u -- n%u [style=dashed, color=\"#7a9f5a\", fontcolor=\"#7a9f5a\", "
            "label=\"%.2f\"];\n",
            (unsigned)centre, (unsigned)nearest[i].row, nearest[i].strength);
  }
}

enum vqct_status prior_write_dot(const struct prior *prior, uint32_t row, size_t most, FILE *out,
                                 struct vqct_error *error) {
  struct neighbour ring[RING_MOST];
  struct dot_drawing drawing = {prior, out, calloc(prior->words, sizeof(bool))};
  if (!drawing.drawn)
    return error_set(error, VQCT_MEMORY, "no memory to draw");
  if (most > RING_MOST)
    most = RING_MOST;
  size_t all, count = prior_graph_neighbours(prior, row, ring, most, &all), second = most / 3;
  fputs(
      "graph neighbourhood {\n"
      "  layout=sfdp; overlap=prism; splines=true; bgcolor=white; K=0.8; outputorder=edgesfirst;\n"
      "  node [shape=box, style=\"rounded,filled\", fontname=\"Helvetica\", color=\"#888888\"];\n"
      "  edge [fontname=\"Helvetica\", fontsize=9, color=\"#555555\"];\n",
      out);
  draw_word(&drawing, row, true);
  for (size_t i = 0; i < count; i++) {
    draw_word(&drawing, ring[i].row, false);
    draw_edge(&drawing, row, &ring[i], false);
  }
  for (size_t i = 0; i < count; i++)
    draw_second_ring(&drawing, row, ring[i].row, second);
  draw_nearest(&drawing, row, second);
  fputs("}\n", out);
  free(drawing.drawn);
  if (fflush(out) || ferror(out))
    return error_set(error, VQCT_WRITE, "the drawing cannot be written");
  return VQCT_OK;
}
