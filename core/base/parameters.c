/* A parameter's first numbers are drawn from the stream of its own number, so that what one begins
 * with depends on the seed and its place in the list, not on how many numbers those before it have.
 */
#include "parameters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rng.h"

static struct parameter *append(struct parameter_list *list) {
  if (list->count == list->capacity) {
    size_t capacity = list->capacity ? 2 * list->capacity : 32;
    struct parameter *grown = realloc(list->parameter, capacity * sizeof *grown);
    if (!grown) {
      list->failed = true;
      return NULL;
    }
    list->parameter = grown;
    list->capacity = capacity;
  }
  return &list->parameter[list->count++];
}

size_t parameter_list_add(struct parameter_list *list, const char *name, int dims, const int *shape,
                          struct parameter_start start) {
  size_t number = list->count;
  struct parameter *p = append(list);
  if (!p)
    return number;
  *p = (struct parameter){
      .dims = dims, .shape = {1, 1, 1, 1}, .count = 1, .offset = list->total, .start = start};
  snprintf(p->name, sizeof p->name, "%s", name);
  for (int i = 0; i < dims; i++) {
    p->shape[i] = shape[i];
    p->count *= (size_t)shape[i];
  }
  list->total += p->count;
  if (p->count > list->largest)
    list->largest = p->count;
  return number;
}

void parameter_list_free(struct parameter_list *list) {
  free(list->parameter);
  *list = (struct parameter_list){0};
}

const struct parameter *parameter_find(const struct parameter_list *list, const char *name) {
  for (size_t i = 0; i < list->count; i++)
    if (strcmp(list->parameter[i].name, name) == 0)
      return &list->parameter[i];
  return NULL;
}

/* The next number of a parameter. Its roundings are those of every file of training so far. */
static float first_value(const struct parameter_start *start, struct rng *rng) {
  switch (start->kind) {
  case PARAMETER_UNIFORM:
    return (float)(start->spread * (2 * (double)rng_uniform(rng) - 1));
  case PARAMETER_NORMAL:
    return (float)start->spread * rng_normal(rng) + (float)start->mean;
  case PARAMETER_CONSTANT:
    break;
  }
  return (float)start->mean;
}

void parameters_initialize(const struct parameter_list *list, uint64_t seed, float *block) {
  for (size_t i = 0; i < list->count; i++) {
    const struct parameter *p = &list->parameter[i];
    struct rng rng;
    rng_seed(&rng, seed, i);
    for (size_t n = 0; n < p->count; n++)
      block[p->offset + n] = first_value(&p->start, &rng);
  }
}
