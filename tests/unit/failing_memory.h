/* Allocations that fail on demand, for test programs called test_memory or test_NAME_memory: the
 * linker sends every malloc, calloc, realloc and aligned_alloc of the library and the test here
 * (not those inside shared libraries).
 *
 *   do {
 *     failing_memory_arm(n++);
 *     status = operation();
 *   } while (failing_memory_disarm());
 *
 * runs an operation with its first allocation failing, then its second, until none does. Check's
 * own functions allocate too: assert only when disarmed.
 */
#ifndef FAILING_MEMORY_H
#define FAILING_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

static size_t failing_memory_countdown =
    SIZE_MAX; /* allocations until one fails; SIZE_MAX: never */
static bool failing_memory_failed;

static bool failing_memory_next(void) {
  if (failing_memory_countdown == SIZE_MAX || failing_memory_countdown-- > 0)
    return false;
  failing_memory_countdown = SIZE_MAX;
  failing_memory_failed = true;
  return true;
}

void *__wrap_malloc(size_t size) {
  return failing_memory_next() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
  return failing_memory_next() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size) {
  return failing_memory_next() ? NULL : __real_realloc(memory, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
  return failing_memory_next() ? NULL : __real_aligned_alloc(alignment, size);
}

/** Lets the allocation after the next n fail, once. */
static void failing_memory_arm(size_t n) {
  failing_memory_countdown = n;
  failing_memory_failed = false;
}

/** Ends that; whether an allocation did fail. */
static bool failing_memory_disarm(void) {
  failing_memory_countdown = SIZE_MAX;
  return failing_memory_failed;
}

#endif
