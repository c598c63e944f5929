/* Each thread takes the next view as it comes free and computes it with a session of its own of one
 * thread, so that none waits for another: a session of all threads shares out a batch evenly, and
 * they wait for the slowest at the end of each. The ring (prefetch.h) bounds how far they come
 * apart.
 *
 * What a session would compute by all threads together is left to the caller, who computes it when
 * its turn comes: views that take much memory, since as many of them as there are threads might
 * take all, and the rest of all views that does not fill the threads, so that three pictures take
 * sixteen threads no longer than they need. Before that rest all others are done; beside a large
 * picture the threads go on with those behind it.
 */
#include "encode_ahead.h"

#include <pthread.h>
#include <stdlib.h>

#include "error.h"
#include "prefetch.h"
#include "session.h"
#include "signals.h"

struct encode_ahead {
  struct encode_ahead_settings settings;
  const struct vqct_model_info *model;
  struct prefetch *prefetch;
  uint64_t together, given;      /* numbers: of the first view of the rest; next for the caller */
  struct feed_item current;      /* whose views are being given out; by one thread at a time */
  pthread_mutex_t lock;          /* guards the idle sessions, and is held for nothing else */
  struct vqct_session **session; /* the first `idle` of them are; all, once the threads are */
  unsigned idle, sessions;
};

/* ---- one view -------------------------------------------------------------------------------- */

static enum vqct_status compute_tokens(const struct encode_ahead *ahead,
                                       struct vqct_session *session, struct encode_view *view,
                                       struct vqct_error *error) {
  const struct vqct_image *image = &view->item.image;
  size_t row = (size_t)image->width * image->channels, factor = ahead->model->downsampling;
  const uint8_t *pixels = image->pixels + view->number * row * view->height;
  view->tokens = malloc(ahead->model->planes * (view->height / factor) * (view->width / factor) *
                        sizeof *view->tokens);
  if (!view->tokens)
    return error_set(error, VQCT_MEMORY, "no memory for tokens");
  return vqct_encode(session, &pixels, 1, view->height, view->width, &view->tokens, error);
}

/* A size that is not computed is a fault of the picture, and the others go on. */
static void compute(const struct encode_ahead *ahead, struct vqct_session *session,
                    struct encode_view *view) {
  struct vqct_error error;
  enum vqct_status status = compute_tokens(ahead, session, view, &error);
  if (status == VQCT_OK)
    return;
  free(view->tokens);
  view->tokens = NULL;
  if (status == VQCT_LIMIT) {
    view->item.error = error;
    error_prefix(&view->item.error, "%s",
                 pictures_name(ahead->settings.pictures, view->item.index));
  } else {
    view->fault = error;
  }
}

/* ---- the threads ----------------------------------------------------------------------------- */

/* Gives out the views of one picture after the other. */
static void assign_view(void *context, uint64_t number, void *slot) {
  struct encode_ahead *ahead = context;
  unsigned views = ahead->settings.views, of = (unsigned)(number % views);
  if (of == 0 || number == ahead->settings.first)
    feed_next(ahead->settings.feed, &ahead->current);
  struct encode_view *view = slot;
  *view = (struct encode_view){.item = ahead->current,
                               .number = of,
                               .last = of + 1 == views,
                               .width = ahead->current.image.width,
                               .height = ahead->current.image.height / views,
                               .fault.status = VQCT_OK};
  if (view->last)
    ahead->current.image = (struct vqct_image){0};
}

static struct vqct_session *take_session(struct encode_ahead *ahead) {
  pthread_mutex_lock(&ahead->lock);
  struct vqct_session *session = ahead->session[--ahead->idle];
  pthread_mutex_unlock(&ahead->lock);
  return session;
}

static void give_session_back(struct encode_ahead *ahead, struct vqct_session *session) {
  pthread_mutex_lock(&ahead->lock);
  ahead->session[ahead->idle++] = session;
  pthread_mutex_unlock(&ahead->lock);
}

