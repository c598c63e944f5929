/* A variable that is no option but within a letter or two of one is taken for a misspelt one; any
 * other may be somebody else's. */
#include "environment.h"

#include <stdlib.h>
#include <string.h>

#include "size.h"

#define PREFIX "VQCT_"
#define SHORT_NAME                                                                                 \
  6 /* letters: a name of so many may be wrong in one of them, a longer one in two */
#define LETTERS_MAX (sizeof((struct variable_name *)0)->text)

extern char **environ;

struct variable_name variable_name(const struct option *option) {
  struct variable_name name;
  snprintf(name.text, sizeof name.text, PREFIX "%s", option->name);
  for (char *c = name.text; *c; c++)
    *c = *c == '-' ? '_' : *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
  return name;
}

const char *variable_value(const char *name) {
  const char *text = getenv(name);
  if (!text || !*text || !strncmp(text, "tcp://", 6) || !strncmp(text, "udp://", 6) ||
      !strncmp(text, "sctp://", 7))
    return NULL;
  return text;
}

/* Letters to insert, leave out, change or swap with their neighbour to make b of a (optimal string
 * alignment). Both have at most LETTERS_MAX letters. */
static size_t letters_apart(const char *a, size_t a_length, const char *b, size_t b_length) {
  size_t rows[3][LETTERS_MAX + 1], *before = rows[0], *last = rows[1], *row = rows[2];
  for (size_t j = 0; j <= b_length; j++)
    last[j] = before[j] = j;
  for (size_t i = 1; i <= a_length; i++) {
    row[0] = i;
    for (size_t j = 1; j <= b_length; j++) {
      row[j] =
          size_least(size_least(last[j], row[j - 1]) + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = size_least(row[j], before[j - 2] + 1);
    }
    size_t *free_row = before;
    before = last;
    last = row;
    row = free_row;
  }
  return last[b_length];
}

bool environment_misspelt(const struct option_table *table, struct variable_name *misspelt,
                          struct variable_name *meant) {
  const size_t prefix = strlen(PREFIX);
  for (char **variable = environ; *variable; variable++) {
    size_t length = strcspn(*variable, "=");
    if (strncmp(*variable, PREFIX, prefix) != 0 || length >= LETTERS_MAX || length <= prefix)
      continue;
    snprintf(misspelt->text, sizeof misspelt->text, "%.*s", (int)length, *variable);
    if (!strcmp(misspelt->text, PREFIX "CONFIG") || !variable_value(misspelt->text))
      continue;
    bool option = false, near = false;
    for (size_t i = 0; i < table->count && !option; i++) {
      struct variable_name name = variable_name(&table->options[i]);
      size_t letters = strlen(name.text), allowed = letters - prefix <= SHORT_NAME ? 1 : 2;
      size_t apart = letters_apart(misspelt->text, length, name.text, letters);
      option = apart == 0;
      if (!near && apart <= allowed) {
        near = true;
        *meant = name;
      }
    }
    if (near && !option)
      return true;
  }
  return false;
}
