/* One pass in place: a character is never longer than its reference, so writing stays behind
 * reading. Numbers are taken as browsers take them, by Windows-1252 from 128 to 159.
 */
#include "entities.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

#define NAME_BYTES_MAX 31 /* "CounterClockwiseContourIntegral" */
#define TIMES_ESCAPED  2

struct entity {
  const char *name;
  uint32_t point;
};

/* Those of HTML 4, by name. */
static const struct entity entities[] = {
    {"AElig", 198},   {"Aacute", 193},  {"Acirc", 194},   {"Agrave", 192},  {"Alpha", 913},
    {"Aring", 197},   {"Atilde", 195},  {"Auml", 196},    {"Beta", 914},    {"Ccedil", 199},
    {"Chi", 935},     {"Dagger", 8225}, {"Delta", 916},   {"ETH", 208},     {"Eacute", 201},
    {"Ecirc", 202},   {"Egrave", 200},  {"Epsilon", 917}, {"Eta", 919},     {"Euml", 203},
    {"Gamma", 915},   {"Iacute", 205},  {"Icirc", 206},   {"Igrave", 204},  {"Iota", 921},
    {"Iuml", 207},    {"Kappa", 922},   {"Lambda", 923},  {"Mu", 924},      {"Ntilde", 209},
    {"Nu", 925},      {"OElig", 338},   {"Oacute", 211},  {"Ocirc", 212},   {"Ograve", 210},
    {"Omega", 937},   {"Omicron", 927}, {"Oslash", 216},  {"Otilde", 213},  {"Ouml", 214},
    {"Phi", 934},     {"Pi", 928},      {"Prime", 8243},  {"Psi", 936},     {"Rho", 929},
    {"Scaron", 352},  {"Sigma", 931},   {"THORN", 222},   {"Tau", 932},     {"Theta", 920},
    {"Uacute", 218},  {"Ucirc", 219},   {"Ugrave", 217},  {"Upsilon", 933}, {"Uuml", 220},
    {"Xi", 926},      {"Yacute", 221},  {"Yuml", 376},    {"Zeta", 918},    {"aacute", 225},
    {"acirc", 226},   {"acute", 180},   {"aelig", 230},   {"agrave", 224},  {"alefsym", 8501},
    {"alpha", 945},   {"amp", 38},      {"and", 8743},    {"ang", 8736},    {"aring", 229},
    {"asymp", 8776},  {"atilde", 227},  {"auml", 228},    {"bdquo", 8222},  {"beta", 946},
    {"brvbar", 166},  {"bull", 8226},   {"cap", 8745},    {"ccedil", 231},  {"cedil", 184},
    {"cent", 162},    {"chi", 967},     {"circ", 710},    {"clubs", 9827},  {"cong", 8773},
    {"copy", 169},    {"crarr", 8629},  {"cup", 8746},    {"curren", 164},  {"dArr", 8659},
    {"dagger", 8224}, {"darr", 8595},   {"deg", 176},     {"delta", 948},   {"diams", 9830},
    {"divide", 247},  {"eacute", 233},  {"ecirc", 234},   {"egrave", 232},  {"empty", 8709},
    {"emsp", 8195},   {"ensp", 8194},   {"epsilon", 949}, {"equiv", 8801},  {"eta", 951},
    {"eth", 240},     {"euml", 235},    {"euro", 8364},   {"exist", 8707},  {"fnof", 402},
    {"forall", 8704}, {"frac12", 189},  {"frac14", 188},  {"frac34", 190},  {"frasl", 8260},
    {"gamma", 947},   {"ge", 8805},     {"gt", 62},       {"hArr", 8660},   {"harr", 8596},
    {"hearts", 9829}, {"hellip", 8230}, {"iacute", 237},  {"icirc", 238},   {"iexcl", 161},
    {"igrave", 236},  {"image", 8465},  {"infin", 8734},  {"int", 8747},    {"iota", 953},
    {"iquest", 191},  {"isin", 8712},   {"iuml", 239},    {"kappa", 954},   {"lArr", 8656},
    {"lambda", 955},  {"lang", 10216},  {"laquo", 171},   {"larr", 8592},   {"lceil", 8968},
    {"ldquo", 8220},  {"le", 8804},     {"lfloor", 8970}, {"lowast", 8727}, {"loz", 9674},
    {"lrm", 8206},    {"lsaquo", 8249}, {"lsquo", 8216},  {"lt", 60},       {"macr", 175},
    {"mdash", 8212},  {"micro", 181},   {"middot", 183},  {"minus", 8722},  {"mu", 956},
    {"nabla", 8711},  {"nbsp", 160},    {"ndash", 8211},  {"ne", 8800},     {"ni", 8715},
    {"not", 172},     {"notin", 8713},  {"nsub", 8836},   {"ntilde", 241},  {"nu", 957},
    {"oacute", 243},  {"ocirc", 244},   {"oelig", 339},   {"ograve", 242},  {"oline", 8254},
    {"omega", 969},   {"omicron", 959}, {"oplus", 8853},  {"or", 8744},     {"ordf", 170},
    {"ordm", 186},    {"oslash", 248},  {"otilde", 245},  {"otimes", 8855}, {"ouml", 246},
    {"para", 182},    {"part", 8706},   {"permil", 8240}, {"perp", 8869},   {"phi", 966},
    {"pi", 960},      {"piv", 982},     {"plusmn", 177},  {"pound", 163},   {"prime", 8242},
    {"prod", 8719},   {"prop", 8733},   {"psi", 968},     {"quot", 34},     {"rArr", 8658},
    {"radic", 8730},  {"rang", 10217},  {"raquo", 187},   {"rarr", 8594},   {"rceil", 8969},
    {"rdquo", 8221},  {"real", 8476},   {"reg", 174},     {"rfloor", 8971}, {"rho", 961},
    {"rlm", 8207},    {"rsaquo", 8250}, {"rsquo", 8217},  {"sbquo", 8218},  {"scaron", 353},
    {"sdot", 8901},   {"sect", 167},    {"shy", 173},     {"sigma", 963},   {"sigmaf", 962},
    {"sim", 8764},    {"spades", 9824}, {"sub", 8834},    {"sube", 8838},   {"sum", 8721},
    {"sup", 8835},    {"sup1", 185},    {"sup2", 178},    {"sup3", 179},    {"supe", 8839},
    {"szlig", 223},   {"tau", 964},     {"there4", 8756}, {"theta", 952},   {"thetasym", 977},
    {"thinsp", 8201}, {"thorn", 254},   {"tilde", 732},   {"times", 215},   {"trade", 8482},
    {"uArr", 8657},   {"uacute", 250},  {"uarr", 8593},   {"ucirc", 251},   {"ugrave", 249},
    {"uml", 168},     {"upsih", 978},   {"upsilon", 965}, {"uuml", 252},    {"weierp", 8472},
    {"xi", 958},      {"yacute", 253},  {"yen", 165},     {"yuml", 255},    {"zeta", 950},
    {"zwj", 8205},    {"zwnj", 8204},
};

