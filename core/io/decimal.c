/* Up to 19 digits fit 64 bits. Where the number they make is below 2^53 and the power of ten at
 * most 10^22, both are exact doubles, so that one multiplication or division rounds once and gives
 * the nearest double (Clinger 1990). Nearly every number of an embedding file is of this kind; the
 * rest goes to strtod, which is an order of magnitude slower. */
#include "decimal.h"

#include <locale.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EXPONENT_MAX 100000

struct decimal {
  bool negative;
  uint64_t digits; /* the first 19 significant digits as one number */
  int exponent;    /* value = digits * 10^exponent, where `exact` */
  bool exact;      /* no digit was left out */
};

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

static void take_digit(struct decimal *number, char c, bool after_point) {
  if (number->digits >= UINT64_MAX / 10 - 1) {
    number->exact = false;
    return;
  }
  number->digits = number->digits * 10 + (uint64_t)(c - '0');
  number->exponent -= after_point;
}

/* Reads the exponent behind its letter; false where there is none. */
static bool scan_exponent(const char *text, const char *end, int *exponent) {
  bool negative = text < end && *text == '-';
  if (text < end && (*text == '-' || *text == '+'))
    text++;
  if (text == end)
    return false;
  int value = 0;
  for (; text < end; text++) {
    if (!is_digit(*text))
      return false;
    if (value < EXPONENT_MAX)
      value = value * 10 + (*text - '0');
  }
  *exponent = negative ? -value : value;
  return true;
}

static bool scan(const char *text, const char *end, struct decimal *number) {
  *number = (struct decimal){.exact = true};
  if (text < end && (*text == '-' || *text == '+'))
    number->negative = *text++ == '-';
  bool any = false, point = false;
  for (; text < end && (is_digit(*text) || (*text == '.' && !point)); text++) {
    if (*text == '.') {
      point = true;
    } else {
      any = true;
      take_digit(number, *text, point);
    }
  }
  if (!any)
    return false;
  if (text == end)
    return true;
  int exponent;
  if ((*text != 'e' && *text != 'E') || !scan_exponent(text + 1, end, &exponent))
    return false;
  number->exponent += exponent;
  return true;
}

/* strtod, with the point of the locale that the process happens to be in. */
static double convert_slowly(const char *text, size_t length) {
  char copy[DECIMAL_LENGTH_MAX + 8];
  const char *mark = localeconv()->decimal_point;
  size_t mark_length = strlen(mark), used = 0;
  for (size_t i = 0; i < length; i++) {
    if (text[i] == '.' && mark_length > 0 && mark_length <= 8) {
      memcpy(copy + used, mark, mark_length);
      used += mark_length;
    } else {
      copy[used++] = text[i];
    }
  }
  copy[used] = '\0';
  return strtod(copy, NULL);
}

bool decimal_parse(const char *text, size_t length, double *value) {
  static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                  1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                  1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  struct decimal number;
  if (length == 0 || length > DECIMAL_LENGTH_MAX || !scan(text, text + length, &number))
    return false;
  if (!number.exact || number.digits >= (uint64_t)1 << 53 || number.exponent < -22 ||
      number.exponent > 22) {
    *value = convert_slowly(text, length);
    return true;
  }
  double magnitude = (double)number.digits;
  if (number.exponent < 0)
    magnitude /= powers[-number.exponent];
  else
    magnitude *= powers[number.exponent];
  *value = number.negative ? -magnitude : magnitude;
  return true;
}
