/* The reader of each form of file that holds word vectors. Inner to embeddings*.c. */
#ifndef LANGUAGE_EMBEDDINGS_FORMS_H
#define LANGUAGE_EMBEDDINGS_FORMS_H

#include "byte_stream.h"
#include "embeddings_store.h"

/** Errors: those of embeddings_load. */
enum vqct_status embeddings_read_text(struct embeddings_store *store, struct byte_stream *bytes,
                                      struct vqct_error *error);
enum vqct_status embeddings_read_binary(struct embeddings_store *store, struct byte_stream *bytes,
                                        struct vqct_error *error);
enum vqct_status embeddings_read_json(struct embeddings_store *store, struct byte_stream *bytes,
                                      struct vqct_error *error);
enum vqct_status embeddings_read_npy(struct embeddings_store *store, struct vqct_error *error);
enum vqct_status embeddings_read_safetensors(struct embeddings_store *store,
                                             struct vqct_error *error);

/** Whether a file that begins with these bytes, some thousand, is word2vec's binary one: behind its
 * first word stands what no number is written with, or control characters. */
bool embeddings_is_binary(const char *bytes, size_t size);

#endif
