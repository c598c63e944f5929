#include "stream.h"

#include <string.h>

#include <microhttpd.h>

#define BLOCK_BYTES ((size_t)32 << 10) /* asked for at once */

static void suspend(struct stream *stream) {
  struct connection *connection = stream->connection;
  stream->waits = true;
  connection->state = CONNECTION_BUSY;
  connection_due(connection, stream->deadline);
  MHD_suspend_connection(stream->mhd);
  connection_watch(connection, stream->left);
}

/* The client has as long to take what was added last as it has for a whole answer. */
static void resume(struct stream *stream) {
  struct connection *connection = stream->connection;
  connection_enter(connection, CONNECTION_WRITING, connection->listener->options.limits.write_time);
  if (!stream->waits)
    return;
  stream->waits = false;
  connection_unwatch(connection);
  MHD_resume_connection(stream->mhd);
  listener_wake(connection->listener);
}

static ssize_t give(void *context, uint64_t position, char *room, size_t most) {
  struct stream *stream = context;
  size_t left = stream->data.size - stream->sent;
  (void)position;
  if (stream->broken)
    return MHD_CONTENT_READER_END_WITH_ERROR;
  if (!left && stream->ended)
    return MHD_CONTENT_READER_END_OF_STREAM;
  if (!left) {
    suspend(stream);
    return 0;
  }
  size_t size = left < most ? left : most;
  memcpy(room, stream->data.data + stream->sent, size);
  stream->sent += size;
  if (stream->sent == stream->data.size)
    stream->sent = stream->data.size = 0;
  return (ssize_t)size;
}

struct MHD_Response *stream_response(struct stream *stream) {
  return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, give, stream, NULL);
}

void stream_add(struct stream *stream, const void *data, size_t size) {
  if (stream->sent) {
    stream->data.size -= stream->sent;
    memmove(stream->data.data, stream->data.data + stream->sent, stream->data.size);
    stream->sent = 0;
  }
  text_add(&stream->data, data, size);
  stream->total += size;
  stream->broken = stream->broken || stream->data.failed;
  resume(stream);
}

void stream_end(struct stream *stream) {
  stream->ended = true;
  resume(stream);
}

void stream_break(struct stream *stream) {
  stream->broken = true;
  resume(stream);
}

void stream_free(struct stream *stream) {
  text_free(&stream->data);
}
