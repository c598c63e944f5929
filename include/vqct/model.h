/* Models and sessions: pictures to tokens and back.
 *
 *   struct vqct_model *model;
 *   struct vqct_session *session;
 *   const uint8_t *pixels[1] = {photo.pixels};
 *   uint32_t tokens[2 * 32 * 32], *token_rows[1] = {tokens}; // 2 planes, 256 / 8 tokens a side
 *   if (vqct_model_open("model.safetensors", &model, &error) == VQCT_OK &&
 *       vqct_session_new(model, 2, &session, &error) == VQCT_OK &&
 *       vqct_encode(session, pixels, 1, 256, 256, token_rows, &error) == VQCT_OK)
 *     use(tokens);
 *   vqct_session_free(session);
 *   vqct_model_close(model);
 *
 * A model is immutable: any number of threads and sessions share one. A session holds all memory
 * that a run writes and is used by one thread at a time. Shapes: N images, H rows, W columns, C
 * channels, P planes, h = H / downsampling, w = W / downsampling.
 *
 * Tokens are row numbers of the whole codebook: the adjectives come first, then the nouns, so that
 * one embedding table serves a transformer. An image gives P planes of h x w tokens, plane after
 * plane; a token of a plane lies in [first, first + count) of that plane. They are the same, bit
 * for bit, for every batch size, thread count and order of images.
 */
#ifndef VQCT_MODEL_H
#define VQCT_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vqct/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define VQCT_PLANES_MAX 16

struct vqct_model;
struct vqct_session;

/** One plane of tokens: which codes stand in it. With k = 2 two planes share the adjectives. */
struct vqct_plane {
  const char *name; /* "adjective", "adjective-2", "noun", or "code" for a plain codebook */
  uint32_t first, count;
};

/** What a model is. Strings and arrays belong to the model. */
struct vqct_model_info {
  const char *name;         /* from the file, such as "vqct-small" */
  const char *architecture; /* the configuration as JSON */
  const char *checksum;     /* SHA-256 of the file, 64 hexadecimal digits */
  uint32_t downsampling;    /* pixels a token, along each side */
  uint32_t channels;        /* of a picture, 1 to 3 */
  uint32_t planes;          /* P */
  const struct vqct_plane *plane;
  uint32_t codes;          /* rows of the whole codebook */
  uint32_t code_dimension; /* d */
  uint64_t parameters;     /* weights without the codebook */
  uint64_t encode_flops; /* floating-point operations (two a multiply-add) for a 256x256 picture */
  uint64_t decode_flops; /* 0: the model has no decoder */
  uint32_t vector_dimension; /* Z, of the vector that is quantised at a position: d for each
                              * codebook whose codes stand there */
};

/** Opens a model file. Every offset, shape and size is checked first. The file must not change
 * meanwhile; the opened model needs it no more. Errors: READ, MODEL (naming tensor and fault),
 * NOT_FINITE, MEMORY; *model is then NULL. */
enum vqct_status vqct_model_open(const char *path, struct vqct_model **model,
                                 struct vqct_error *error);

/** Closes a model; NULL is allowed. All its sessions must have been freed. */
void vqct_model_close(struct vqct_model *model);

/** Facts about the model, valid until it is closed. */
const struct vqct_model_info *vqct_model_info(const struct vqct_model *model);

/** A session that computes with up to `threads` threads (1 to 1024; 0: as many as the process may
 * use). Errors: INVALID, MEMORY. */
enum vqct_status vqct_session_new(const struct vqct_model *model, unsigned threads,
                                  struct vqct_session **session, struct vqct_error *error);

/** Ends its threads and frees its memory; NULL is allowed. */
void vqct_session_free(struct vqct_session *session);

/** Lets a session stop before its pictures are done: `asked` is called by any of its threads,
 * between parts of the work that take milliseconds, and its call of vqct_encode or vqct_decode ends
 * with INTERRUPTED soon after it has said yes. It must go on saying so until then. NULL: nobody
 * asks. Not while the session computes. */
void vqct_session_stop_when(struct vqct_session *session, bool (*asked)(void *context),
                            void *context);

/** The most floating-point operations of one picture's attention, whose cost grows with the square
 * of the picture's area: about ten seconds of a core. Larger pictures are refused with LIMIT. */
#define VQCT_ATTENTION_FLOPS_MAX ((uint64_t)1 << 42)

/** Pictures to tokens. pixels[i]: H, W, C bytes as in struct vqct_image; tokens[i]: room for P * h
 * * w numbers. H and W must be multiples of the downsampling factor. A session keeps its memory, up
 * to 128 MiB a thread, so a second call of the same shape allocates nothing unless its pictures are
 * large. Errors: INVALID, LIMIT, NOT_FINITE, MEMORY, INTERRUPTED; the tokens are then unspecified.
 */
enum vqct_status vqct_encode(struct vqct_session *session, const uint8_t *const *pixels,
                             size_t images, uint32_t height, uint32_t width,
                             uint32_t *const *tokens, struct vqct_error *error);

/** The same, and the vectors that were quantised: encodings[i] has room for h * w * Z numbers,
 * position after position; tokens and vectors are the same, bit for bit, for every batch size,
 * thread count and order of images, on every processor with fused multiply-add. */
enum vqct_status vqct_encode_vectors(struct vqct_session *session, const uint8_t *const *pixels,
                                     size_t images, uint32_t height, uint32_t width,
                                     uint32_t *const *tokens, float *const *encodings,
                                     struct vqct_error *error);

/** Tokens to pictures. tokens[i]: P, h, w numbers; pixels[i]: room for H * W * C bytes. Errors:
 * TOKENS (one is outside its plane), INVALID (the grid, or a model without a decoder), LIMIT,
 * NOT_FINITE, MEMORY, INTERRUPTED. */
enum vqct_status vqct_decode(struct vqct_session *session, const uint32_t *const *tokens,
                             size_t images, uint32_t grid_height, uint32_t grid_width,
                             uint8_t *const *pixels, struct vqct_error *error);

#ifdef __cplusplus
}
#endif
#endif
