/* One encode, decode or reconstruct request and its pictures: the record that all stages share.
 *
 * One thread has a request at a time, or one thread each of its pictures: the loop hands them over
 * and gets them back by libuv's and the workers' queues, which order memory. What several threads
 * share is atomic. stages.h tells how a request goes from thread to thread. */
#ifndef API_REQUEST_H
#define API_REQUEST_H

#include <stdatomic.h>

#include "fit.h"
#include "service.h"
#include "tensor.h"

enum request_kind { REQUEST_ENCODE, REQUEST_DECODE, REQUEST_RECONSTRUCT };

enum request_stage { REQUEST_RECEIVING, REQUEST_PREPARING, REQUEST_COMPUTING, REQUEST_RENDERING };

/** How a body or an answer is written. */
enum form {
  FORM_NONE,
  FORM_JSON,
  FORM_NPY,
  FORM_PACKED, /* little-endian numbers without a header */
  FORM_PNG,
  FORM_JPEG,
  FORM_WEBP,
  FORM_NDJSON, /* a line of JSON a picture, as soon as it is done */
  FORM_INFER,  /* tensors of the Open Inference Protocol */
  FORM_IMAGE,  /* a picture file, told by its first bytes */
  FORM_MULTIPART
};

#define INFER_OUTPUTS_MAX 2

enum infer_output_kind { INFER_TOKENS, INFER_PIXELS, INFER_IMAGE };

/** A tensor that an inference request asks for. */
struct infer_output {
  enum infer_output_kind kind;
  enum tensor_type type; /* of tokens */
  bool binary;           /* behind the JSON */
};

/** What an inference request says besides its tensors. */
struct infer {
  uint64_t json_size; /* bytes of the body that are JSON; 0: it is a picture; UINT64_MAX: all */
  struct infer_output outputs[INFER_OUTPUTS_MAX];
  size_t output_count;
  bool fits;      /* the query says what files of pictures become */
  struct text id; /* as JSON; empty where there is none */
};

/** Vectors in place of tokens. */
enum vectors {
  VECTORS_NONE,
  VECTORS_CODES,    /* of the chosen codes */
  VECTORS_ENCODINGS /* before quantising */
};

/** Seconds that a picture's jobs took, those of both networks for reconstruct. */
struct job_times {
  double queue, batch, compute;
};

/** One picture of a request. */
struct picture {
  struct job job;   /* its owner is the request */
  struct task task; /* prepares it, and later renders it */
  char name[128];   /* file name, "" if none was given */
  const void *file; /* the picture's file, within the body or `owned` */
  size_t file_size;
  void *owned;
  struct vqct_image image;  /* what the network sees; for decode what it gave */
  struct vqct_image result; /* of reconstruct */
  uint32_t *tokens;         /* planes, grid */
  float *encodings;         /* grid, vector_dimension; where the request asks for them */
  struct cache_key key;     /* of its tokens in the cache, */
  bool keyed;               /* where that is asked */
  bool recalled;            /* its tokens were there */
  uint64_t vector_bytes;    /* reserved for vectors until the answer */
  double psnr, ssim;        /* of reconstruct; ssim NaN where the picture is too small for it */
  struct job_times times;   /* loop */
  struct text members;      /* of its part of a JSON answer */
  bool failed;
  enum problem problem; /* if failed */
  char detail[512];
};

struct request {
  struct service *service;
  struct models *models;     /* that were served when it came */
  struct engine *engine;     /* of them, the one that it is for */
  struct exchange *exchange; /* NULL once cancelled */
  atomic_bool cancelled;
  enum request_kind kind;
  enum request_stage stage; /* read and written by the loop only */
  enum form input, output;
  bool json_too;       /* Accept takes JSON, whatever the output */
  bool takes_gzip;     /* Accept-Encoding takes gzip */
  bool compressed;     /* the body is gzip or deflate */
  bool chosen;         /* the query names the model */
  bool settled;        /* `engine` is what it asks for: its body may yet ask, or for none served */
  bool any_model;      /* tokens of another model are decoded, too */
  uint64_t body_limit; /* bytes */
  bool lines;          /* of its pictures are sent as they are done */
  bool many;           /* the body may hold several pictures, so the answer lists each */
  bool words;          /* the word of every token, too */
  bool base64;         /* tokens in JSON are packed, and in base64 */
  enum vectors vectors;
  bool mean;     /* of them, over the grid */
  int quality;   /* of JPEG and WebP */
  bool lossless; /* WebP */
  enum vqct_resize resize;
  uint32_t width, height; /* to resize to */
  struct fit_box crop;
  struct fit_point focus;
  uint32_t grid_height, grid_width; /* of packed tokens */
  char boundary[80];                /* of multipart */
  struct text body;
  bool ready; /* the pictures that were read need no decoding */
  struct infer infer;
  struct picture *pictures;
  size_t count;   /* of pictures */
  size_t handed;  /* pictures that codec threads have or had in this stage; loop */
  size_t pending; /* tasks and jobs that will come back; loop */
  struct reservation reserved;
  unsigned urgency; /* its class: that of its jobs and tasks */
  uint64_t deadline;
  struct task task;
  atomic_bool refused; /* the whole request failed: reply is its problem, */
  atomic_int refusal;  /* or for an enum refusal other than none the loop writes it */
  struct reply reply;
  uint64_t prepared, computed, rendered; /* ends of stages, uv_hrtime() */
  struct job_times times;                /* of the picture whose jobs ended last */
};

/** A request for an exchange, which then points to it; NULL, with the reply filled, where memory
 * fails. Its model is `engine`, one of the service's. Loop. */
struct request *request_new(struct service *service, struct exchange *exchange,
                            enum request_kind kind, struct engine *engine);

/** Says in the exchange, for logs and figures, which model the request is for; none where that is
 * not settled. Loop, while no codec thread has the request. */
void request_note_model(const struct request *request);

/** Frees a request of which nothing is pending, and returns what it reserved. Loop. */
void request_free(struct request *request);

/** Makes the list of `count` pictures; false (and a refused request) where the limits do not allow
 * it. Any thread. */
bool request_make_pictures(struct request *request, size_t count);

/** Reserves the pixels of a picture before it is decoded; false, and a refused request, where there
 * is no room. Any thread. */
bool request_reserve_pixels(struct request *request, uint64_t pixels);

/** The same of bytes that a body turns out to have. */
bool request_reserve_bytes(struct request *request, uint64_t bytes);

/** Turns to JSON where the answer's form holds one picture only and there are several; false, and a
 * refused request, where Accept does not take that. */
bool request_settle_form(struct request *request);

/** Marks the whole request as wrong. */
void request_fail(struct request *request, enum problem problem, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Marks one picture as wrong. */
void picture_fail(struct picture *picture, enum problem problem, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Sizes and tokens of a picture of height x width pixels; false where it fails. */
bool picture_set_shape(struct request *request, struct picture *picture, uint32_t height,
                       uint32_t width);

/** The type of packed tokens. */
enum tensor_type tokens_type(const struct vqct_model_info *info);

/** The name that NumPy has for it. */
const char *tokens_type_name(enum tensor_type type);

/** Numbers of a picture's tokens: planes times grid. */
size_t picture_tokens(const struct request *request, const struct picture *picture);

/** Numbers of a picture's vectors. */
size_t picture_vector_numbers(const struct request *request, const struct picture *picture);

/** What a task or a job is part of. */
struct request *request_of_task(struct task *task);
struct picture *picture_of_job(struct job *job);
struct picture *picture_of_task(struct task *task);

#endif
