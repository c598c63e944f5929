/* Files of the source tree inside the program.
 *
 *   EMBED_FILE(page, "server/web/page.html")
 *   ...
 *   write(fd, page_data, embed_size(page));
 *
 * EMBED_FILE stands at file scope and defines page_data and page_end for that file only; the bytes
 * are followed by one zero byte that is not counted. The path is relative to the top of the tree,
 * where the compiler runs. The Makefile must say that the object depends on the embedded file:
 * gcc's dependency list does not name what the assembler reads. */
#ifndef BASE_EMBED_H
#define BASE_EMBED_H

#include <stddef.h>
#include <stdint.h>

#define EMBED_FILE(name, path)                                                                     \
  extern const unsigned char name##_data[], name##_end[];                                          \
  __asm__(".pushsection .rodata\n"                                                                 \
          ".balign 64\n"                                                                           \
          ".local " #name "_data\n"                                                                \
          ".local " #name "_end\n" #name "_data:\n"                                                \
          ".incbin \"" path "\"\n" #name "_end:\n"                                                 \
          ".byte 0\n"                                                                              \
          ".popsection\n");

/** Bytes of a file embedded in this source file. To C its two ends are different objects, so that
 * their addresses are compared as numbers. */
#define embed_size(name) ((size_t)((uintptr_t)name##_end - (uintptr_t)name##_data))

#endif
