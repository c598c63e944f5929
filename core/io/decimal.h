/* Decimal numbers in text, read the same in every locale. */
#ifndef IO_DECIMAL_H
#define IO_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>

/* In bytes; longer numbers are refused: no writer makes them. */
#define DECIMAL_LENGTH_MAX ((size_t)512)

/** Reads the whole of `length` bytes as one decimal number: an optional sign, digits with at most
 * one point among them, an optional exponent. The result is the nearest double; a number too large
 * becomes infinite. False where the bytes are anything else ("nan" and "inf" are) or more than
 * DECIMAL_LENGTH_MAX. */
bool decimal_parse(const char *text, size_t length, double *value);

#endif
