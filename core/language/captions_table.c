/* Tables of captions, character by character, so that memory does not depend on what a field holds:
 * of the wanted column as much as a caption may have is kept, of the others nothing. */
#include <string.h>

#include "captions_forms.h"
#include "error.h"

#define FIELD_BYTES_MAX  (2 * CAPTION_BYTES_MAX + 2) /* quotes and doubled ones still in it */
#define COLUMNS_TOLD_MAX 256                         /* bytes of their names in a message */

enum field_place { FIELD_BEGINS, FIELD_PLAIN, FIELD_QUOTED, FIELD_QUOTE_MET };

struct table {
  const struct caption_reader *reader;
  char separator;
  bool quotes;
  enum field_place place;
  bool headed;           /* the line of names has been read */
  size_t column, field;  /* the wanted one once headed; the one being read */
  bool found, any;       /* any: the record has a character or a separator */
  uint64_t line, opened; /* now; where the quote that is open was met */
  char *text;            /* of the field being read, where it is wanted */
  size_t length;
  char *value; /* of the wanted column of this record */
  size_t value_length;
  bool has_value;
  char columns[COLUMNS_TOLD_MAX];
};

static void put(struct table *table, char c) {
  table->any = true;
  if (table->headed && table->field != table->column)
    return;
  if (table->length < FIELD_BYTES_MAX)
    table->text[table->length++] = c;
}

/* A tab-separated field in quotes, as spreadsheets write it, without them. */
static void unquote(char *text, size_t *length) {
  if (*length < 2 || text[0] != '"' || text[*length - 1] != '"')
    return;
  size_t to = 0;
  for (size_t from = 1; from + 1 < *length; from++) {
    text[to++] = text[from];
    if (text[from] == '"' && from + 2 < *length && text[from + 1] == '"')
      from++;
  }
  *length = to;
}

static void take_name(struct table *table) {
  size_t told = strlen(table->columns);
  if (!table->found && table->length == strlen(table->reader->column) &&
      !memcmp(table->text, table->reader->column, table->length)) {
    table->found = true;
    table->column = table->field;
  }
  size_t room = sizeof table->columns - told - 1, more = table->length + 2;
  if (told && more > room)
    return;
  if (told)
    strcat(table->columns, ", ");
  strncat(table->columns, table->text, table->length < room / 2 ? table->length : room / 2);
}

static void end_field(struct table *table) {
  if (!table->quotes)
    unquote(table->text, &table->length);
  if (!table->headed) {
    take_name(table);
  } else if (table->field == table->column) {
    memcpy(table->value, table->text, table->length);
    table->value_length = table->length;
    table->has_value = true;
  }
  table->length = 0;
  table->field++;
  table->place = FIELD_BEGINS;
}

static enum vqct_status end_record(struct table *table, struct vqct_error *error) {
  bool any = table->any, headed = table->headed;
  enum vqct_status status = VQCT_OK;
  if (any)
    end_field(table);
  if (any && headed && table->has_value)
    status = caption_reader_take(table->reader, table->value, table->value_length, error);
  else if (any && headed)
    table->reader->counts->missing++;
  else if (any && !table->found)
    status = error_set(
        error, VQCT_DATA, "%s: its first line has no column '%s' but: %s; --column names another",
        byte_stream_name(table->reader->stream), table->reader->column, table->columns);
  table->headed |= any;
  table->any = table->has_value = false;
  table->field = table->length = 0;
  table->place = FIELD_BEGINS;
  return status;
}

static enum vqct_status take_character(struct table *table, char c, struct vqct_error *error) {
  if (table->place == FIELD_QUOTED) {
    if (c == '"')
      table->place = FIELD_QUOTE_MET;
    else
      put(table, c);
    return VQCT_OK;
  }
  if (table->place == FIELD_QUOTE_MET && c == '"') {
    put(table, c);
    table->place = FIELD_QUOTED;
  } else if (table->quotes && table->place == FIELD_BEGINS && c == '"') {
    table->any = true;
    table->opened = table->line;
    table->place = FIELD_QUOTED;
  } else if (c == table->separator) {
    table->any = true;
    end_field(table);
  } else if (c == '\n') {
    return end_record(table, error);
  } else if (c != '\r') {
    put(table, c);
    table->place = FIELD_PLAIN;
  }
  return VQCT_OK;
}

static enum vqct_status read_all(struct table *table, struct vqct_error *error) {
  struct byte_stream *stream = table->reader->stream;
  for (;;) {
    const char *bytes;
    size_t size;
    enum vqct_status status = byte_stream_block(stream, &bytes, &size, error);
    if (status != VQCT_OK)
      return status;
    if (!size)
      break;
    for (size_t i = 0; i < size; i++) {
      status = take_character(table, bytes[i], error);
      if (status != VQCT_OK)
        return status;
      table->line += bytes[i] == '\n';
    }
  }
  if (table->place == FIELD_QUOTED)
    return error_set(error, VQCT_DATA, "%s:%llu: the quote that opens here is never closed",
                     byte_stream_name(stream), (unsigned long long)table->opened);
  return end_record(table, error);
}

enum vqct_status captions_read_table(const struct caption_reader *reader, bool tabs,
                                     struct vqct_error *error) {
  char text[FIELD_BYTES_MAX], value[FIELD_BYTES_MAX];
  struct table table = {.reader = reader,
                        .separator = tabs ? '\t' : ',',
                        .quotes = !tabs,
                        .line = 1,
                        .text = text,
                        .value = value};
  return read_all(&table, error);
}
