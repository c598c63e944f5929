/* Whether bytes are text, as UTF-8 defines it: what files of words and models may hold. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Bytes of the character that begins with this byte, 1 to 4, by UTF-8's table; 0 where none does.
 */
size_t utf8_character_bytes(unsigned char first);

/** Whether length bytes are well-formed UTF-8 without a zero byte. */
bool utf8_is_valid(const char *text, size_t length);

/** Whether they are such UTF-8 without ASCII control characters, which a terminal can be given. */
bool utf8_is_printable(const char *text, size_t length);

/** Bytes of the well-formed character at the beginning of a text that a zero byte ends, 1 to 4; 0
 * where none is there. */
size_t utf8_valid_bytes(const char *text);

/** A copy, from malloc, of a text in which each byte that is not part of well-formed UTF-8 is \xHH,
 * and with `controls` each byte of a control character too (ASCII's, DEL, U+0080 to U+009F): what a
 * terminal can be given. NULL where memory fails. */
char *utf8_escape(const char *text, bool controls);

/** Writes the 1 to 4 bytes of a character, up to U+10FFFF, and gives their number. */
size_t utf8_encode(uint32_t point, char *bytes);

/** Puts well-formed UTF-8 into lower case in place: ASCII and the Latin letters up to U+017F whose
 * lower case is as long. A typographic apostrophe becomes a plain one. Returns the new length,
 * which is never larger. */
size_t utf8_lower(char *text, size_t length);

#endif
