/* 32-bit numbers as bytes, the least first, at any address and on any machine. */
#ifndef BASE_LITTLE_ENDIAN_H
#define BASE_LITTLE_ENDIAN_H

#include <stdint.h>

/** The number in the four bytes from `at` on. */
static inline uint32_t little_endian_read(const unsigned char *at) {
  return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/** Writes a number to the four bytes from `to` on. */
static inline void little_endian_write(unsigned char *to, uint32_t value) {
  for (int i = 0; i < 4; i++)
    to[i] = (unsigned char)(value >> 8 * i);
}

#endif
