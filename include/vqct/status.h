/* Status codes and the caller-owned error record of libvqct.
 *
 *   struct vqct_error error;
 *   struct vqct_model *model;
 *   if (vqct_model_open("model.safetensors", &model, &error) != VQCT_OK)
 *     fprintf(stderr, "%s\n", error.message);
 *
 * Every function that can fail returns a status and, where it is given an error record, writes the
 * same status there with one sentence that names what is wrong and where. The record belongs to the
 * caller; the library keeps no error state of its own, so any thread may call with its own record.
 */
#ifndef VQCT_STATUS_H
#define VQCT_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

/* X(NAME, exit status of the command, meaning) */
#define VQCT_STATUS_MAP(X)                                                                         \
  X(OK, 0, "success")                                                                              \
  X(INTERNAL, 1, "a fault of this program")                                                        \
  X(INVALID, 2, "an argument or option is wrong")                                                  \
  X(READ, 3, "an input cannot be read")                                                            \
  X(IMAGE, 4, "a picture cannot be decoded")                                                       \
  X(MODEL, 5, "a model, prior or checkpoint file is damaged or does not fit")                      \
  X(TOKENS, 6, "tokens are out of range or of the wrong shape")                                    \
  X(WRITE, 7, "an output cannot be written")                                                       \
  X(MEMORY, 8, "memory is exhausted")                                                              \
  X(LIMIT, 9, "an input is larger than the limits allow")                                          \
  X(PARTIAL, 10, "some inputs failed and were reported; the others were done")                     \
  X(DATA, 11, "captions, embeddings, an archive or another input is damaged")                      \
  X(NOT_FINITE, 12, "a computation gave NaN or infinity")                                          \
  X(INTERRUPTED, 13, "stopped by a signal; what was done is kept")                                 \
  X(UNAVAILABLE, 14, "a service cannot be reached or is not ready")                                \
  X(OTHER_MODEL, 15, "tokens are of another model")

enum vqct_status {
#define VQCT_STATUS_ENUM(name, exit_status, meaning) VQCT_##name,
  VQCT_STATUS_MAP(VQCT_STATUS_ENUM)
#undef VQCT_STATUS_ENUM
};

/** What went wrong: a code, and one sentence without a newline. */
struct vqct_error {
  enum vqct_status status;
  char message[512];
};

/** The name of a status, such as "IMAGE". Never NULL. */
const char *vqct_status_name(enum vqct_status status);

/** The meaning of a status in one phrase. Never NULL. */
const char *vqct_status_meaning(enum vqct_status status);

/** The exit status that the command `vqct` ends with for this status, 0 to 15. */
int vqct_status_exit(enum vqct_status status);

/** The library's version, such as "0.2.0". */
const char *vqct_version(void);

#ifdef __cplusplus
}
#endif
#endif
