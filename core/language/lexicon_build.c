/* WordNet's own files to a lexicon's block: index.* name the base forms (one a line, first field;
 * the licence's lines begin with a blank), *.exc the irregular forms with their lemmas. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "lexicon.h"
#include "lexicon_format.h"
#include "little_endian.h"

struct lexicon_draft {
  struct word_table words;
  uint8_t *flags; /* words.count */
  char **lemmas;  /* words.count, from malloc or NULL */
  uint32_t capacity;
};

static void draft_free(struct lexicon_draft *draft) {
  for (uint32_t i = 0; i < draft->words.count; i++)
    free(draft->lemmas[i]);
  free(draft->lemmas);
  free(draft->flags);
  word_table_free(&draft->words);
}

static bool draft_reserve(struct lexicon_draft *draft) {
  if (draft->words.count < draft->capacity)
    return true;
  uint32_t capacity = draft->capacity ? draft->capacity * 2 : 1024;
  uint8_t *flags = realloc(draft->flags, capacity);
  if (!flags)
    return false;
  draft->flags = flags;
  char **lemmas = realloc(draft->lemmas, capacity * sizeof *lemmas);
  if (!lemmas)
    return false;
  draft->lemmas = lemmas;
  draft->capacity = capacity;
  return true;
}

static bool draft_add(struct lexicon_draft *draft, const char *word, size_t length, uint8_t flag,
                      const char *lemmas) {
  uint32_t id, before = draft->words.count;
  if (!draft_reserve(draft) || !word_table_add(&draft->words, word, length, &id))
    return false;
  if (id == before) {
    draft->flags[id] = 0;
    draft->lemmas[id] = NULL;
  }
  draft->flags[id] |= flag;
  if (!lemmas)
    return true;
  free(draft->lemmas[id]); /* of a form that stands twice the last line counts, as in NLTK */
  return (draft->lemmas[id] = strdup(lemmas)) != NULL;
}

/* One line of a file: its first field is the word, and in an .exc file the others its lemmas. */
static bool draft_line(struct lexicon_draft *draft, char *line, uint8_t flag) {
  line[strcspn(line, "\r\n")] = '\0';
  size_t length = strcspn(line, " ");
  if (length == 0 || length > LEXICON_WORD_MAX || memchr(line, '_', length))
    return true;
  const char *lemmas = NULL;
  if (flag == LEXICON_IRREGULAR(LEXICON_NOUN)) {
    lemmas = line + length + strspn(line + length, " ");
    if (strlen(lemmas) > UINT8_MAX)
      return true;
  }
  return draft_add(draft, line, length, flag, lemmas);
}

static enum vqct_status draft_file(struct lexicon_draft *draft, const char *folder,
                                   const char *name, uint8_t flag, struct vqct_error *error) {
  char path[4096];
  char *line = NULL;
  size_t capacity = 0;
  if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) >= sizeof path)
    return error_set(error, VQCT_INVALID, "the name of the folder is too long");
  FILE *file = fopen(path, "re");
  if (!file)
    return error_set(error, VQCT_READ, "%s: %s", path, strerror(errno));
  uint32_t before = draft->words.count;
  enum vqct_status status = VQCT_OK;
  while (getline(&line, &capacity, file) >= 0)
    if (!draft_line(draft, line, flag)) {
      status = error_set(error, VQCT_MEMORY, "no memory for %s", path);
      goto done;
    }
  if (ferror(file))
    status = error_set(error, VQCT_READ, "%s: %s", path, strerror(errno));
  else if (flag == LEXICON_HAS(LEXICON_NOUN) && draft->words.count == before)
    status = error_set(error, VQCT_DATA, "%s: has no words", path);
done:
  free(line);
  fclose(file);
  return status;
}

static int compare_words(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The words in byte order; from malloc, NULL without memory. */
static const char **sorted_words(const struct lexicon_draft *draft) {
  const char **words = malloc((draft->words.count + 1u) * sizeof *words);
  if (!words)
    return NULL;
  for (uint32_t i = 0; i < draft->words.count; i++)
    words[i] = word_table_text(&draft->words, i);
  qsort(words, draft->words.count, sizeof *words, compare_words);
  return words;
}

/* Writes one entry and returns where it ends. */
static uint8_t *put_entry(uint8_t *to, const char *word, const char *before, uint8_t flags,
                          const char *lemmas) {
  size_t shared = 0, length = strlen(word);
  while (before[shared] && before[shared] == word[shared])
    shared++;
  *to++ = (uint8_t)shared;
  *to++ = (uint8_t)(length - shared);
  memcpy(to, word + shared, length - shared);
  to += length - shared;
  *to++ = flags;
  if (flags & LEXICON_IRREGULAR(LEXICON_NOUN)) {
    size_t size = strlen(lemmas);
    *to++ = (uint8_t)size;
    memcpy(to, lemmas, size);
    to += size;
  }
  return to;
}

static enum vqct_status draft_write(const struct lexicon_draft *draft, struct vqct_bytes *block,
                                    struct vqct_error *error) {
  size_t most = LEXICON_HEADER + (size_t)draft->words.count * (4 + UINT8_MAX) + draft->words.used;
  const char **words = sorted_words(draft), *before = "";
  uint8_t *data = malloc(most);
  if (!words || !data) {
    free(words);
    free(data);
    return error_set(error, VQCT_MEMORY, "no memory for the lexicon");
  }
  uint8_t *at = data + LEXICON_HEADER;
  for (uint32_t i = 0; i < draft->words.count; i++) {
    uint32_t id = word_table_find(&draft->words, words[i], strlen(words[i]));
    at = put_entry(at, words[i], before, draft->flags[id], draft->lemmas[id]);
    before = words[i];
  }
  memcpy(data, LEXICON_MAGIC, 8);
  little_endian_write(data + 8, draft->words.count);
  little_endian_write(data + 12, (uint32_t)((size_t)(at - data) - LEXICON_HEADER));
  *block = (struct vqct_bytes){data, (size_t)(at - data)};
  free(words);
  return VQCT_OK;
}

enum vqct_status lexicon_build(const char *folder, struct vqct_bytes *block,
                               struct vqct_error *error) {
  static const char *const parts[LEXICON_PARTS] = {"noun", "verb", "adj", "adv"};
  struct lexicon_draft draft = {0};
  enum vqct_status status = VQCT_OK;
  *block = (struct vqct_bytes){0};
  for (int part = 0; part < LEXICON_PARTS; part++) {
    char index[16], irregular[16];
    snprintf(index, sizeof index, "index.%s", parts[part]);
    snprintf(irregular, sizeof irregular, "%s.exc", parts[part]);
    status = draft_file(&draft, folder, index, LEXICON_HAS(part), error);
    if (status != VQCT_OK)
      goto done;
    status = draft_file(&draft, folder, irregular, LEXICON_IRREGULAR(part), error);
    if (status != VQCT_OK)
      goto done;
  }
  status = draft_write(&draft, block, error);
done:
  draft_free(&draft);
  return status;
}
