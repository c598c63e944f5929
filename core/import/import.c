/* The names are told first (import_names.h), then the architecture, and then every tensor that it
 * wants is taken and marked. What is missing, of another shape or left over becomes a list of
 * issues rather than a failure at the first, so that one run names all that is wrong with a file.
 */
#include "import.h"

#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "import_gumbel.h"
#include "import_hints.h"
#include "model_names.h"
#include "prior_edges.h"
#include "size.h"
#include "tensor_files.h"
#include "transfer.h"
#include "unfold.h"

/* What import_read works with. */
struct importing {
  const struct import_request *request;
  const struct exec *exec;
  struct import *import;
  const struct tensor_files *files;
  struct import_entries entries;
  size_t issue_room;
  bool exhausted;          /* an issue could not be kept */
  enum vqct_status damage; /* of a tensor's numbers, told in error */
  struct vqct_error *error;
};

static enum vqct_status exhausted(const struct importing *im) {
  return error_set(im->error, VQCT_MEMORY, "%s: memory is exhausted", im->request->path);
}

__attribute__((format(printf, 2, 3))) static void add_issue(struct importing *im,
                                                            const char *format, ...) {
  struct import *import = im->import;
  if (import->issues == im->issue_room) {
    size_t room = im->issue_room ? 2 * im->issue_room : 16;
    struct vqct_error *grown = realloc(import->issue, room * sizeof *grown);
    if (!grown) {
      im->exhausted = true;
      return;
    }
    import->issue = grown;
    im->issue_room = room;
  }
  char text[sizeof import->issue->message];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  error_set(&import->issue[import->issues++], VQCT_MODEL, "%s", text); /* no control characters */
}

/* A 1x1 convolution may stand there as a linear layer, O,I. */
static bool shape_fits(const struct tensor *tensor, int dims, const size_t *shape) {
  bool linear = dims == 4 && shape[2] == 1 && shape[3] == 1 && tensor_has_shape(tensor, 2, shape);
  return linear || tensor_has_shape(tensor, dims, shape);
}

/* The numbers of one wanted tensor into values, which are left alone where it does not fit. */
static void take(struct importing *im, const char *name, int dims, const size_t *shape,
                 float *values) {
  struct import_entry *entry = import_entry_find(&im->entries, name);
  if (!entry) {
    add_issue(im, "missing: %s, of shape %s", name, tensor_shape_text(dims, shape).text);
    return;
  }
  entry->used = true;
  if (entry->no_average && strncmp(name, "quantize.", 9) != 0) {
    add_issue(im, "missing: the average of %.100s", entry->tensor->name);
    return;
  }
  if (!shape_fits(entry->tensor, dims, shape))
    add_issue(im, "wrong shape: %.100s is %s, not %s", entry->tensor->name,
              tensor_shape_text(entry->tensor->dims, entry->tensor->shape).text,
              tensor_shape_text(dims, shape).text);
  else if (!tensor_type_is_float(entry->tensor->type))
    add_issue(im, "wrong type: %.100s is %s, not F16, BF16, F32 or F64", entry->tensor->name,
              tensor_type_name(entry->tensor->type));
  else if (!im->damage)
    im->damage = tensor_files_read(im->files, entry->index, values, im->error);
}

/* Numbers of a Gumbel VQGAN's quantizer: z and e of a row are those of the file. */
struct gumbel_sizes {
  size_t codes, vector, code, dimension;
};

static struct gumbel_sizes gumbel_sizes(const struct importing *im) {
  const struct model_config *config = &im->import->config;
  const struct import_entry *proj = import_entry_find(&im->entries, "quantize.proj.weight");
  struct gumbel_sizes s = {.codes = (size_t)config->nouns,
                           .dimension = (size_t)config->code_dimension};
  s.vector = proj && proj->tensor->dims > 1 ? proj->tensor->shape[1] : 0;
  s.vector = size_least(s.vector, s.dimension - 1);
  s.code = s.dimension - 1 - s.vector;
  return s;
}

