/* Tables of rules: a family is a sign by which it is known, and the starts of its names with what
 * stands there instead. A name is rewritten once, start and leaf; what no rule knows stays as it is
 * and is reported by whoever finds no use for it. A further family is rows here and no code.
 */
#include "import_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "import_prefix.h"

static const char *const family_names[] = {
#define FAMILY_NAME(name, text) text,
    IMPORT_FAMILY_MAP(FAMILY_NAME)
#undef FAMILY_NAME
};

const char *import_family_name(enum import_family family) {
  return family_names[family];
}

const char *import_codebook_name(enum import_family family) {
  if (family == IMPORT_SHOWO)
    return "quantize.embedding";
  return family == IMPORT_GUMBEL ? "quantize.embed.weight" : "quantize.embedding.weight";
}

/* How a name begins, there and here. '#' is a number; '~' here is that number counted from the
 * other end of the levels, as families differ in which end of the decoder is 0. */
struct rule {
  const char *from, *to;
};

static const struct rule diffusers_rules[] = {
    {"encoder.down_blocks.#.resnets.#.", "encoder.down.#.block.#."},
    {"encoder.down_blocks.#.attentions.#.", "encoder.down.#.attn.#."},
    {"encoder.down_blocks.#.downsamplers.0.", "encoder.down.#.downsample."},
    {"encoder.mid_block.resnets.0.", "encoder.mid.block_1."},
    {"encoder.mid_block.attentions.0.", "encoder.mid.attn_1."},
    {"encoder.mid_block.resnets.1.", "encoder.mid.block_2."},
    {"encoder.conv_norm_out.", "encoder.norm_out."},
    {"decoder.up_blocks.#.resnets.#.", "decoder.up.~.block.#."},
    {"decoder.up_blocks.#.attentions.#.", "decoder.up.~.attn.#."},
    {"decoder.up_blocks.#.upsamplers.0.", "decoder.up.~.upsample."},
    {"decoder.mid_block.resnets.0.", "decoder.mid.block_1."},
    {"decoder.mid_block.attentions.0.", "decoder.mid.attn_1."},
    {"decoder.mid_block.resnets.1.", "decoder.mid.block_2."},
    {"decoder.conv_norm_out.", "decoder.norm_out."},
    {NULL, NULL},
};

/* What follows; four are the names of diffusers before 0.15. */
static const struct rule diffusers_leaves[] = {
    {"conv_shortcut.", "nin_shortcut."},
    {"group_norm.", "norm."},
    {"to_q.", "q."},
    {"to_k.", "k."},
    {"to_v.", "v."},
    {"to_out.0.", "proj_out."},
    {"query.", "q."},
    {"key.", "k."},
    {"value.", "v."},
    {"proj_attn.", "proj_out."},
    {"spatial_norm.", "norm."},
    {NULL, NULL},
};

static const struct rule llamagen_rules[] = {
    {"encoder.conv_blocks.#.res.#.", "encoder.down.#.block.#."},
    {"encoder.conv_blocks.#.attn.#.", "encoder.down.#.attn.#."},
    {"encoder.conv_blocks.#.downsample.", "encoder.down.#.downsample."},
    {"encoder.mid.0.", "encoder.mid.block_1."},
    {"encoder.mid.1.", "encoder.mid.attn_1."},
    {"encoder.mid.2.", "encoder.mid.block_2."},
    {"decoder.conv_blocks.#.res.#.", "decoder.up.~.block.#."},
    {"decoder.conv_blocks.#.attn.#.", "decoder.up.~.attn.#."},
    {"decoder.conv_blocks.#.upsample.", "decoder.up.~.upsample."},
    {"decoder.mid.0.", "decoder.mid.block_1."},
    {"decoder.mid.1.", "decoder.mid.attn_1."},
    {"decoder.mid.2.", "decoder.mid.block_2."},
    {NULL, NULL},
};

/* Its decoder counts its levels from the lowest resolution. */
static const struct rule janus_rules[] = {
    {"decoder.up.#.", "decoder.up.~."},
    {NULL, NULL},
};

