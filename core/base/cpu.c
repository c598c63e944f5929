/* The instruction set is what the processor and the kernel offer together
 * (__builtin_cpu_supports asks both), and the processors are those that a container may really
 * use: its affinity, cut by its quota of time. */
#define _GNU_SOURCE
#include "cpu.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

enum vqct_status cpu_isa_limit(enum cpu_isa *limit, struct vqct_error *error) {
  const char *name = getenv("VQCT_MAX_ISA");
  *limit = CPU_ISA_COUNT - 1;
  if (!name || !*name)
    return VQCT_OK;
  for (int isa = 0; isa < CPU_ISA_COUNT; isa++)
    if (!strcmp(name, cpu_isa_name((enum cpu_isa)isa))) {
      *limit = (enum cpu_isa)isa;
      return VQCT_OK;
    }
  return error_set(error, VQCT_INVALID, "VQCT_MAX_ISA is '%.80s', not baseline, avx2 or avx512",
                   name);
}

/* The best set that this machine runs. */
static enum cpu_isa machine_isa(void) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return CPU_AVX512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return CPU_AVX2;
#endif
  return CPU_BASELINE;
}

enum cpu_isa cpu_best_isa(void) {
  enum cpu_isa limit, best = machine_isa();
  cpu_isa_limit(&limit, NULL);
  return best < limit ? best : limit;
}

const char *cpu_isa_name(enum cpu_isa isa) {
  static const char *const names[CPU_ISA_COUNT] = {"baseline", "avx2", "avx512"};
  return names[isa];
}

/* The processors' worth of time that the cgroup (version 2) grants, rounded up; 0: no quota. */
static unsigned quota_count(void) {
  FILE *file = fopen("/sys/fs/cgroup/cpu.max", "re");
  if (!file)
    return 0;
  unsigned long quota = 0, period = 0;
  int fields = fscanf(file, "%lu %lu", &quota, &period);
  fclose(file);
  return fields == 2 && period ? (unsigned)((quota + period - 1) / period) : 0;
}

unsigned cpu_count(void) {
  cpu_set_t set;
  unsigned count = sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
  unsigned quota = quota_count();
  if (quota && quota < count)
    count = quota;
  return count ? count : 1;
}

unsigned cpu_threads(int64_t asked) {
  return asked ? (unsigned)asked : cpu_count();
}