static void make_view(void *context, uint64_t number, void *slot) {
  struct encode_ahead *ahead = context;
  struct encode_view *view = slot;
  if (view->item.error.status != VQCT_OK || number >= ahead->together ||
      (ahead->settings.threads > 1 &&
       !session_encodes_apart(ahead->settings.model, view->height, view->width)))
    return;
  struct vqct_session *session = take_session(ahead);
  compute(ahead, session, view);
  give_session_back(ahead, session);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static enum vqct_status make_sessions(struct encode_ahead *ahead, unsigned count,
                                      struct vqct_error *error) {
  ahead->session = calloc(count, sizeof *ahead->session);
  if (!ahead->session)
    return error_set(error, VQCT_MEMORY, "no memory for %u sessions", count);
  for (; ahead->sessions < count; ahead->sessions++) {
    struct vqct_session **session = &ahead->session[ahead->sessions];
    enum vqct_status status = vqct_session_new(ahead->settings.model, 1, session, error);
    if (status != VQCT_OK)
      return status;
    vqct_session_stop_when(*session, signals_stopping.asked, NULL);
  }
  ahead->idle = count;
  return VQCT_OK;
}

enum vqct_status encode_ahead_new(const struct encode_ahead_settings *settings,
                                  struct encode_ahead **result, struct vqct_error *error) {
  *result = NULL;
  struct encode_ahead *ahead = calloc(1, sizeof *ahead);
  if (!ahead)
    return error_set(error, VQCT_MEMORY, "no memory to encode pictures");
  uint64_t end = feed_count(settings->feed) * settings->views, first = settings->first;
  ahead->settings = *settings;
  ahead->given = first;
  ahead->model = vqct_model_info(settings->model);
  ahead->together = end - (end > first ? (end - first) % settings->threads : 0);
  pthread_mutex_init(&ahead->lock, NULL);
  const struct prefetch_settings ring = {.threads = settings->threads,
                                         .ahead = 2 * (size_t)settings->threads,
                                         .slot_size = sizeof(struct encode_view),
                                         .first = first,
                                         .end = end,
                                         .assign = assign_view,
                                         .make = make_view,
                                         .context = ahead};
  enum vqct_status status = make_sessions(ahead, settings->threads, error);
  if (status == VQCT_OK)
    status = prefetch_new(&ring, &ahead->prefetch, error);
  if (status == VQCT_OK)
    *result = ahead;
  else
    encode_ahead_free(ahead);
  return status;
}

static void free_sessions(struct encode_ahead *ahead) {
  for (; ahead->sessions; ahead->sessions--)
    vqct_session_free(ahead->session[ahead->sessions - 1]);
}

bool encode_ahead_next(struct encode_ahead *ahead, struct encode_view *view) {
  const struct encode_view *next = prefetch_wait(ahead->prefetch);
  if (!next)
    return false;
  *view = *next;
  prefetch_give_back(ahead->prefetch);
  if (ahead->given++ == ahead->together) /* all threads are done with theirs */
    free_sessions(ahead);
  if (!view->tokens && view->item.error.status == VQCT_OK && view->fault.status == VQCT_OK)
    compute(ahead, ahead->settings.session, view);
  return true;
}

void encode_view_free(struct encode_view *view) {
  free(view->tokens);
  if (view->last)
    vqct_image_free(&view->item.image);
}

static void drop_views(struct prefetch *prefetch) {
  struct encode_view *view;
  prefetch_stop(prefetch);
  while ((view = prefetch_left(prefetch)))
    encode_view_free(view);
  prefetch_free(prefetch);
}

void encode_ahead_free(struct encode_ahead *ahead) {
  if (!ahead)
    return;
  if (ahead->prefetch)
    drop_views(ahead->prefetch);
  vqct_image_free(&ahead->current.image);
  free_sessions(ahead);
  free(ahead->session);
  pthread_mutex_destroy(&ahead->lock);
  free(ahead);
}