static const struct rule showo_rules[] = {
    {"encoder.quant_conv.", "quant_conv."},
    {"decoder.post_quant_conv.", "post_quant_conv."},
    {NULL, NULL},
};

static const struct rule no_rules[] = {{NULL, NULL}};

/* How each family is told from the others, tried in this order, and how its names are changed. */
static const struct family {
  enum import_family family;
  const char *sign[2]; /* for each of them, some name begins so */
  const char *level;   /* encoder level number # begins so */
  const struct rule *rules, *leaves;
} families[] = {
    {IMPORT_VQCT, {"quantize.gcn.", ""}, "encoder.down.", no_rules, no_rules},
    {IMPORT_GUMBEL, {"quantize.proj.", "quantize.embed."}, "encoder.down.", no_rules, no_rules},
    {IMPORT_SHOWO, {"encoder.quant_conv.", ""}, "encoder.down.", showo_rules, no_rules},
    {IMPORT_DIFFUSERS,
     {"encoder.down_blocks.", ""},
     "encoder.down_blocks.",
     diffusers_rules,
     diffusers_leaves},
    {IMPORT_LLAMAGEN,
     {"encoder.conv_blocks.", ""},
     "encoder.conv_blocks.",
     llamagen_rules,
     no_rules},
    {IMPORT_MOVQ,
     {"encoder.down.", "decoder.norm_out.norm_layer."},
     "encoder.down.",
     no_rules,
     no_rules},
    {IMPORT_JANUS,
     {"encoder.down.", "decoder.up.0.upsample."},
     "encoder.down.",
     janus_rules,
     no_rules},
    {IMPORT_TAMING, {"encoder.down.", "decoder."}, "encoder.down.", no_rules, no_rules},
    {IMPORT_CHAMELEON, {"encoder.down.", ""}, "encoder.down.", no_rules, no_rules},
};

/* Of training: its loss, averages (which are read in place of the weights where they are asked
 * for), counters, and a mapping that the released VQCT registers and never uses. */
static const char *const dropped_names[] = {"loss.",
                                            "model_ema.",
                                            "ema_encoder.",
                                            "ema_decoder.",
                                            "ema_quantize.",
                                            "ema_quant_conv.",
                                            "ema_post_quant_conv.",
                                            "quantize.codebook_used",
                                            "quantize.code_book_mapping.",
                                            "quantize.embedding.cluster_size",
                                            "quantize.embedding.embed_avg",
                                            "quantize.power_vals"};

static bool begins_with(const char *text, const char *start) {
  return strncmp(text, start, strlen(start)) == 0;
}

/* One or two digits, which is more than any supported architecture needs. */
static bool take_number(const char **text, int *number) {
  int digits = 0;
  *number = 0;
  for (; **text >= '0' && **text <= '9' && digits < 2; (*text)++, digits++)
    *number = 10 * *number + (**text - '0');
  return digits > 0;
}

/* Whether name begins as the pattern says; *rest is what follows, numbers[] the '#'s. */
static bool match(const char *pattern, const char *name, int numbers[2], const char **rest) {
  int count = 0;
  for (; *pattern; pattern++) {
    if (*pattern == '#') {
      if (!take_number(&name, &numbers[count++]))
        return false;
    } else if (*pattern != *name++) {
      return false;
    }
  }
  *rest = name;
  return true;
}

/* A name under construction; what does not fit makes it too long, which no known name is. */
struct new_name {
  char *name;
  size_t used;
};

static void put(struct new_name *text, char c) {
  if (text->used < IMPORT_NAME_MAX)
    text->name[text->used++] = c;
}

static void put_all(struct new_name *text, const char *string) {
  for (; *string; string++)
    put(text, *string);
}

static void put_number(struct new_name *text, int number) {
  char digits[12];
  snprintf(digits, sizeof digits, "%d", number);
  put_all(text, digits);
}

