/* The end of every test program of Check. */
#ifndef SUITE_H
#define SUITE_H

#include <check.h>
#include <stdlib.h>

/** Runs a suite of one case, prints what failed and returns main's exit status. */
static inline int suite_run(const char *name, TCase *cases) {
  Suite *suite = suite_create(name);
  suite_add_tcase(suite, cases);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