/* quant_conv and post_quant_conv around rows of three parts. */
static enum vqct_status take_gumbel_convolutions(struct importing *im,
                                                 const struct parameter_list *list, float *block) {
  const struct gumbel_sizes s = gumbel_sizes(im);
  size_t z = (size_t)im->import->config.z_channels;
  float *in = block + parameter_find(list, "quant_conv.weight")->offset;
  float *bias = block + parameter_find(list, "quant_conv.bias")->offset;
  float *out = block + parameter_find(list, "post_quant_conv.weight")->offset;
  float *narrow = calloc(z * s.code + 1, sizeof *narrow);
  if (!narrow)
    return exhausted(im);
  take(im, "quant_conv.weight", 4, (size_t[]){s.vector, z, 1, 1}, in);
  take(im, "quant_conv.bias", 1, &s.vector, bias);
  bias[s.vector] = 1;
  take(im, "post_quant_conv.weight", 4, (size_t[]){z, s.code, 1, 1}, narrow);
  import_gumbel_spread(narrow, z, s.code, out, s.dimension, s.vector + 1);
  free(narrow);
  return VQCT_OK;
}

static enum vqct_status take_gumbel_codebook(struct importing *im) {
  const struct gumbel_sizes s = gumbel_sizes(im);
  float *weights = calloc(s.codes * s.vector + 1, sizeof *weights);
  float *biases = calloc(s.codes, sizeof *biases);
  float *table = calloc(s.codes * s.code + 1, sizeof *table);
  bool complete = weights && biases && table;
  if (complete) {
    take(im, "quantize.proj.weight", 4, (size_t[]){s.codes, s.vector, 1, 1}, weights);
    take(im, "quantize.proj.bias", 1, &s.codes, biases);
    take(im, "quantize.embed.weight", 2, (size_t[]){s.codes, s.code}, table);
    import_gumbel_rows(weights, biases, table, s.codes, s.vector, s.code, im->import->codebook);
  }
  free(weights);
  free(biases);
  free(table);
  return complete ? VQCT_OK : exhausted(im);
}

static bool is_gumbel_convolution(const struct importing *im, const char *name) {
  return im->entries.family == IMPORT_GUMBEL &&
         (strncmp(name, "quant_conv.", 11) == 0 || strcmp(name, "post_quant_conv.weight") == 0);
}

static void take_parameters(struct importing *im, const struct parameter_list *list, float *block) {
  for (size_t i = 0; i < list->count; i++) {
    const struct parameter *p = &list->parameter[i];
    size_t shape[4];
    if (is_gumbel_convolution(im, p->name))
      continue;
    for (int n = 0; n < 4; n++)
      shape[n] = (size_t)p->shape[n];
    take(im, p->name, p->dims, shape, block + p->offset);
  }
}

/* Cleared room for so many numbers, which a file of this size may well have. */
static enum vqct_status numbers_new(const struct importing *im, size_t count, float **numbers) {
  *numbers = NULL;
  if (count > unfold_most(tensor_files_bytes(im->files)) / sizeof **numbers)
    return error_set(im->error, VQCT_MODEL,
                     "%s: its shapes say %zu numbers, more than %d times what the file holds",
                     im->request->path, count, UNFOLD_RATIO);
  *numbers = calloc(count, sizeof **numbers);
  return *numbers ? VQCT_OK : exhausted(im);
}

static enum vqct_status take_weights(struct importing *im) {
  struct parameter_list list;
  enum vqct_status status = network_parameters(&im->import->config, &list, im->error);
  if (status)
    return status;
  status = numbers_new(im, list.total, &im->import->weights);
  if (status)
    goto done;
  take_parameters(im, &list, im->import->weights);
  if (im->entries.family == IMPORT_GUMBEL)
    status = take_gumbel_convolutions(im, &list, im->import->weights);
done:
  parameter_list_free(&list);
  return status;
}

static enum vqct_status take_plain_codebook(struct importing *im) {
  const struct model_config *config = &im->import->config;
  size_t shape[2] = {(size_t)config->nouns, (size_t)config->code_dimension};
  take(im, import_codebook_name(im->entries.family), 2, shape, im->import->codebook);
  return VQCT_OK;
}

