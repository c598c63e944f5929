/* A request is counted when its headers are there, and its pixels once its pictures are read: a key
 * that asks for more of those than a second's is in debt, and waits until that is paid. */
#include "rates.h"

#include <math.h>
#include <string.h>

static struct key *key_of(const struct service *service, const struct exchange *exchange) {
  bool limited = service->rates.requests > 0 || service->rates.pixels > 0;
  return limited && exchange->has_key && service->keys
             ? keys_of_hash(service->keys, exchange->key_hash)
             : NULL;
}

struct key_label rates_key_label(const struct exchange *exchange) {
  struct key_label label = {"key=\""};
  size_t size = strlen(label.text);
  for (const char *c = exchange->key_name; *c; c++)
    label.text[size++] = *c < ' ' || *c > '~' || *c == '"' || *c == '\\' ? '_' : *c;
  label.text[size] = '"';
  return label;
}

/* ---- what is left ---------------------------------------------------------------------------- */

static void tell(struct text *policy, struct text *left, const char *name, const char *unit,
                 const struct bucket *bucket, double rate) {
  uint64_t now = uv_hrtime();
  const char *comma = policy->size ? ", " : "";
  double rest = floor(bucket_left(bucket, rate, now));
  if (rate <= 0)
    return;
  text_print(policy, "%s\"%s\";q=%.0f;w=1%s", comma, name, rate, unit);
  text_print(left, "%s\"%s\";r=%.0f;t=%u", comma, name, rest > 0 ? rest : 0,
             bucket_wait(bucket, rate, rate, now));
}

void rates_tell(const struct service *service, const struct exchange *exchange,
                struct reply *reply) {
  const struct key *key = key_of(service, exchange);
  struct text policy = {0}, left = {0};
  if (!key)
    return;
  tell(&policy, &left, "requests", "", &key->requests, service->rates.requests);
  tell(&policy, &left, "pixels", ";qu=\"pixels\"", &key->pixels, service->rates.pixels);
  if (!policy.failed && !left.failed) {
    reply_header(reply, "RateLimit-Policy", "%s", policy.data);
    reply_header(reply, "RateLimit", "%s", left.data);
  }
  text_free(&policy);
  text_free(&left);
}

/* ---- counting -------------------------------------------------------------------------------- */

static unsigned wait_for(const struct bucket *bucket, double rate, uint64_t now) {
  return rate > 0 ? bucket_wait(bucket, rate, 1, now) : 0;
}

bool rates_admit(struct service *service, struct exchange *exchange) {
  const struct key_rates *rates = &service->rates;
  struct key *key = key_of(service, exchange);
  uint64_t now = uv_hrtime();
  if (!key)
    return true;
  unsigned requests = wait_for(&key->requests, rates->requests, now);
  unsigned pixels = wait_for(&key->pixels, rates->pixels, now);
  if (!requests && !pixels) {
    if (rates->requests > 0)
      bucket_take(&key->requests, rates->requests, 1, now);
    return true;
  }
  reply_header(&exchange->reply, "Retry-After", "%u", requests > pixels ? requests : pixels);
  rates_tell(service, exchange, &exchange->reply);
  reply_problem(&exchange->reply, PROBLEM_RATE_LIMITED, "%.0f %s a second are allowed",
                requests ? rates->requests : rates->pixels, requests ? "requests" : "pixels");
  return false;
}

void rates_count_pixels(struct service *service, const struct exchange *exchange, uint64_t pixels) {
  struct key *key = key_of(service, exchange);
  if (key && service->rates.pixels > 0)
    bucket_take(&key->pixels, service->rates.pixels, (double)pixels, uv_hrtime());
  if (exchange->has_key)
    registry_add(service->registry, METRIC_KEY_PIXELS, rates_key_label(exchange).text,
                 (double)pixels);
}