/* What browsers make of the numbers 128 to 159: the characters of Windows-1252; 0: none. */
static const uint16_t windows[32] = {
    0x20ac, 0,      0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
    0x2039, 0x0152, 0,      0x017d, 0,      0,      0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
    0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,      0x017e, 0x0178};

static int compare_names(const void *a, const void *b) {
  return strcmp(a, ((const struct entity *)b)->name);
}

static uint32_t named_point(const char *name, size_t length) {
  char key[NAME_BYTES_MAX + 1] = "";
  memcpy(key, name, length);
  if (!strcmp(key, "apos")) /* of XML and HTML 5 */
    return '\'';
  const struct entity *entity =
      bsearch(key, entities, sizeof entities / sizeof *entities, sizeof *entities, compare_names);
  return entity ? entity->point : ' ';
}

/* The value of digits behind "#" or "#x"; a blank for what is no printable character. */
static uint32_t numbered_point(const char *digits, size_t length, int base) {
  char key[NAME_BYTES_MAX + 1] = "";
  memcpy(key, digits, length);
  unsigned long point = strtoul(key, NULL, base);
  if (point >= 0x80 && point < 0xa0)
    point = windows[point - 0x80];
  bool surrogate = point >= 0xd800 && point < 0xe000;
  return point < ' ' || point == 0x7f || surrogate || point > 0x10ffff ? ' ' : (uint32_t)point;
}

static bool are(const char *text, size_t length, const char *allowed) {
  return length > 0 && strspn(text, allowed) >= length;
}

/* The character that the reference between "&" and ";" stands for; 0 where it is none. */
static uint32_t reference_point(const char *inner, size_t length) {
  static const char digits[] = "0123456789", hexadecimal[] = "0123456789abcdefABCDEF";
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  if (length < 2 || length > NAME_BYTES_MAX)
    return 0;
  if (inner[0] == '#' && (inner[1] == 'x' || inner[1] == 'X'))
    return are(inner + 2, length - 2, hexadecimal) ? numbered_point(inner + 2, length - 2, 16) : 0;
  if (inner[0] == '#')
    return are(inner + 1, length - 1, digits) ? numbered_point(inner + 1, length - 1, 10) : 0;
  bool begins = inner[0] > '9'; /* with a letter, as it holds only letters and digits */
  return begins && are(inner, length, letters) ? named_point(inner, length) : 0;
}

/* Where the reference that begins at "&" ends with ";"; NULL where there is none. */
static const char *reference_end(const char *at, const char *end) {
  size_t most = (size_t)(end - at) < NAME_BYTES_MAX + 2 ? (size_t)(end - at) : NAME_BYTES_MAX + 2;
  return memchr(at, ';', most);
}

static size_t decode_once(char *text, size_t length) {
  const char *end = text + length;
  char *to = text;
  for (const char *at = text; at < end;) {
    const char *stop = *at == '&' ? reference_end(at, end) : NULL;
    uint32_t point = stop ? reference_point(at + 1, (size_t)(stop - at - 1)) : 0;
    if (point) {
      to += utf8_encode(point, to); /* no reference is shorter than its character */
      at = stop + 1;
    } else {
      *to++ = *at++;
    }
  }
  return (size_t)(to - text);
}

size_t entities_decode(char *text, size_t length) {
  for (int i = 0; i < TIMES_ESCAPED && memchr(text, '&', length); i++)
    length = decode_once(text, length);
  return length;
}
