/* Text that grows as it is written: bodies, metrics pages and log lines.
 *
 * Once memory fails, `failed` stays set, what is written later is dropped, and whoever sends the
 * text checks the flag once at the end. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
  char *data; /* size bytes and a zero byte; NULL while nothing was written */
  size_t size, capacity;
  bool failed;
};

/** Adds size bytes. */
void text_add(struct text *text, const void *data, size_t size);

/** The four bytes of a number, the least first. */
void text_add_u32(struct text *text, uint32_t value);

/** Adds a formatted string. */
void text_print(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Adds a string as a JSON string with its quotes; bytes that are not UTF-8 become '?'. */
void text_add_json(struct text *text, const char *string);

/** Makes room for size more bytes; false where memory fails. */
bool text_reserve(struct text *text, size_t size);

/** Frees the memory and clears the record. */
void text_free(struct text *text);

#endif
