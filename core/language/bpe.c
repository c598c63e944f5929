/* Tokens are known by the numbers of a word_table of their texts (symbols); `id` turns a symbol
 * into the vocabulary's number. Merges lie in an array sorted by pair of symbols. */
#include "bpe.h"

#include <stdlib.h>
#include <string.h>

#include "bpe_split.h"
#include "error.h"
#include "json_stream.h"
#include "utf8.h"
#include "word_table.h"

#define LINE_MAX_BYTES ((size_t)1024)
#define END_OF_WORD    "</w>"

struct merge {
  uint64_t pair; /* left symbol << 32 | right symbol */
  uint32_t rank; /* its place in the file: the lowest merges first */
  uint32_t result;
};

struct bpe {
  struct word_table symbols;
  uint32_t *id; /* of a symbol */
  size_t id_capacity;
  struct merge *merge;
  size_t merges, merge_capacity;
  uint32_t byte_symbol[2][256]; /* [1]: the last of a word */
  uint32_t start, end;          /* ids */
};

/* ---- reading the vocabulary ------------------------------------------------------------------ */

static enum vqct_status add_token(struct bpe *bpe, const struct byte_stream *file,
                                  struct json_stream *json, struct vqct_error *error) {
  size_t length;
  uint32_t symbol, before = bpe->symbols.count;
  const char *text = json_stream_text(json, &length);
  if (before == BPE_TOKENS_MAX)
    return error_set(error, VQCT_LIMIT, "%s: more than %zu tokens", byte_stream_name(file),
                     BPE_TOKENS_MAX);
  if (memchr(text, 0, length))
    return json_stream_fault(json, "a token without a zero byte", error);
  if (!word_table_add(&bpe->symbols, text, length, &symbol))
    return error_set(error, VQCT_MEMORY, "%s: no memory for its tokens", byte_stream_name(file));
  if (symbol != before)
    return json_stream_fault(json, "a token that was not there before", error);
  if (symbol == bpe->id_capacity) {
    size_t capacity = bpe->id_capacity ? 2 * bpe->id_capacity : 1024;
    uint32_t *id = realloc(bpe->id, capacity * sizeof *id);
    if (!id)
      return error_set(error, VQCT_MEMORY, "%s: no memory for its tokens", byte_stream_name(file));
    bpe->id = id;
    bpe->id_capacity = capacity;
  }
  enum json_event event;
  enum vqct_status status = json_stream_next(json, &event, error);
  if (status != VQCT_OK)
    return status;
  double number = event == JSON_EVENT_NUMBER ? json_stream_number(json) : -1;
  if (!(number >= 0 && number < (double)BPE_TOKENS_MAX && number == (double)(uint32_t)number))
    return json_stream_fault(json, "the number of a token", error);
  bpe->id[symbol] = (uint32_t)number;
  return VQCT_OK;
}

static enum vqct_status read_tokens(struct bpe *bpe, const struct byte_stream *file,
                                    struct json_stream *json, struct vqct_error *error) {
  enum json_event event;
  enum vqct_status status = json_stream_next(json, &event, error);
  if (status != VQCT_OK)
    return status;
  if (event != JSON_EVENT_OBJECT_BEGIN)
    return json_stream_fault(json, "an object of tokens", error);
  for (;;) {
    status = json_stream_next(json, &event, error);
    if (status != VQCT_OK)
      return status;
    if (event == JSON_EVENT_OBJECT_END)
      return json_stream_next(json, &event, error); /* nothing follows */
    status = add_token(bpe, file, json, error);
    if (status != VQCT_OK)
      return status;
  }
}

/* Ids must be the numbers 0 to count - 1, each once. */
static enum vqct_status check_ids(const struct bpe *bpe, const struct byte_stream *file,
                                  struct vqct_error *error) {
  size_t count = bpe->symbols.count;
  bool *seen = calloc(count + 1, sizeof *seen);
  if (!seen)
    return error_set(error, VQCT_MEMORY, "%s: no memory for its tokens", byte_stream_name(file));
  enum vqct_status status = VQCT_OK;
  for (size_t i = 0; i < count && status == VQCT_OK; i++) {
    if (bpe->id[i] >= count || seen[bpe->id[i]])
      status =
          error_set(error, VQCT_DATA, "%s: %zu tokens, but number %u is %s", byte_stream_name(file),
                    count, bpe->id[i], bpe->id[i] >= count ? "larger" : "there twice");
    else
      seen[bpe->id[i]] = true;
  }
  free(seen);
  return status;
}

static enum vqct_status find_token(const struct bpe *bpe, const struct byte_stream *file,
                                   const char *text, uint32_t *id, struct vqct_error *error) {
  uint32_t symbol = word_table_find(&bpe->symbols, text, strlen(text));
  if (symbol == WORD_NONE)
    return error_set(error, VQCT_DATA, "%s: has no token '%s'", byte_stream_name(file), text);
  *id = bpe->id[symbol];
  return VQCT_OK;
}