static void put_pattern(struct new_name *text, const char *pattern, const int numbers[2],
                        int levels) {
  for (int count = 0; *pattern; pattern++) {
    if (*pattern == '#')
      put_number(text, numbers[count++]);
    else if (*pattern == '~')
      put_number(text, levels - 1 - numbers[count++]);
    else
      put(text, *pattern);
  }
}

/* Writes the start of a name that the first fitting rule gives and returns what follows. */
static const char *apply(const struct rule *rules, const char *name, int levels,
                         struct new_name *text) {
  for (; rules->from; rules++) {
    int numbers[2];
    const char *rest;
    if (!match(rules->from, name, numbers, &rest))
      continue;
    put_pattern(text, rules->to, numbers, levels);
    return rest;
  }
  return name;
}

static void translate(const struct family *family, int levels, const char *name,
                      char result[IMPORT_NAME_MAX]) {
  struct new_name text = {result, 0};
  name = apply(family->rules, name, levels, &text);
  name = apply(family->leaves, name, levels, &text);
  put_all(&text, name);
  result[text.used < IMPORT_NAME_MAX ? text.used : IMPORT_NAME_MAX - 1] = '\0';
}

/* What import_entries_init works with. */
struct renaming {
  const struct import_source *source;
  struct import_entries *entries;
  size_t prefix; /* its length */
  const struct family *family;
  int levels;
  bool averages;      /* they are taken, and stand beside the weights */
  bool part_averages; /* MoVQ's, which are of each part, not Lightning's of the whole */
};

/* The name without the prefix; NULL where it has another. */
static const char *bare_name(const struct renaming *r, size_t index) {
  const char *name = r->source->tensors.tensor[index].name;
  return strncmp(name, r->entries->prefix, r->prefix) == 0 ? name + r->prefix : NULL;
}

static bool any_begins_with(const struct renaming *r, const char *start) {
  for (size_t i = 0; i < r->source->tensors.count; i++) {
    const char *name = bare_name(r, i);
    if (name && begins_with(name, start))
      return true;
  }
  return false;
}

static void find_family(struct renaming *r) {
  for (size_t f = 0; !r->family && f < sizeof families / sizeof *families; f++)
    if (any_begins_with(r, families[f].sign[0]) && any_begins_with(r, families[f].sign[1]))
      r->family = &families[f];
  for (size_t i = 0; r->family && i < r->source->tensors.count; i++) {
    const char *name = bare_name(r, i);
    int level;
    if (!name || !begins_with(name, r->family->level))
      continue;
    name += strlen(r->family->level);
    if (take_number(&name, &level) && level >= r->levels)
      r->levels = level + 1;
  }
}

static bool is_dropped(const char *name) {
  for (size_t i = 0; i < sizeof dropped_names / sizeof *dropped_names; i++)
    if (begins_with(name, dropped_names[i]))
      return true;
  return false;
}

static int compare_entries(const void *a, const void *b) {
  return strcmp(((const struct import_entry *)a)->name, ((const struct import_entry *)b)->name);
}

/* The average of a weight stands under its name without the dots, but for one after MoVQ's part. */
static void use_average(const struct renaming *r, const char *name, struct import_entry *entry) {
  char average[IMPORT_PREFIX_MAX + 2 * IMPORT_NAME_MAX];
  int part = r->part_averages ? (int)strcspn(name, ".") : 0;
  size_t used = (size_t)snprintf(average, sizeof average, "%s%s%.*s.", r->entries->prefix,
                                 r->part_averages ? "ema_" : "model_ema", part, name);
  for (name += part; *name && used < sizeof average - 1; name++)
    if (*name != '.')
      average[used++] = *name;
  average[used] = '\0';
  size_t found = import_tensor_find(&r->source->tensors, average);
  entry->no_average = found == r->source->tensors.count;
  if (!entry->no_average) {
    entry->index = found;
    entry->tensor = &r->source->tensors.tensor[found];
  }
}