/* The parameters of the transfer, and with them the codes, computed once. */
static enum vqct_status compute_codebook(struct importing *im, struct transfer *transfer) {
  const struct parameter_list *list = transfer_parameters(transfer);
  size_t issues = im->import->issues;
  float *values;
  enum vqct_status status = numbers_new(im, list->total, &values);
  if (status)
    return status;
  take_parameters(im, list, values);
  if (im->import->issues == issues)
    status = transfer_forward(transfer, values, false, 0, im->import->codebook, im->exec);
  free(values);
  return status ? exhausted(im) : VQCT_OK;
}

static enum vqct_status take_transfer(struct importing *im) {
  const struct model_config *config = &im->import->config;
  struct transfer_config transfer_config = {.kind = VQCT_CODES_GCN,
                                            .codes = im->request->prior->words,
                                            .code_dimension = (size_t)config->code_dimension};
  struct transfer *transfer = NULL;
  struct prior prior = *im->request->prior;
  struct prior_edge *edges;
  enum vqct_status status = prior_edges_released(&prior, &edges, &prior.edge_count, im->error);
  if (status)
    return status;
  prior.edges = edges;
  status = transfer_new(&transfer_config, &prior, im->exec, &transfer, im->error);
  free(edges);
  if (!status)
    status = compute_codebook(im, transfer);
  transfer_free(transfer);
  return status;
}

static enum vqct_status take_codebook(struct importing *im) {
  struct import *import = im->import;
  size_t count;
  if (!size_multiply((size_t)model_config_codes(&import->config),
                     (size_t)import->config.code_dimension, &count))
    return exhausted(im);
  enum vqct_status status = numbers_new(im, count, &import->codebook);
  if (status)
    return status;
  if (im->entries.family == IMPORT_GUMBEL)
    return take_gumbel_codebook(im);
  return import->config.quantizer == QUANTIZER_VQCT ? take_transfer(im) : take_plain_codebook(im);
}

static bool is_ignored(const struct import_request *request, const char *name) {
  for (size_t i = 0; i < request->ignored_patterns; i++)
    if (fnmatch(request->ignore[i], name, 0) == 0)
      return true;
  return false;
}

/* Numbers that cannot be had are told as what they are, not as missing. */
static enum vqct_status check_readable(const struct importing *im) {
  for (size_t i = 0; i < im->entries.count; i++) {
    const struct tensor *tensor = im->entries.entry[i].tensor;
    if (tensor->unread && !is_ignored(im->request, tensor->name))
      return error_set(im->error, VQCT_MODEL, "%s: \"%.100s\" is %s", im->request->path,
                       tensor->name, tensor->unread);
  }
  return VQCT_OK;
}

/* The request and the checkpoint must be of one kind. */
static enum vqct_status check_request(const struct importing *im) {
  const struct import_request *request = im->request;
  bool vqct = im->entries.family == IMPORT_VQCT;
  if (vqct && !request->prior)
    return error_set(im->error, VQCT_INVALID,
                     "%s: a VQCT checkpoint holds the graph network but not the words: give the "
                     "prior that it was trained with",
                     request->path);
  if (!vqct && request->prior)
    return error_set(im->error, VQCT_INVALID, "%s: a prior is for a VQCT checkpoint, this is %s",
                     request->path, import_family_name(im->entries.family));
  return VQCT_OK;
}

static enum vqct_status choose_config(const struct importing *im) {
  const struct import_request *request = im->request;
  struct model_config *config = &im->import->config;
  bool vqct = im->entries.family == IMPORT_VQCT;
  if (!request->config)
    return import_infer(request, &im->entries, config, im->error);
  *config = *request->config;
  snprintf(config->name, sizeof config->name, "%s", request->name);
  if ((config->quantizer == QUANTIZER_VQCT) != vqct)
    return error_set(im->error, VQCT_INVALID,
                     "%s: it is %s, but the configuration's quantizer is for another family",
                     request->path, import_family_name(im->entries.family));
  if (vqct && ((size_t)config->adjectives != request->prior->adjectives ||
               (size_t)config->nouns != request->prior->nouns))
    return error_set(im->error, VQCT_INVALID,
                     "%s: the configuration has %d adjectives and %d nouns, the prior %zu and %zu",
                     request->path, config->adjectives, config->nouns, request->prior->adjectives,
                     request->prior->nouns);
  enum vqct_status status = import_infer_distance(request, &im->entries, config, im->error);
  if (status)
    return status;
  status = model_config_check(config, im->error);
  return status ? error_prefix(im->error, "%s", request->path) : VQCT_OK;
}

