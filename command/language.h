/* The tagger and the lexicon that the `prior` commands use: those inside the program, or files
 * given instead. */
#ifndef COMMAND_LANGUAGE_H
#define COMMAND_LANGUAGE_H

#include "lexicon.h"
#include "pos_model.h"

struct language {
  struct lexicon lexicon;
  struct pos_model tagger;
};

/** Opens the lexicon and, from its own file, the tagger; a path of NULL means the one inside the
 * program. Errors: READ, DATA (naming the file), MEMORY; nothing is then open. */
enum vqct_status language_open(const char *lexicon_path, const char *tagger_path,
                               struct language *language, struct vqct_error *error);

/** Opens a lexicon alone. */
enum vqct_status language_lexicon(const char *path, struct lexicon *lexicon,
                                  struct vqct_error *error);

/** Frees both; a record of zeros is allowed. */
void language_close(struct language *language);

#endif
