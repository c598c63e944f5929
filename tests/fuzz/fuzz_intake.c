/* Whatever bytes a connection brings: libmicrohttpd gets the same of them at once and in pieces,
 * no head that a check of its own would not pass again unchanged, and at a fault what the handler
 * refuses by. The first byte says how large the pieces are. */
#define _GNU_SOURCE /* memmem */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "intake.h"

#define SIZE_MAX_IN 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition) {
  if (!condition)
    abort();
}

/* Sends pieces and reads what comes through into out; the connection's end state in *intake. */
static size_t pass(const uint8_t *data, size_t size, size_t piece, size_t room, char *out,
                   struct intake *intake) {
  int ends[2];
  size_t filled = 0;
  demand(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 && intake_begin(intake, ends[1], false));
  for (size_t at = 0; at < size; at += piece) {
    size_t part = size - at < piece ? size - at : piece;
    demand(send(ends[0], data + at, part, 0) == (ssize_t)part);
    ssize_t came;
    while ((came = recv(ends[1], out + filled, room, MSG_DONTWAIT)) > 0)
      filled += (size_t)came;
  }
  intake_end(intake, ends[1]);
  close(ends[0]);
  close(ends[1]);
  return filled;
}

/* The first head that came through is one that passes once more as it is. */
static void check_head(const char *out, size_t size) {
  static char again[SIZE_MAX_IN + 4096];
  const char *end = memmem(out, size, "\r\n\r\n", 4);
  uint64_t length;
  if (!end || !memcmp(out, "POST ! ", 7))
    return;
  size_t head = (size_t)(end + 4 - out), plain = head;
  demand(!memchr(out, '\0', head));
  memcpy(again, out, head);
  demand(!head_check(again, &plain, &length).detail);
  demand(plain == head && !memcmp(again, out, head));
}

static size_t before_fault(const char *out, size_t size) {
  const char *head = memmem(out, size, "POST ! HTTP/1.1\r\n", 17);
  const char *chunk = memmem(out, size, "7fffffffffffffff\r\n!", 19);
  const char *first = head && (!chunk || head < chunk) ? head : chunk;
  demand(first != NULL);
  return (size_t)(first - out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static char whole[2 * SIZE_MAX_IN + 4096], parts[2 * SIZE_MAX_IN + 4096];
  struct intake at_once, in_parts;
  if (size < 1 || size > SIZE_MAX_IN)
    return 0;
  size_t piece = 1 + data[0] % 61, room = 1 + data[0] / 61 * 1000;
  size_t first = pass(data + 1, size - 1, SIZE_MAX_IN, 4096, whole, &at_once);
  size_t second = pass(data + 1, size - 1, piece, room, parts, &in_parts);
  demand((at_once.fault.detail != NULL) == (in_parts.fault.detail != NULL));
  demand(at_once.heads == in_parts.heads);
  /* Behind a fault what comes is handed on only to be dropped. */
  size_t same = at_once.fault.detail ? before_fault(whole, first) : first;
  demand(at_once.fault.detail || first == second);
  demand(same <= second && !memcmp(whole, parts, same));
  check_head(whole, first);
  return 0;
}