static void report_unexpected(struct importing *im) {
  for (size_t i = 0; i < im->entries.count; i++) {
    const struct tensor *tensor = im->entries.entry[i].tensor;
    if (im->entries.entry[i].used)
      continue;
    if (is_ignored(im->request, tensor->name))
      im->import->ignored++;
    else
      add_issue(im, "unexpected: %.100s, of shape %s", tensor->name,
                tensor_shape_text(tensor->dims, tensor->shape).text);
  }
}

static enum vqct_status report(struct importing *im) {
  struct import *import = im->import;
  size_t wanted = import->issues;
  report_unexpected(im);
  if (im->exhausted)
    return exhausted(im);
  if (im->damage)
    return im->damage;
  if (!import->issues)
    return VQCT_OK;
  return error_set(im->error, VQCT_MODEL,
                   "%s: %.150s; taken as %s, %zu tensors are missing or of a wrong shape or type, "
                   "and %zu are unexpected",
                   im->request->path, import->issue[0].message, import_family_name(import->family),
                   wanted, import->issues - wanted);
}

/* All that the model is made of, once the names are known. */
static enum vqct_status take_all(struct importing *im) {
  enum vqct_status status = check_readable(im);
  if (status)
    return status;
  status = check_request(im);
  if (status)
    return status;
  status = choose_config(im);
  if (status)
    return status;
  if (im->entries.family == IMPORT_TAMING && im->import->config.distance == DISTANCE_DOT)
    im->import->family = IMPORT_IBQ;
  status = take_weights(im);
  if (status)
    return status;
  status = take_codebook(im);
  if (status)
    return status;
  return report(im);
}

static enum vqct_status read_entries(struct importing *im) {
  const struct import_source source = {.path = im->request->path,
                                       .tensors = tensor_files_tensors(im->files),
                                       .prefix = im->request->prefix,
                                       .averages = im->request->averages};
  enum vqct_status status = import_entries_init(&source, &im->entries, im->error);
  if (status)
    goto done;
  const char *hints = im->request->source_config;
  if (!hints)
    hints = tensor_files_config(im->files);
  if (hints && (status = import_hints_read(hints, &im->entries, im->error)) != VQCT_OK)
    goto done;
  im->import->family = im->entries.family;
  memcpy(im->import->prefix, im->entries.prefix, sizeof im->import->prefix);
  im->import->dropped = im->entries.dropped;
  im->import->others = im->entries.others;
  status = take_all(im);
done:
  import_entries_free(&im->entries);
  return status;
}

enum vqct_status import_read(const struct import_request *request, const struct exec *exec,
                             struct import *import, struct vqct_error *error) {
  struct importing im = {.request = request, .exec = exec, .import = import, .error = error};
  struct tensor_files *files;
  *import = (struct import){0};
  enum vqct_status status = tensor_files_open(request->path, &files, error);
  if (status)
    return status;
  im.files = files;
  status = tensor_files_metadata(files, MODEL_FORMAT_KEY)
               ? error_set(error, VQCT_INVALID, "%s: it is a vqct model already", request->path)
               : read_entries(&im);
  tensor_files_close(files);
  if (status)
    return status;
  import->content = (struct model_content){.config = &import->config,
                                           .weights = import->weights,
                                           .codebook = import->codebook,
                                           .words = request->prior ? request->prior->word : NULL};
  return VQCT_OK;
}

void import_free(struct import *import) {
  free(import->issue);
  free(import->weights);
  free(import->codebook);
  *import = (struct import){0};
}
