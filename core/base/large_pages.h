/* Large pages for large blocks. */
#ifndef BASE_LARGE_PAGES_H
#define BASE_LARGE_PAGES_H

#include <stddef.h>

/** Asks the kernel for large pages under a block that is new and will be written whole: fewer are
 * to be made, and fewer looked up by who reads many places at once. A wish, whose failure changes
 * nothing; nothing where the block holds no large page. */
void large_pages_ask(void *block, size_t bytes);

#endif
