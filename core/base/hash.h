/* Hashes of short texts, the same on every machine and in every run. They scatter well but are no
 * defence against somebody who looks for collisions: tables that use them must stay correct (if
 * slow) then. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/** Spreads all bits over all bits (the finaliser of splitmix64). */
static inline uint64_t hash_mix(uint64_t value) {
  value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
  value = (value ^ value >> 27) * 0x94d049bb133111ebu;
  return value ^ value >> 31;
}

/** The hash of a value put behind those that `hash` already stands for. */
static inline uint64_t hash_add(uint64_t hash, uint64_t value) {
  return hash_mix(hash * 0x9e3779b97f4a7c15u + value + 1);
}

/** FNV-1a of a text, mixed. */
static inline uint64_t hash_text(const char *text, size_t length) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (size_t i = 0; i < length; i++)
    hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3u;
  return hash_mix(hash);
}

#endif
