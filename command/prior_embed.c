/* vqct prior embed: gives the words of a prior the embeddings of CLIP's text encoder. */
#include "prior_embed.h"

#include <stdio.h>

#include "cpu.h"
#include "error.h"
#include "prior_commands.h"
#include "progress.h"

struct settings {
  const char *clip, *output, *adjective, *noun;
  int64_t threads;
};

static const struct option options[] = {
    {"clip", 'c', OPTION_TEXT, offsetof(struct settings, clip), NULL, 0, 0, NULL, "FOLDER",
     "a CLIP of Hugging Face: model.safetensors, vocab.json, merges.txt, config.json"},
    {"output", 'o', OPTION_TEXT, offsetof(struct settings, output), NULL, 0, 0, NULL, "FILE",
     "where the prior with the new embeddings goes"},
    {"adjective-prompt", 0, OPTION_TEXT, offsetof(struct settings, adjective),
     "a photo of {} object", 0, 0, NULL, "TEXT", "the prompt about an adjective, {} for the word"},
    {"noun-prompt", 0, OPTION_TEXT, offsetof(struct settings, noun), "a photo of {}", 0, 0, NULL,
     "TEXT", "the prompt about a noun, {} for the word"},
    {"threads", 't', OPTION_INTEGER, offsetof(struct settings, threads), "0", 0, 1024, NULL,
     "NUMBER", "how many threads compute; 0: as many as there are processors"},
};

static const struct option_table table = {
    .command = "prior embed",
    .operands = "PRIOR",
    .summary = "Replaces a prior's embeddings by CLIP's text features of a prompt about each word.",
    .options = options,
    .count = sizeof options / sizeof *options,
    .operands_min = 1,
    .operands_max = 1,
};

static void show_progress(void *argument, size_t done) {
  progress_set(argument, done);
}

static enum vqct_status embed_words(const struct settings *settings, const struct clip *clip,
                                    struct prior *prior, const struct exec *exec,
                                    struct vqct_error *error) {
  const struct prior_prompts prompts = {settings->adjective, settings->noun};
  struct progress progress;
  double started = seconds_now();
  progress_start(&progress, "embed", prior->words, 0);
  enum vqct_status status =
      prior_embed(prior, clip, settings->clip, &prompts, show_progress, &progress, exec, error);
  progress_clear(&progress);
  if (status != VQCT_OK)
    return status;
  status = prior_write(settings->output, prior, error);
  if (status != VQCT_OK)
    return status;
  printf("%zu words, %zu numbers each, in %.1f s\n", prior->words, prior->dimension,
         seconds_now() - started);
  return VQCT_OK;
}

static enum vqct_status embed(const void *values, const struct options_found *found,
                              struct arena *arena, struct vqct_error *error) {
  const struct settings *settings = values;
  if (!settings->clip || !settings->output)
    return error_set(error, VQCT_INVALID, "--clip FOLDER and --output FILE are needed");
  struct clip *clip = NULL;
  struct prior prior = {0};
  struct pool *pool = NULL;
  unsigned threads = cpu_threads(settings->threads);
  enum vqct_status status;
  if ((status = prior_read(found->operands[0], &prior, error)) ||
      (status = clip_open(settings->clip, &clip, error)) ||
      (status = pool_new(threads, &pool, error)))
    goto done;
  const struct exec exec = {.pool = pool, .arena = arena};
  status = embed_words(settings, clip, &prior, &exec, error);
done:
  pool_free(pool);
  clip_close(clip);
  prior_free(&prior);
  return status;
}

static enum vqct_status run(int argc, char **argv, struct vqct_error *error) {
  struct settings settings = {0};
  return command_run(&table, argc, argv, &settings, embed, error);
}

const struct command prior_embed_command = {"embed", "embeddings from CLIP's text encoder", run};
