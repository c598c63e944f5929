#include "pickle_value.h"

#include <string.h>

const struct pickle_value *pickle_find(const struct pickle_value *dict, const char *key) {
  size_t length = strlen(key);
  for (size_t i = dict && dict->kind == PICKLE_DICT ? dict->count : 0; i >= 2; i -= 2) {
    const struct pickle_value *at = dict->item[i - 2];
    if (at->kind == PICKLE_TEXT && at->count == length && memcmp(at->text, key, length) == 0)
      return dict->item[i - 1];
  }
  return NULL;
}

int pickle_is_call(const struct pickle_value *value, const char *global) {
  return value && value->kind == PICKLE_CALL && value->item[0]->kind == PICKLE_GLOBAL &&
         strcmp(value->item[0]->text, global) == 0;
}

const char *pickle_class(const struct pickle_value *value) {
  if (!value || value->kind != PICKLE_CALL)
    return NULL;
  const struct pickle_value *made = value->item[0];
  if (pickle_is_call(value, "copyreg _reconstructor") ||
      pickle_is_call(value, "copy_reg _reconstructor"))
    made = pickle_item(value->item[1], 0);
  return made && made->kind == PICKLE_GLOBAL ? made->text : NULL;
}

const struct pickle_value *pickle_item(const struct pickle_value *list, size_t index) {
  return list && list->kind == PICKLE_LIST && index < list->count ? list->item[index] : NULL;
}