static void add_entries(struct renaming *r) {
  struct import_entries *entries = r->entries;
  for (size_t i = 0; i < r->source->tensors.count; i++) {
    const char *name = bare_name(r, i);
    if (!name || is_dropped(name)) {
      entries->others += !name;
      entries->dropped += name != NULL;
      continue;
    }
    struct import_entry *entry = &entries->entry[entries->count++];
    entry->tensor = &r->source->tensors.tensor[i];
    entry->index = i;
    translate(r->family, r->levels, name, entry->name);
    entries->decoder = entries->decoder || begins_with(entry->name, "decoder.");
    entries->spatial_norm = entries->spatial_norm || strstr(entry->name, ".norm_layer.") != NULL;
    if (r->averages)
      use_average(r, name, entry);
  }
}

/* What holds a tokenizer, and could not be looked into, is told first. */
static enum vqct_status no_family(const struct import_source *source, const char *prefix,
                                  struct vqct_error *error) {
  for (size_t i = 0; i < source->tensors.count; i++) {
    const struct tensor *tensor = &source->tensors.tensor[i];
    if (tensor->unread)
      return error_set(error, VQCT_MODEL, "%s: of no known family; \"%.100s\" is %s", source->path,
                       tensor->name, tensor->unread);
  }
  return error_set(error, VQCT_MODEL,
                   "%s: of no known family: no name begins with %sencoder.down, "
                   "encoder.down_blocks or encoder.conv_blocks",
                   source->path, prefix);
}

/* The family, which must be one that is read. */
static enum vqct_status choose_family(struct renaming *r, struct vqct_error *error) {
  const struct import_source *source = r->source;
  const char *prefix = r->entries->prefix;
  find_family(r);
  if (!r->family)
    return no_family(source, prefix, error);
  if (any_begins_with(r, "decoder.adaptive."))
    return error_set(error, VQCT_MODEL,
                     "%s: Open-MAGVIT2, which is not supported: its decoder scales by statistics "
                     "of all codes of a picture (%sdecoder.adaptive) and moves depth into space",
                     source->path, prefix);
  return VQCT_OK;
}

static enum vqct_status choose_averages(struct renaming *r, struct vqct_error *error) {
  const struct import_source *source = r->source;
  const char *prefix = r->entries->prefix;
  if (!source->averages)
    return VQCT_OK;
  r->part_averages = any_begins_with(r, "ema_encoder.");
  r->averages = r->part_averages || any_begins_with(r, "model_ema.encoder");
  if (!r->averages && !import_prefix_is_average(prefix))
    return error_set(error, VQCT_MODEL,
                     "%s: it has no averages, under %smodel_ema., ema_encoder. or ema.",
                     source->path, prefix);
  return VQCT_OK;
}

enum vqct_status import_entries_init(const struct import_source *source,
                                     struct import_entries *entries, struct vqct_error *error) {
  *entries = (struct import_entries){0};
  enum vqct_status status = import_prefix_find(source, entries->prefix, error);
  if (status)
    return status;
  struct renaming r = {.source = source, .entries = entries, .prefix = strlen(entries->prefix)};
  status = choose_family(&r, error);
  if (status)
    return status;
  entries->family = r.family->family;
  entries->euclidean = any_begins_with(&r, "quantize.embedding.embed_avg") ||
                       import_diffusion_is_beside(source, entries->prefix);
  status = choose_averages(&r, error);
  if (status)
    return status;
  entries->entry = calloc(source->tensors.count + 1, sizeof *entries->entry);
  if (!entries->entry)
    return error_set(error, VQCT_MEMORY, "%s: memory is exhausted", source->path);
  add_entries(&r);
  if (entries->count > 1)
    qsort(entries->entry, entries->count, sizeof *entries->entry, compare_entries);
  return VQCT_OK;
}

void import_entries_free(struct import_entries *entries) {
  free(entries->entry);
  *entries = (struct import_entries){0};
}

struct import_entry *import_entry_find(const struct import_entries *entries, const char *name) {
  struct import_entry key = {.tensor = NULL};
  snprintf(key.name, sizeof key.name, "%s", name);
  return entries->count ? bsearch(&key, entries->entry, entries->count, sizeof key, compare_entries)
                        : NULL;
}
