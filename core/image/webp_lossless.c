/* How many groups of prefix codes a lossless WebP picture has, told before libwebp makes tables of
 * them: up to 65,536 groups of some 6 to 12 KiB each, which a file of 300 KB can ask for.
 *
 * The groups are chosen by the pixels of a small picture, the entropy image, which stands behind
 * the small pictures of the transforms. So those are read to their ends; of all but the last no
 * pixel matters, and of that one only the largest number among what is spelt out, since copies and
 * the colour cache give nothing that was not there before. The format is Google's "WebP Lossless
 * Bitstream Specification". */
#include <inttypes.h>
#include <string.h>

#include "codec.h"
#include "error.h"

enum {
  HEADER_BYTES = 5, /* a signature, two sides of 14 bits, and what is checked elsewhere */
  GROUPS_MAX = 4096,
  LENGTH_MAX = 15, /* bits of a code */
  LENGTH_CODES = 19,
  LITERALS = 256,
  COPY_LENGTHS = 24,
  DISTANCES = 40,
  CACHE_BITS_MAX = 11,
  SYMBOLS_MAX = LITERALS + COPY_LENGTHS + (1 << CACHE_BITS_MAX)
};

/* ---- bits ------------------------------------------------------------------------------------ */

/* Least significant first. Beyond the end they are 0, and `damaged` is set; so is it by all else
 * that libwebp would refuse. */
struct bits {
  const uint8_t *data;
  uint64_t count, at;
  bool damaged;
};

static unsigned read_bits(struct bits *bits, unsigned count) {
  unsigned value = 0;
  if (count > bits->count - bits->at) {
    bits->damaged = true;
    return 0;
  }
  for (unsigned i = 0; i < count; i++, bits->at++)
    value |= ((unsigned)bits->data[bits->at / 8] >> bits->at % 8 & 1U) << i;
  return value;
}

/* ---- prefix codes ---------------------------------------------------------------------------- */

/* Canonical: symbols in the order of their codes, and how many have codes of each length. One
 * symbol alone takes no bit. */
struct code {
  unsigned counts[LENGTH_MAX + 1];
  unsigned used;
  uint16_t symbols[SYMBOLS_MAX];
};

static void build_code(struct bits *bits, struct code *code, const uint8_t *lengths,
                       size_t alphabet) {
  unsigned next[LENGTH_MAX + 2] = {0};
  int open = 1;
  memset(code->counts, 0, sizeof code->counts);
  for (size_t i = 0; i < alphabet; i++)
    code->counts[lengths[i]]++;
  code->used = (unsigned)alphabet - code->counts[0];
  code->counts[0] = 0;
  for (size_t length = 1; length <= LENGTH_MAX && open >= 0; length++) {
    open = 2 * open - (int)code->counts[length];
    next[length + 1] = next[length] + code->counts[length];
  }
  if (code->used == 0 || (code->used > 1 && open != 0)) {
    bits->damaged = true;
    return;
  }
  for (size_t i = 0; i < alphabet; i++)
    if (lengths[i])
      code->symbols[next[lengths[i]]++] = (uint16_t)i;
}

static unsigned read_symbol(struct bits *bits, const struct code *code) {
  unsigned value = 0, first = 0, index = 0;
  if (code->used == 1)
    return code->symbols[0];
  for (size_t length = 1; length <= LENGTH_MAX && !bits->damaged; length++) {
    unsigned count = code->counts[length];
    value |= read_bits(bits, 1);
    if (value < first + count)
      return code->symbols[index + value - first];
    index += count;
    first = (first + count) << 1;
    value <<= 1;
  }
  bits->damaged = true;
  return 0;
}

/* Lengths of codes, which are written with a prefix code of their own. */
static void read_lengths(struct bits *bits, uint8_t *lengths, size_t alphabet) {
  static const uint8_t order[LENGTH_CODES] = {17, 18, 0, 1,  2,  3,  4,  5,  16, 6,
                                              7,  8,  9, 10, 11, 12, 13, 14, 15};
  static const unsigned repeat_bits[] = {2, 3, 7}, repeat_least[] = {3, 3, 11};
  uint8_t of_lengths[LENGTH_CODES] = {0}, previous = 8;
  struct code code;
  for (size_t i = 0, count = 4 + read_bits(bits, 4); i < count; i++)
    of_lengths[order[i]] = (uint8_t)read_bits(bits, 3);
  build_code(bits, &code, of_lengths, LENGTH_CODES);
  size_t written = alphabet; /* numbers that are written; the rest are 0 */
  if (read_bits(bits, 1)) {
    unsigned wide = 2 + 2 * read_bits(bits, 3);
    written = 2 + read_bits(bits, wide);
    bits->damaged = bits->damaged || written > alphabet;
  }
  for (size_t i = 0; i < alphabet && written > 0 && !bits->damaged; written--) {
    unsigned symbol = read_symbol(bits, &code);
    if (symbol <= LENGTH_MAX) {
      lengths[i++] = (uint8_t)symbol;
      previous = symbol ? (uint8_t)symbol : previous;
      continue;
    }
    size_t repeat = repeat_least[symbol - 16] + read_bits(bits, repeat_bits[symbol - 16]);
    if (repeat > alphabet - i) {
      bits->damaged = true;
      return;
    }
    memset(lengths + i, symbol == 16 ? previous : 0, repeat);
    i += repeat;
  }
}

