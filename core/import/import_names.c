#include "import_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

static const char *const family_names[] = {
#define FAMILY_NAME(name, text) text,
    IMPORT_FAMILY_MAP(FAMILY_NAME)
#undef FAMILY_NAME
};

const char *import_family_name(enum import_family family) {
  return family_names[family];
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

/* What follows; the last four are the names of diffusers before 0.15. */
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

static const struct rule no_rules[] = {{NULL, NULL}};

/* How each family is told from the others, tried in this order, and how its names are changed. */
static const struct family {
  enum import_family family;
  const char *sign;  /* some name begins so */
  const char *level; /* encoder level number # begins so */
  const struct rule *rules, *leaves;
} families[] = {
    {IMPORT_VQCT, "quantize.gcn.", "encoder.down.", no_rules, no_rules},
    {IMPORT_DIFFUSERS, "encoder.down_blocks.", "encoder.down_blocks.", diffusers_rules,
     diffusers_leaves},
    {IMPORT_LLAMAGEN, "encoder.conv_blocks.", "encoder.conv_blocks.", llamagen_rules, no_rules},
    {IMPORT_TAMING, "encoder.down.", "encoder.down.", no_rules, no_rules},
};

static const char *const dropped_names[] = {"loss.", "quantize.codebook_used"};

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
struct text {
  char *name;
  size_t used;
};

static void put(struct text *text, char c) {
  if (text->used < IMPORT_NAME_MAX)
    text->name[text->used++] = c;
}

static void put_all(struct text *text, const char *string) {
  for (; *string; string++)
    put(text, *string);
}

static void put_number(struct text *text, int number) {
  char digits[12];
  snprintf(digits, sizeof digits, "%d", number);
  put_all(text, digits);
}

static void put_pattern(struct text *text, const char *pattern, const int numbers[2], int levels) {
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
                         struct text *text) {
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
  struct text text = {result, 0};
  name = apply(family->rules, name, levels, &text);
  name = apply(family->leaves, name, levels, &text);
  put_all(&text, name);
  result[text.used < IMPORT_NAME_MAX ? text.used : IMPORT_NAME_MAX - 1] = '\0';
}

/* What stands before the network's names, such as "module."; the text is a name's beginning. */
struct prefix {
  const char *text;
  size_t length;
};

/* Every family has this convolution, so what stands before it is the prefix. */
static struct prefix find_prefix(const struct safetensors *file) {
  static const char first[] = "encoder.conv_in.weight";
  for (size_t i = 0; i < safetensors_count(file); i++) {
    const char *name = safetensors_tensor(file, i)->name;
    size_t length = strlen(name), tail = sizeof first - 1;
    if (length >= tail && strcmp(name + length - tail, first) == 0)
      return (struct prefix){name, length - tail};
  }
  return (struct prefix){"", 0};
}

static const char *bare_name(const struct safetensors *file, size_t index,
                             const struct prefix *prefix) {
  const char *name = safetensors_tensor(file, index)->name;
  return strncmp(name, prefix->text, prefix->length) == 0 ? name + prefix->length : name;
}

static const struct family *find_family(const struct safetensors *file, const struct prefix *prefix,
                                        int *levels) {
  const struct family *found = NULL;
  for (size_t f = 0; !found && f < sizeof families / sizeof *families; f++)
    for (size_t i = 0; !found && i < safetensors_count(file); i++)
      if (begins_with(bare_name(file, i, prefix), families[f].sign))
        found = &families[f];
  *levels = 0;
  for (size_t i = 0; found && i < safetensors_count(file); i++) {
    const char *name = bare_name(file, i, prefix);
    int level;
    if (!begins_with(name, found->level))
      continue;
    name += strlen(found->level);
    if (take_number(&name, &level) && level >= *levels)
      *levels = level + 1;
  }
  return found;
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

enum vqct_status import_entries_init(const char *path, const struct safetensors *file,
                                     struct import_entries *entries, struct vqct_error *error) {
  size_t count = safetensors_count(file);
  struct prefix prefix = find_prefix(file);
  *entries = (struct import_entries){0};
  int levels;
  const struct family *family = find_family(file, &prefix, &levels);
  if (!family)
    return error_set(error, VQCT_MODEL,
                     "%s: of no known family: no name begins with encoder.down, "
                     "encoder.down_blocks or encoder.conv_blocks",
                     path);
  entries->family = family->family;
  entries->entry = calloc(count, sizeof *entries->entry);
  if (!entries->entry)
    return error_set(error, VQCT_MEMORY, "%s: memory is exhausted", path);
  for (size_t i = 0; i < count; i++) {
    const char *name = bare_name(file, i, &prefix);
    if (is_dropped(name)) {
      entries->dropped++;
      continue;
    }
    struct import_entry *entry = &entries->entry[entries->count++];
    entry->tensor = safetensors_tensor(file, i);
    translate(family, levels, name, entry->name);
  }
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
