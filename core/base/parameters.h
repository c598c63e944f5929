/* Trained numbers by name, and where each lies in one flat block of floats: what network, transfer
 * and discriminator list, and what optimizer, model files and checkpoints read and write.
 */
#ifndef BASE_PARAMETERS_H
#define BASE_PARAMETERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What a parameter's first numbers are drawn from. */
struct parameter_start {
  enum { PARAMETER_CONSTANT, PARAMETER_UNIFORM, PARAMETER_NORMAL } kind;
  double mean;   /* of CONSTANT and NORMAL; UNIFORM has 0 */
  double spread; /* UNIFORM: between -spread and spread; NORMAL: the deviation */
};

struct parameter {
  char name[64]; /* as in PyTorch's state dict: "encoder.down.0.block.1.conv2.weight" */
  int dims;      /* 4: kernel of a convolution, O,I,K,K; 2: matrix; 1: vector */
  int shape[4];  /* unused ones are 1 */
  size_t count;  /* numbers: the product of the shape */
  size_t offset; /* of the first number in a flat block of floats */
  struct parameter_start start;
};

/** Empty where it is all zero. */
struct parameter_list {
  struct parameter *parameter;
  size_t count, capacity;
  size_t total;   /* numbers in all parameters: the length of a flat block */
  size_t largest; /* numbers in the largest parameter */
  bool failed;    /* memory ran out: some are missing. Whoever makes a list asks once at the end */
};

/** Adds a parameter behind the others and gives its number. shape: dims numbers. The name is cut
 * where it is longer than the record holds. */
size_t parameter_list_add(struct parameter_list *list, const char *name, int dims, const int *shape,
                          struct parameter_start start);

/** Frees and clears the list; it may be called again. */
void parameter_list_free(struct parameter_list *list);

/** The parameter of a name, NULL if there is none. */
const struct parameter *parameter_find(const struct parameter_list *list, const char *name);

/** Fills a flat block of list->total floats. Every parameter has its own stream of the seed, so its
 * values depend on its place in the list only. */
void parameters_initialize(const struct parameter_list *list, uint64_t seed, float *block);

#endif