static void read_code(struct bits *bits, struct code *code, size_t alphabet) {
  uint8_t lengths[SYMBOLS_MAX] = {0};
  if (read_bits(bits, 1)) { /* one symbol or two, spelt out */
    bool two = read_bits(bits, 1);
    lengths[read_bits(bits, read_bits(bits, 1) ? 8 : 1)] = 1;
    if (two)
      lengths[read_bits(bits, 8)] = 1;
  } else {
    read_lengths(bits, lengths, alphabet);
  }
  if (!bits->damaged)
    build_code(bits, code, lengths, alphabet);
}

/* ---- pictures -------------------------------------------------------------------------------- */

/* A length or a distance: its symbol gives its size and first bits. */
static uint64_t read_prefixed(struct bits *bits, unsigned symbol) {
  if (symbol < 4)
    return symbol + 1;
  unsigned extra = (symbol - 2) / 2;
  return ((uint64_t)(2 + symbol % 2) << extra) + read_bits(bits, extra) + 1;
}

static unsigned read_cache_bits(struct bits *bits) {
  unsigned cache = 0;
  if (read_bits(bits, 1)) {
    cache = read_bits(bits, 4);
    bits->damaged = bits->damaged || cache < 1 || cache > CACHE_BITS_MAX;
  }
  return bits->damaged ? 0 : cache;
}

/* Reads a small picture of that many pixels, which has one group of codes, to its end. Gives the
 * largest 16-bit number, red above green, among its pixels. */
static unsigned read_picture(struct bits *bits, uint64_t pixels) {
  enum { GREEN, RED, BLUE, ALPHA, DISTANCE, CODES };
  struct code codes[CODES];
  unsigned cache = read_cache_bits(bits), largest = 0;
  size_t greens = LITERALS + COPY_LENGTHS + (cache ? (size_t)1 << cache : 0);
  for (size_t i = 0; i < CODES && !bits->damaged; i++)
    read_code(bits, &codes[i], i == GREEN ? greens : i == DISTANCE ? DISTANCES : LITERALS);
  for (uint64_t i = 0; i < pixels && !bits->damaged;) {
    unsigned green = read_symbol(bits, &codes[GREEN]);
    uint64_t length = 1;
    if (green < LITERALS) {
      unsigned number = read_symbol(bits, &codes[RED]) << 8 | green;
      read_symbol(bits, &codes[BLUE]);
      read_symbol(bits, &codes[ALPHA]);
      largest = number > largest ? number : largest;
    } else if (green < LITERALS + COPY_LENGTHS) {
      length = read_prefixed(bits, green - LITERALS);
      read_prefixed(bits, read_symbol(bits, &codes[DISTANCE]));
    }
    bits->damaged = bits->damaged || length > pixels - i;
    i += length;
  }
  return largest;
}

/* Of a small picture whose pixels stand for squares of 4 to 512 pixels a side. */
static uint64_t read_squares(struct bits *bits, uint32_t width, uint32_t height) {
  unsigned side = 2 + read_bits(bits, 3);
  uint64_t across = ((uint64_t)width + (1U << side) - 1) >> side;
  uint64_t down = ((uint64_t)height + (1U << side) - 1) >> side;
  return across * down;
}

/* Reads the transforms; colours by index leave a narrower picture. */
static uint32_t skip_transforms(struct bits *bits, uint32_t width, uint32_t height) {
  enum { PREDICTOR, CROSS_COLOUR, SUBTRACT_GREEN, COLOUR_INDEX };
  bool seen[4] = {false};
  while (!bits->damaged && read_bits(bits, 1)) {
    unsigned transform = read_bits(bits, 2);
    bits->damaged = bits->damaged || seen[transform];
    seen[transform] = true;
    if (transform == PREDICTOR || transform == CROSS_COLOUR) {
      read_picture(bits, read_squares(bits, width, height));
    } else if (transform == COLOUR_INDEX) {
      unsigned colours = read_bits(bits, 8) + 1;
      read_picture(bits, colours);
      unsigned packed = colours <= 2 ? 3 : colours <= 4 ? 2 : colours <= 16 ? 1 : 0;
      width = (width + (1U << packed) - 1) >> packed;
    }
  }
  return width;
}

enum vqct_status webp_lossless_check(const uint8_t *data, size_t size, uint32_t width,
                                     uint32_t height, bool headless, struct vqct_error *error) {
  struct bits bits = {.data = data, .count = 8 * (uint64_t)size};
  unsigned groups = 1;
  if (!headless) {
    bits.damaged = size < HEADER_BYTES;
    bits.at = bits.damaged ? 0 : 8 * HEADER_BYTES;
  }
  width = skip_transforms(&bits, width, height);
  read_cache_bits(&bits);
  if (!bits.damaged && read_bits(&bits, 1))
    groups += read_picture(&bits, read_squares(&bits, width, height));
  if (bits.damaged)
    return error_set(error, VQCT_IMAGE, "the WebP file is damaged or truncated in its codes");
  if (groups > GROUPS_MAX)
    return error_set(error, VQCT_LIMIT,
                     "the WebP file has %u groups of codes, over the limit of %d", groups,
                     GROUPS_MAX);
  return VQCT_OK;
}
