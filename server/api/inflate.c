/* A compressed body may grow a thousandfold: room is made a step at a time, and each step is
 * reserved from the bound on all bodies and checked against that of one before anything is written
 * to it. */
#include "body.h"

#include <string.h>

#include <zlib.h>

#define INFLATE_STEP ((size_t)256 << 10) /* bytes written, and reserved, at once */
#define ANY_HEADER   (MAX_WBITS + 32)    /* of gzip or zlib */

static void fail(struct request *request, int result) {
  if (result == Z_MEM_ERROR)
    request_fail(request, PROBLEM_OUT_OF_MEMORY, "no memory to decompress the body");
  else
    request_fail(request, PROBLEM_BAD_BODY, "the body is not what Content-Encoding says");
}

/* Room for one more step, within the limit of a body and the bound on all bodies. */
static bool make_room(struct request *request, struct text *plain, z_stream *stream) {
  if (plain->size >= request->body_limit + 1) {
    request_fail(request, PROBLEM_BODY_TOO_LARGE, "%llu bytes are allowed once decompressed",
                 (unsigned long long)request->body_limit);
    return false;
  }
  size_t step = INFLATE_STEP;
  if (step > request->body_limit + 1 - plain->size)
    step = (size_t)(request->body_limit + 1 - plain->size);
  if (!request_reserve_bytes(request, step))
    return false;
  if (!text_reserve(plain, step)) {
    fail(request, Z_MEM_ERROR);
    return false;
  }
  stream->next_out = (Bytef *)plain->data + plain->size;
  stream->avail_out = (uInt)step;
  return true;
}

static bool inflate_all(struct request *request, z_stream *stream, struct text *plain) {
  for (int result = Z_OK; result != Z_STREAM_END;) {
    if (!make_room(request, plain, stream))
      return false;
    uInt room = stream->avail_out;
    result = inflate(stream, Z_NO_FLUSH);
    plain->size += room - stream->avail_out;
    bool stuck = result == Z_BUF_ERROR || (result == Z_OK && stream->avail_out);
    if (stuck || (result != Z_OK && result != Z_STREAM_END)) {
      fail(request, result);
      return false;
    }
  }
  if (stream->avail_in || plain->size > request->body_limit) {
    request_fail(request, stream->avail_in ? PROBLEM_BAD_BODY : PROBLEM_BODY_TOO_LARGE,
                 stream->avail_in ? "something follows the compressed body"
                                  : "the body is larger than allowed once decompressed");
    return false;
  }
  return true;
}

bool body_inflate(struct request *request) {
  z_stream stream;
  struct text plain = {0};
  memset(&stream, 0, sizeof stream);
  if (!request->compressed)
    return true;
  if (request->body.size > UINT32_MAX || inflateInit2(&stream, ANY_HEADER) != Z_OK) {
    fail(request, Z_MEM_ERROR);
    return false;
  }
  stream.next_in = (Bytef *)request->body.data;
  stream.avail_in = (uInt)request->body.size;
  bool whole = inflate_all(request, &stream, &plain);
  inflateEnd(&stream);
  text_free(&request->body);
  request->body = plain;
  return whole;
}