/* GPT-2's alphabet: printable bytes of Latin-1 stand for themselves, the other 68 for U+0100 on. */
static enum vqct_status find_bytes(struct bpe *bpe, const struct byte_stream *file,
                                   struct vqct_error *error) {
  unsigned others = 0;
  for (unsigned byte = 0; byte < 256; byte++) {
    bool itself = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    unsigned point = itself ? byte : 0x100 + others++;
    char text[2 + sizeof END_OF_WORD];
    size_t length = 0;
    if (point >= 0x80)
      text[length++] = (char)(0xc0 | point >> 6);
    text[length++] = (char)(point >= 0x80 ? 0x80 | (point & 0x3f) : point);
    bpe->byte_symbol[0][byte] = word_table_find(&bpe->symbols, text, length);
    memcpy(text + length, END_OF_WORD, sizeof END_OF_WORD);
    length += sizeof END_OF_WORD - 1;
    bpe->byte_symbol[1][byte] = word_table_find(&bpe->symbols, text, length);
    if (bpe->byte_symbol[0][byte] == WORD_NONE || bpe->byte_symbol[1][byte] == WORD_NONE)
      return error_set(error, VQCT_DATA, "%s: has no token for byte 0x%02x%s",
                       byte_stream_name(file), byte,
                       bpe->byte_symbol[0][byte] == WORD_NONE ? "" : " at the end of a word");
  }
  return VQCT_OK;
}

static enum vqct_status read_vocabulary(struct bpe *bpe, struct byte_stream *file,
                                        struct vqct_error *error) {
  struct json_stream *json;
  enum vqct_status status = json_stream_open(file, &json, error);
  if (status != VQCT_OK)
    return status;
  status = read_tokens(bpe, file, json, error);
  json_stream_close(json);
  if (status != VQCT_OK)
    return status;
  status = check_ids(bpe, file, error);
  if (status != VQCT_OK)
    return status;
  status = find_bytes(bpe, file, error);
  if (status != VQCT_OK)
    return status;
  status = find_token(bpe, file, "<|startoftext|>", &bpe->start, error);
  if (status != VQCT_OK)
    return status;
  return find_token(bpe, file, "<|endoftext|>", &bpe->end, error);
}

/* ---- reading the merges ---------------------------------------------------------------------- */

static enum vqct_status add_merge(struct bpe *bpe, const struct byte_stream *file,
                                  const struct text_line *line, struct vqct_error *error) {
  const char *space = memchr(line->text, ' ', line->length);
  const char *end = line->text + line->length;
  char joined[LINE_MAX_BYTES];
  if (!space || line->cut || line->length > sizeof joined ||
      memchr(space + 1, ' ', (size_t)(end - space - 1)))
    return error_set(error, VQCT_DATA, "%s:%llu: expected two tokens with a space between",
                     byte_stream_name(file), (unsigned long long)line->number);
  size_t left_length = (size_t)(space - line->text), right_length = (size_t)(end - space - 1);
  memcpy(joined, line->text, left_length);
  memcpy(joined + left_length, space + 1, right_length);
  uint32_t left = word_table_find(&bpe->symbols, line->text, left_length);
  uint32_t right = word_table_find(&bpe->symbols, space + 1, right_length);
  uint32_t result = word_table_find(&bpe->symbols, joined, left_length + right_length);
  if (left == WORD_NONE || right == WORD_NONE || result == WORD_NONE)
    return error_set(error, VQCT_DATA, "%s:%llu: the vocabulary has no token for %s",
                     byte_stream_name(file), (unsigned long long)line->number,
                     left == WORD_NONE    ? "the left part"
                     : right == WORD_NONE ? "the right part"
                                          : "the result");
  if (bpe->merges == bpe->merge_capacity) {
    size_t capacity = bpe->merge_capacity ? 2 * bpe->merge_capacity : 1024;
    struct merge *merge = realloc(bpe->merge, capacity * sizeof *merge);
    if (!merge)
      return error_set(error, VQCT_MEMORY, "%s: no memory for its merges", byte_stream_name(file));
    bpe->merge = merge;
    bpe->merge_capacity = capacity;
  }
  bpe->merge[bpe->merges] =
      (struct merge){(uint64_t)left << 32 | right, (uint32_t)bpe->merges, result};
  bpe->merges++;
  return VQCT_OK;
}

static int by_pair(const void *a, const void *b) {
  const struct merge *left = a, *right = b;
  return (left->pair > right->pair) - (left->pair < right->pair);
}

static enum vqct_status read_merges(struct bpe *bpe, struct byte_stream *file,
                                    struct vqct_error *error) {
  struct text_line line;
  for (;;) {
    enum vqct_status status = byte_stream_line(file, &line, error);
    if (status != VQCT_OK)
      return status;
    if (!line.text)
      break;
    if (!line.length || (line.number == 1 && !strncmp(line.text, "#version", 8)))
      continue;
    if (bpe->merges == BPE_TOKENS_MAX)
      return error_set(error, VQCT_LIMIT, "%s:%llu: more than %zu merges", byte_stream_name(file),
                       (unsigned long long)line.number, BPE_TOKENS_MAX);
    if ((status = add_merge(bpe, file, &line, error)) != VQCT_OK)
      return status;
  }
  if (bpe->merges)
    qsort(bpe->merge, bpe->merges, sizeof *bpe->merge, by_pair);
  for (size_t i = 1; i < bpe->merges; i++)
    if (bpe->merge[i].pair == bpe->merge[i - 1].pair)
      return error_set(error, VQCT_DATA, "%s: merges '%s' and '%s' twice", byte_stream_name(file),
                       word_table_text(&bpe->symbols, (uint32_t)(bpe->merge[i].pair >> 32)),
                       word_table_text(&bpe->symbols, (uint32_t)bpe->merge[i].pair));
  return VQCT_OK;
}

