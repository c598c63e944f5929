#define _DEFAULT_SOURCE /* madvise */
#include "large_pages.h"

#include <stdint.h>
#include <sys/mman.h>

#define LARGE_PAGE ((size_t)2 << 20) /* bytes, on most processors */

void large_pages_ask(void *block, size_t bytes) {
#if defined(MADV_HUGEPAGE)
  uintptr_t begin = ((uintptr_t)block + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE;
  uintptr_t end = ((uintptr_t)block + bytes) / LARGE_PAGE * LARGE_PAGE;
  if (begin < end)
    madvise((void *)begin, end - begin, MADV_HUGEPAGE);
#else
  (void)block;
  (void)bytes;
#endif
}
