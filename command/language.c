#include "language.h"

#include "embed.h"
#include "error.h"
#include "mapped_file.h"

EMBED_FILE(shipped_lexicon, "models/wordnet.lexicon")
EMBED_FILE(shipped_tagger, "models/english.tagger")

enum vqct_status language_lexicon(const char *path, struct lexicon *lexicon,
                                  struct vqct_error *error) {
  if (!path)
    return lexicon_open(shipped_lexicon_data, embed_size(shipped_lexicon), lexicon, error);
  struct mapped_file file;
  *lexicon = (struct lexicon){0};
  enum vqct_status status = mapped_file_open(path, &file, error);
  if (status != VQCT_OK)
    return status;
  status = lexicon_open(file.data, file.size, lexicon, error);
  mapped_file_close(&file);
  return status == VQCT_OK ? status : error_prefix(error, "%s", path);
}

static enum vqct_status open_tagger(const char *path, struct pos_model *tagger,
                                    struct vqct_error *error) {
  if (!path)
    return pos_model_open(shipped_tagger_data, embed_size(shipped_tagger), tagger, error);
  struct mapped_file file;
  enum vqct_status status = mapped_file_open(path, &file, error);
  if (status != VQCT_OK)
    return status;
  status = pos_model_open(file.data, file.size, tagger, error);
  mapped_file_close(&file);
  return status == VQCT_OK ? status : error_prefix(error, "%s", path);
}

enum vqct_status language_open(const char *lexicon_path, const char *tagger_path,
                               struct language *language, struct vqct_error *error) {
  *language = (struct language){0};
  enum vqct_status status;
  if ((status = language_lexicon(lexicon_path, &language->lexicon, error)) ||
      (status = open_tagger(tagger_path, &language->tagger, error)))
    language_close(language);
  return status;
}

void language_close(struct language *language) {
  lexicon_free(&language->lexicon);
  pos_model_free(&language->tagger);
}
