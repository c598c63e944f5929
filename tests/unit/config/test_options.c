#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "options.h"

struct settings {
  bool fast;
  int64_t size;
  double rate;
  const char *output;
  int mode;
  int64_t bytes;
  double wait;
  struct option_list keys;
};

#define AT(field) offsetof(struct settings, field)
static const struct option rows[] = {
    {"fast", 'f', OPTION_SWITCH, AT(fast), NULL, 0, 0, NULL, NULL, "a switch"},
    {"size", 0, OPTION_INTEGER, AT(size), "256", 8, 65535, NULL, "PIXELS", "a whole number"},
    {"rate", 0, OPTION_NUMBER, AT(rate), "0.5", 0, 1, NULL, "RATE", "a number"},
    {"output", 'o', OPTION_TEXT, AT(output), NULL, 0, 0, NULL, "FILE", "a text"},
    {"mode", 0, OPTION_CHOICE, AT(mode), "contain", 0, 0, "cover|contain|none", "MODE", "a choice"},
    {"max-bytes", 0, OPTION_SIZE, AT(bytes), "4K", 0, 1e12, NULL, "BYTES", "a size"},
    {"wait", 0, OPTION_DURATION, AT(wait), "250ms", 0, 100, NULL, "TIME", "a duration"},
    {"key", 0, OPTION_LIST, AT(keys), "a", 0, 0, NULL, "KEY", "a list"},
};
static const struct option_table table = {
    "try", "[WORD]", "Tries.", rows, sizeof rows / sizeof *rows, 0, 1, true};

static struct arena arena;
static struct vqct_error error;
static struct settings settings;
static struct options_found found;

static enum vqct_status read_words(const char *line) {
  static char words[512];
  static char *argv[32];
  int argc = 0;
  snprintf(words, sizeof words, "%s", line);
  for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
    argv[argc++] = word;
  arena_free(&arena);
  return options_read(&table, argc, argv, &settings, &found, &arena, &error);
}

START_TEST(defaults_are_read_from_the_table) {
  ck_assert_int_eq(read_words(""), VQCT_OK);
  ck_assert(!settings.fast);
  ck_assert_int_eq(settings.size, 256);
  ck_assert_double_eq(settings.rate, 0.5);
  ck_assert_ptr_null(settings.output);
  ck_assert_int_eq(settings.mode, 1);
  ck_assert_int_eq(settings.bytes, 4096);
  ck_assert_double_eq(settings.wait, 0.25);
  ck_assert_uint_eq(settings.keys.count, 1);
}
END_TEST

START_TEST(flags_take_every_form) {
  ck_assert_int_eq(read_words("-f --size=9 --rate 1 -oX word --mode none --max-bytes 2M --wait 1m "
                              "--key b,c --key d"),
                   VQCT_OK);
  ck_assert(settings.fast);
  ck_assert_int_eq(settings.size, 9);
  ck_assert_double_eq(settings.rate, 1);
  ck_assert_str_eq(settings.output, "X");
  ck_assert_int_eq(settings.mode, 2);
  ck_assert_int_eq(settings.bytes, 2 << 20);
  ck_assert_double_eq(settings.wait, 60);
  ck_assert_uint_eq(settings.keys.count, 3);
  ck_assert_str_eq(settings.keys.items[0], "b");
  ck_assert_str_eq(settings.keys.items[2], "d");
  ck_assert_int_eq(found.operand_count, 1);
  ck_assert_str_eq(found.operands[0], "word");
  ck_assert_int_eq(read_words("--fast --no-fast -- -x"), VQCT_OK);
  ck_assert(!settings.fast);
  ck_assert_str_eq(found.operands[0], "-x");
}
END_TEST

static const struct {
  const char *line, *message;
} faults[] = {
    {"--size 7", "--size is '7': a whole number from 8 to 65535 is allowed"},
    {"--size 9.5", "--size is '9.5': a whole number from 8 to 65535 is allowed"},
    {"--size 9x", "--size is '9x': a whole number from 8 to 65535 is allowed"},
    {"--rate nan", "--rate is 'nan': a number from 0 to 1 is allowed"},
    {"--max-bytes 1T", "--max-bytes is '1T': a whole number from 0 to 1000000000000 bytes (K, M, G "
                       "allowed) is allowed"},
    {"--wait 1h",
     "--wait is '1h': a number from 0 to 100 seconds (ms, s, m, h allowed) is allowed"},
    {"--mode cove", "--mode is 'cove': one of cover|contain|none is allowed"},
    {"--fast=maybe", "--fast is 'maybe': true or false is allowed"},
    {"--nothing", "'--nothing' is not an option of vqct try"},
    {"-x", "'-x' is not an option of vqct try"},
    {"--output", "option '--output' needs a value"},
    {"a b", "too many arguments; usage: vqct try [WORD] [OPTION...]"},
    {"--config /nonexistent", "/nonexistent: No such file or directory"},
};

START_TEST(faults_name_option_value_and_range) {
  ck_assert_int_ne(read_words(faults[_i].line), VQCT_OK);
  ck_assert_str_eq(error.message, faults[_i].message);
}
END_TEST

static void write_file(const char *path, const char *text) {
  FILE *file = fopen(path, "w");
  fputs(text, file);
  fclose(file);
}

