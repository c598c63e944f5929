/* Whatever bytes arrive as a lexicon, as a tagger or as a caption: an error, or lemmas that fit and
 * tags that exist. The first byte says which of the three is hostile; the others are the ones that
 * ship. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "embed.h"
#include "lemma.h"
#include "utf8.h"
#include "vocabulary.h"

EMBED_FILE(lexicon, "models/wordnet.lexicon")
EMBED_FILE(tagger, "models/english.tagger")

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct lexicon shipped_lexicon;
static struct pos_model shipped_tagger;

static void demand(bool condition) {
  if (!condition)
    abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  demand(lexicon_open(lexicon_data, embed_size(lexicon), &shipped_lexicon, NULL) == VQCT_OK);
  demand(pos_model_open(tagger_data, embed_size(tagger), &shipped_tagger, NULL) == VQCT_OK);
  return 0;
}

static void check_caption(const struct lexicon *lexicon, const struct pos_model *tagger,
                          const char *text, size_t length) {
  struct vocabulary_scratch scratch = {0};
  size_t count, used = 0;
  demand(vocabulary_tag(tagger, lexicon, text, length, &scratch, &count));
  for (size_t i = 0; i < count; i++) {
    char lemma[LEMMA_MAX];
    size_t bytes = lemma_noun(lexicon, scratch.words[i].text, scratch.words[i].length, lemma);
    demand(scratch.tags[i] < tagger->tags && scratch.words[i].length > 0);
    demand(bytes < LEMMA_MAX && strlen(lemma) == bytes);
    used += scratch.words[i].length;
  }
  demand(used <= length);
  vocabulary_scratch_free(&scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char caption[] = "Two dogs' oxen, isn't it 3:30 - a caf\xc3\xa9";
  struct lexicon lexicon;
  struct pos_model tagger;
  if (!size)
    return 0;
  const uint8_t *rest = data + 1;
  switch (data[0] % 3) {
  case 0:
    if (lexicon_open(rest, size - 1, &lexicon, NULL) == VQCT_OK) {
      check_caption(&lexicon, &shipped_tagger, caption, sizeof caption - 1);
      lexicon_free(&lexicon);
    }
    break;
  case 1:
    if (pos_model_open(rest, size - 1, &tagger, NULL) == VQCT_OK) {
      check_caption(&shipped_lexicon, &tagger, caption, sizeof caption - 1);
      pos_model_free(&tagger);
    }
    break;
  default:
    if (utf8_is_valid((const char *)rest, size - 1))
      check_caption(&shipped_lexicon, &shipped_tagger, (const char *)rest, size - 1);
  }
  return 0;
}