enum vqct_status bpe_read(struct byte_stream *vocabulary, struct byte_stream *merges,
                          struct bpe **result, struct vqct_error *error) {
  *result = NULL;
  struct bpe *bpe = calloc(1, sizeof *bpe);
  if (!bpe)
    return error_set(error, VQCT_MEMORY, "%s: no memory to read it", byte_stream_name(vocabulary));
  enum vqct_status status = read_vocabulary(bpe, vocabulary, error);
  if (status != VQCT_OK)
    goto failed;
  status = read_merges(bpe, merges, error);
  if (status != VQCT_OK)
    goto failed;
  *result = bpe;
  return VQCT_OK;
failed:
  bpe_close(bpe);
  return status;
}

enum vqct_status bpe_open(const char *vocabulary_path, const char *merges_path, struct bpe **bpe,
                          struct vqct_error *error) {
  *bpe = NULL;
  struct byte_stream *vocabulary = NULL, *merges = NULL;
  enum vqct_status status = byte_stream_open(vocabulary_path, LINE_MAX_BYTES, &vocabulary, error);
  if (status != VQCT_OK)
    return status;
  status = byte_stream_open(merges_path, LINE_MAX_BYTES, &merges, error);
  if (status == VQCT_OK)
    status = bpe_read(vocabulary, merges, bpe, error);
  byte_stream_close(merges);
  byte_stream_close(vocabulary);
  return status;
}

void bpe_close(struct bpe *bpe) {
  if (!bpe)
    return;
  free(bpe->merge);
  free(bpe->id);
  word_table_free(&bpe->symbols);
  free(bpe);
}

size_t bpe_tokens(const struct bpe *bpe) {
  return bpe->symbols.count;
}

/* ---- encoding -------------------------------------------------------------------------------- */

static const struct merge *find_merge(const struct bpe *bpe, uint32_t left, uint32_t right) {
  struct merge key = {.pair = (uint64_t)left << 32 | right};
  return bpe->merges ? bsearch(&key, bpe->merge, bpe->merges, sizeof key, by_pair) : NULL;
}

/* Joins neighbours in place, the lowest rank first and there the leftmost; returns how many symbols
 * are left. */
static size_t join_symbols(const struct bpe *bpe, uint32_t *symbols, size_t count) {
  for (;;) {
    const struct merge *best = NULL;
    for (size_t i = 0; i + 1 < count; i++) {
      const struct merge *merge = find_merge(bpe, symbols[i], symbols[i + 1]);
      if (merge && (!best || merge->rank < best->rank))
        best = merge;
    }
    if (!best)
      return count;
    uint32_t left = (uint32_t)(best->pair >> 32), right = (uint32_t)best->pair;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
      bool joins = i + 1 < count && symbols[i] == left && symbols[i + 1] == right;
      symbols[kept++] = joins ? best->result : symbols[i];
      i += joins;
    }
    count = kept;
  }
}

enum vqct_status bpe_encode(const struct bpe *bpe, const char *text, uint32_t *tokens, size_t most,
                            size_t *count, struct vqct_error *error) {
  char lower[BPE_TEXT_MAX];
  uint32_t symbols[BPE_TEXT_MAX];
  size_t length = strlen(text), at = 0, used = 0, word_length;
  const char *word;
  *count = 0;
  if (length > BPE_TEXT_MAX)
    return error_set(error, VQCT_LIMIT, "a text of over %zu bytes", BPE_TEXT_MAX);
  if (!utf8_is_valid(text, length))
    return error_set(error, VQCT_INVALID, "'%.40s' is not UTF-8", text);
  memcpy(lower, text, length);
  length = utf8_lower(lower, length);
  if (used < most)
    tokens[used] = bpe->start;
  used++;
  while (bpe_split(lower, length, &at, &word, &word_length)) {
    for (size_t i = 0; i < word_length; i++)
      symbols[i] = bpe->byte_symbol[i + 1 == word_length][(unsigned char)word[i]];
    size_t joined = join_symbols(bpe, symbols, word_length);
    for (size_t i = 0; i < joined; i++, used++)
      if (used < most)
        tokens[used] = bpe->id[symbols[i]];
  }
  if (used < most)
    tokens[used] = bpe->end;
  used++;
  if (used > most)
    return error_set(error, VQCT_LIMIT, "'%.40s' has %zu tokens of at most %zu", text, used, most);
  *count = used;
  return VQCT_OK;
}