START_TEST(flags_beat_environment_beats_file) {
  char path[] = "/tmp/vqct-options-XXXXXX", line[128];
  close(mkstemp(path));
  write_file(path, "{\"size\": 16, \"rate\": 0.25, \"mode\": \"none\", \"key\": [\"x\", \"y\"]}");
  setenv("VQCT_SIZE", "32", 1);
  setenv("VQCT_MAX_BYTES", "64", 1);
  snprintf(line, sizeof line, "--config %s --rate 0.75", path);
  ck_assert_int_eq(read_words(line), VQCT_OK);
  ck_assert_int_eq(settings.size, 32);
  ck_assert_int_eq(settings.bytes, 64);
  ck_assert_double_eq(settings.rate, 0.75);
  ck_assert_int_eq(settings.mode, 2);
  ck_assert_uint_eq(settings.keys.count, 2);
  unsetenv("VQCT_SIZE");
  unsetenv("VQCT_MAX_BYTES");
  unlink(path);
}
END_TEST

/* What others leave in the environment of a container is no fault of its user. */
START_TEST(an_empty_variable_is_not_set) {
  setenv("VQCT_SIZE", "", 1);
  setenv("VQCT_MODE", "", 1);
  setenv("VQCT_KEY", "", 1);
  setenv("VQCT_CONFIG", "", 1);
  ck_assert_int_eq(read_words("--key x"), VQCT_OK);
  ck_assert_int_eq(settings.size, 256);
  ck_assert_uint_eq(settings.keys.count, 1);
  unsetenv("VQCT_SIZE");
  unsetenv("VQCT_MODE");
  unsetenv("VQCT_KEY");
  unsetenv("VQCT_CONFIG");
}
END_TEST

START_TEST(variables_of_kubernetes_are_left_alone) {
  static const char *const of_services[][2] = {
      {"VQCT_SIZE", "tcp://10.0.0.1:9090"},      {"VQCT_SIZE_SERVICE_HOST", "10.0.0.1"},
      {"VQCT_SIZE_SERVICE_PORT", "9090"},        {"VQCT_SIZE_PORT", "tcp://10.0.0.1:9090"},
      {"VQCT_SIZE_PORT_9090_TCP_PROTO", "tcp"},  {"VQCT_SERVICE_HOST", "10.0.0.1"},
      {"VQCT_SIZES", "tcp://10.0.0.1:9090"},     {"VQCT_RATE", "udp://10.0.0.1:53"},
      {"VQCT_MAX_BYTES", "sctp://10.0.0.1:132"}, {"VQCT_URL", "http://vqct:8080"},
  };
  for (size_t i = 0; i < sizeof of_services / sizeof *of_services; i++)
    setenv(of_services[i][0], of_services[i][1], 1);
  ck_assert_msg(read_words("") == VQCT_OK, "%s", error.message);
  ck_assert_int_eq(settings.size, 256);
  for (size_t i = 0; i < sizeof of_services / sizeof *of_services; i++)
    unsetenv(of_services[i][0]);
}
END_TEST

START_TEST(a_misspelt_variable_stops_the_start) {
  static const char *const slips[] = {"VQCT_SIZES", "VQCT_SZIE",      "VQCT_SIZ",
                                      "VQCT_MODES", "VQCT_MAX_BYTSE", "VQCT_MAXBYTE"};
  static const char *const meant[] = {"SIZE", "SIZE", "SIZE", "MODE", "MAX_BYTES", "MAX_BYTES"};
  char message[128];
  for (size_t i = 0; i < sizeof slips / sizeof *slips; i++) {
    setenv(slips[i], "16", 1);
    ck_assert_int_eq(read_words(""), VQCT_INVALID);
    snprintf(message, sizeof message, "environment: %s is not an option of try; VQCT_%s is",
             slips[i], meant[i]);
    ck_assert_str_eq(error.message, message);
    unsetenv(slips[i]);
  }
}
END_TEST

static const struct {
  const char *json, *message; /* what follows the file's name */
} file_faults[] = {
    {"{\"size\": 1}", ": size is '1': a whole number from 8 to 65535 is allowed"},
    {"{\"sizes\": 1}", ": 'sizes' is not an option of try"},
    {"{\"size\": {}}", ": size is neither text, number nor true or false"},
    {"[1]", ": not a JSON object of options"},
    {"{\"size\": 9, \"size\": 9}", ":1: duplicate object key near '\"size\"'"},
};

START_TEST(file_faults_name_the_file) {
  char path[] = "/tmp/vqct-options-XXXXXX", line[128];
  close(mkstemp(path));
  write_file(path, file_faults[_i].json);
  snprintf(line, sizeof line, "--config=%s", path);
  ck_assert_int_ne(read_words(line), VQCT_OK);
  ck_assert_int_eq(strncmp(error.message, path, strlen(path)), 0);
  ck_assert_str_eq(error.message + strlen(path), file_faults[_i].message);
  unlink(path);
}
END_TEST

START_TEST(help_wins_over_faults) {
  ck_assert_int_eq(read_words("--help --size"), VQCT_OK);
  ck_assert(found.help);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("options");
  TCase *tests = tcase_create("all");
  tcase_add_test(tests, defaults_are_read_from_the_table);
  tcase_add_test(tests, flags_take_every_form);
  tcase_add_loop_test(tests, faults_name_option_value_and_range, 0,
                      (int)(sizeof faults / sizeof *faults));
  tcase_add_test(tests, flags_beat_environment_beats_file);
  tcase_add_test(tests, an_empty_variable_is_not_set);
  tcase_add_test(tests, variables_of_kubernetes_are_left_alone);
  tcase_add_test(tests, a_misspelt_variable_stops_the_start);
  tcase_add_loop_test(tests, file_faults_name_the_file, 0,
                      (int)(sizeof file_faults / sizeof *file_faults));
  tcase_add_test(tests, help_wins_over_faults);
  suite_add_tcase(suite, tests);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  arena_free(&arena);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
