/* What is found is what was added, whoever adds and evicts at the same time. */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../suite.h"
#include "cache.h"

static struct cache_key key_of(uint32_t number) {
  struct cache_key key = {{0}};
  memcpy(key.bytes, &number, sizeof number);
  key.bytes[CACHE_KEY_BYTES - 1] = 1;
  return key;
}

enum { COUNT_MAX = 64 };

/* Tokens that tell their number; as many as it says. */
static struct cache_tokens tokens_of(uint32_t number, uint32_t *room) {
  size_t count = 1 + number % COUNT_MAX;
  for (size_t i = 0; i < count; i++)
    room[i] = number * 1000 + (uint32_t)i;
  return (struct cache_tokens){number + 1, number + 2, count, room};
}

static void add(struct cache *cache, uint32_t number) {
  uint32_t room[COUNT_MAX];
  const struct cache_key key = key_of(number);
  const struct cache_tokens tokens = tokens_of(number, room);
  cache_add(cache, &key, &tokens);
}

/* Whether it is there; then it is right. */
static bool there(struct cache *cache, uint32_t number) {
  uint32_t room[COUNT_MAX];
  const struct cache_key key = key_of(number);
  const struct cache_tokens expected = tokens_of(number, room);
  struct cache_tokens found;
  if (!cache_find(cache, &key, &found))
    return false;
  ck_assert_uint_eq(found.height, expected.height);
  ck_assert_uint_eq(found.width, expected.width);
  ck_assert_uint_eq(found.count, expected.count);
  ck_assert_mem_eq(found.tokens, expected.tokens, found.count * sizeof *found.tokens);
  free(found.tokens);
  return true;
}

/* What entry 63, which is of the largest, takes. */
static uint64_t bytes_of_one(void) {
  struct cache *cache = cache_new(1 << 20);
  add(cache, COUNT_MAX - 1);
  uint64_t bytes = cache_read(cache).bytes;
  cache_free(cache);
  return bytes;
}

START_TEST(what_was_added_is_found) {
  struct cache *cache = cache_new(1 << 20);
  for (uint32_t i = 0; i < 500; i++) {
    ck_assert(!there(cache, i));
    add(cache, i);
    add(cache, i); /* changes nothing */
  }
  for (uint32_t i = 0; i < 500; i++)
    ck_assert(there(cache, i));
  struct cache_status status = cache_read(cache);
  ck_assert_uint_eq(status.hits, 500);
  ck_assert_uint_eq(status.misses, 500);
  ck_assert_uint_eq(status.entries, 500);
  ck_assert_uint_eq(status.evictions, 0);
  cache_free(cache);
}
END_TEST

START_TEST(the_least_recently_used_goes) {
  enum { A = COUNT_MAX - 1, B = A + COUNT_MAX, C = B + COUNT_MAX, D = C + COUNT_MAX };
  uint64_t one = bytes_of_one();
  struct cache *cache = cache_new(3 * one);
  add(cache, A);
  add(cache, B);
  add(cache, C);
  ck_assert_uint_eq(cache_read(cache).evictions, 0);
  ck_assert_uint_eq(cache_read(cache).bytes, 3 * one);
  ck_assert(there(cache, A)); /* used */
  add(cache, D);
  ck_assert(there(cache, A) && !there(cache, B) && there(cache, C) && there(cache, D));
  ck_assert_uint_eq(cache_read(cache).evictions, 1);
  ck_assert_uint_eq(cache_read(cache).entries, 3);
  cache_free(cache);
}
END_TEST

START_TEST(what_is_larger_than_the_cache_is_not_kept) {
  struct cache *cache = cache_new(bytes_of_one() - 1);
  add(cache, 0);
  add(cache, COUNT_MAX - 1);
  ck_assert(!there(cache, COUNT_MAX - 1));
  ck_assert(there(cache, 0)); /* nothing went for it */
  cache_free(cache);
  cache = cache_new(1);
  add(cache, 0);
  ck_assert_uint_eq(cache_read(cache).bytes, 0);
  cache_free(cache);
  cache_free(NULL);
}
END_TEST

static void *add_and_find(void *context) {
  struct cache *cache = context;
  size_t hits = 0;
  for (uint32_t i = 0; i < 20000; i++) {
    uint32_t number = i * 7919 % 400;
    if (there(cache, number))
      hits++;
    else
      add(cache, number);
    ck_assert_uint_le(cache_read(cache).bytes, 50 * bytes_of_one());
  }
  return hits ? context : NULL;
}

/* 400 entries of which a quarter has room. */
START_TEST(threads_evict_what_others_look_for) {
  pthread_t threads[4];
  struct cache *cache = cache_new(50 * bytes_of_one());
  for (size_t i = 0; i < 4; i++)
    ck_assert_int_eq(pthread_create(&threads[i], NULL, add_and_find, cache), 0);
  for (size_t i = 0; i < 4; i++) {
    void *found;
    pthread_join(threads[i], &found);
    ck_assert_ptr_eq(found, cache);
  }
  struct cache_status status = cache_read(cache);
  ck_assert_uint_eq(status.hits + status.misses, 80000);
  ck_assert_uint_gt(status.evictions, 1000);
  cache_free(cache);
}
END_TEST

int main(void) {
  TCase *tests = tcase_create("cache");
  tcase_add_test(tests, what_was_added_is_found);
  tcase_add_test(tests, the_least_recently_used_goes);
  tcase_add_test(tests, what_is_larger_than_the_cache_is_not_kept);
  tcase_add_test(tests, threads_evict_what_others_look_for);
  return suite_run("cache", tests);
}
