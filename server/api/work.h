/* The work of one encode, decode or reconstruct request, from its body to its answer.
 *
 *   admitted ─ body ─ preparing ─ computing ─ rendering ─ answered
 *   (loop)    (loop)   (codec)    (workers)    (codec)     (loop)
 *
 * Preparing reads the body, decodes and resizes pictures; rendering writes each picture's part of
 * the answer, then the whole.
 * Reconstruct goes through computing twice. One thread has the work at a time, or one thread each
 * item: the loop hands them over and gets them back by libuv's and the workers' queues, which order
 * memory. What several threads share is atomic. A cancelled work forgets its exchange and is freed
 * when all of it has come back to the loop.
 *
 * Of a request with many pictures at most as many as there are codec threads are handed over at
 * once, the next when one comes back, so that other requests' pictures come in between. */
#ifndef API_WORK_H
#define API_WORK_H

#include <stdatomic.h>

#include "service.h"

enum work_kind { WORK_ENCODE, WORK_DECODE, WORK_RECONSTRUCT };

enum work_stage { WORK_RECEIVING, WORK_PREPARING, WORK_COMPUTING, WORK_RENDERING };

/** How a body or an answer is written. */
enum form {
  FORM_NONE,
  FORM_JSON,
  FORM_NPY,
  FORM_PACKED, /* little-endian numbers without a header */
  FORM_PNG,
  FORM_JPEG,
  FORM_IMAGE, /* a picture file, told by its first bytes */
  FORM_MULTIPART
};

/** One picture of a request. */
struct work_item {
  struct job job;
  uv_work_t task;   /* prepares it, and later renders it; data: the item */
  char name[128];   /* file name, "" if none was given */
  const void *file; /* the picture's file, within the body or `owned` */
  size_t file_size;
  void *owned;
  struct vqct_image image;  /* what the network sees; for decode what it gave */
  struct vqct_image result; /* of reconstruct */
  uint32_t *tokens;         /* planes, grid */
  double psnr, ssim;        /* of reconstruct; ssim NaN where the picture is too small for it */
  struct text members;      /* of its part of a JSON answer */
  bool failed;
  enum problem problem; /* if failed */
  char detail[512];
};

struct work {
  struct service *service;
  struct engine *engine;
  struct exchange *exchange; /* NULL once cancelled */
  atomic_bool cancelled;
  enum work_kind kind;
  enum work_stage stage; /* read and written by the loop only */
  enum form input, output;
  bool many;   /* the body may hold several pictures, so the answer lists each */
  bool words;  /* the word of every token, too */
  int quality; /* of JPEG */
  enum vqct_resize resize;
  uint32_t width, height;           /* to resize to */
  uint32_t grid_height, grid_width; /* of packed tokens */
  char boundary[80];                /* of multipart */
  struct text body;
  struct work_item *items;
  size_t count;
  size_t handed;  /* items that codec threads have or had in this stage; loop */
  size_t pending; /* tasks and jobs that will come back; loop */
  struct reservation reserved;
  uint64_t deadline;
  uv_work_t task;
  atomic_bool refused; /* the whole request failed: reply is its problem, */
  atomic_int refusal;  /* or for an enum refusal other than none the loop writes it */
  struct reply reply;
  uint64_t prepare_begun, prepared, render_begun, rendered; /* uv_hrtime() */
};

/** A work for an exchange, which then points to it; NULL, with the reply filled, where memory
 * fails. */
struct work *work_new(struct service *service, struct exchange *exchange, enum work_kind kind);

/** Reads the work's body into items (work_make_items): each picture's file, or tokens ready to
 * compute. Codec thread. What is wrong with the whole request goes to work->reply, with one picture
 * to its item. */
void read_pictures(struct work *work);
void prepare_tokens(struct work *work);

/** Decodes one item's file, resizes it, and makes room for its tokens. Codec thread; several may do
 * so for items of one work. */
void prepare_picture(struct work *work, struct work_item *item);

/** Makes the list of `count` items; false (and a refused work) where the limits do not allow it. */
bool work_make_items(struct work *work, size_t count);

/** Marks the whole request as wrong. */
void work_fail(struct work *work, enum problem problem, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Marks one picture as wrong. */
void item_fail(struct work_item *item, enum problem problem, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Sizes and tokens of an item whose picture is height x width pixels; false where it fails. */
bool item_set_shape(struct work *work, struct work_item *item, uint32_t height, uint32_t width);

/** Writes one item's members of a JSON answer. Codec thread; several may do so for items of one
 * work. */
void render_item(struct work *work, struct work_item *item);

/** Writes the answer's body; of JSON, from the members of its items, which it frees. Codec thread.
 */
void render_tokens(struct work *work);
void render_pictures(struct work *work);

/** Reserves the pixels of a picture before it is decoded; false, and a refused work, where there is
 * no room. Any thread. */
bool work_reserve_pixels(struct work *work, uint64_t pixels);

/** Numbers of an item's tokens: planes times grid. */
size_t item_tokens(const struct work *work, const struct work_item *item);

#endif
