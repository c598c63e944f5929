/* What a kind of file does to hold tokens. token_writer.h keeps the sidecar, whose lines are the
 * only record of how far a run has come, and drives one format:
 *
 *   open    -> finds what an interrupted run left, and changes nothing
 *   recount -> once for each picture that the sidecar says is there, until one is not whole
 *   cut     -> drops all that was not recounted; with nothing recounted, begins anew
 *   append  -> once for each picture; the sidecar's line follows when it has succeeded
 *   finish  -> completes the files and gives them their names
 *   close   -> in any case
 *
 * So a format keeps no journal of its own: what it must know again of a picture (where it lies, its
 * key) append adds to the picture's line, and recount reads it there. Files grow under temporary
 * names (part_file.h), and nothing stands under its own name before it is whole.
 *
 * A new format is a file token_format_NAME.c and a row in token_formats.c.
 */
#ifndef COMMAND_TOKEN_FORMAT_H
#define COMMAND_TOKEN_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "part_file.h"
#include "pictures.h"
#include "token_layout.h"
#include "token_reading.h"
#include "views.h"
#include "vqct/status.h"

/** What a run writes, alike for all of its pictures. */
struct token_output {
  const char *path;           /* outlives the files */
  bool stream;                /* to standard output, whatever the path; nothing is gone on with */
  size_t planes;              /* P */
  struct token_layout layout; /* of the numbers of a picture */
  bool wide;                  /* uint32, else uint16 */
  bool labels;                /* pictures have them */
  size_t grid_height, grid_width;  /* one_size formats without buckets: h and w of every picture */
  const struct views_size *bucket; /* the sizes that pictures have; outlive the files */
  size_t buckets;                  /* 0: any size, or one */
  uint32_t downsampling;           /* pixels a token */
  unsigned views;    /* of each picture, at least 1: that many rows, one after the other */
  size_t shard_size; /* sharded formats: pictures a file */
  const struct pictures *pictures; /* outlive the files */
};

/** The numbers of one picture. */
struct token_picture {
  size_t index;            /* in the list of pictures */
  const char *name;        /* as pictures_name has it: bytes, perhaps not UTF-8 */
  const uint32_t *numbers; /* its tokens P,height,width in the output's layout */
  size_t count;            /* of numbers */
  size_t height, width;
  unsigned view;              /* which of the picture's */
  const struct view_box *box; /* where that is in the picture; NULL: not told */
  const char *label;          /* bytes, perhaps not UTF-8; NULL: none */
  size_t class_index;
};

/** The files of one run, which the format defines. */
struct token_files;

struct token_format {
  const char *name;   /* as --format has it */
  const char *suffix; /* of the path, with its dot */
  bool stream;        /* one file, which may go to standard output */
  bool one_size;      /* all pictures of a file have one grid */
  bool array;         /* one file holds the numbers of all pictures, or of all of a bucket */
  bool sharded;       /* files of shard_size pictures each */
  uint32_t widest;    /* the greatest number that its wide files hold */

  /** Opens and locks the files. Errors: WRITE, READ, DATA (two pictures of one key), MEMORY; *files
   * is then NULL, and files are as they were. */
  enum vqct_status (*open)(const struct token_output *output, struct token_files **files,
                           struct vqct_error *error);

  /** Takes a picture of an earlier run: its line of the sidecar, and how many numbers it has. False
   * where they are not all there. */
  bool (*recount)(struct token_files *files, const json_t *record, uint64_t numbers);

  /** Errors: WRITE, MEMORY. */
  enum vqct_status (*cut)(struct token_files *files, struct vqct_error *error);

  /** Writes a picture and adds what recount needs to its record. Errors: WRITE, MEMORY. */
  enum vqct_status (*append)(struct token_files *files, const struct token_picture *picture,
                             json_t *record, struct vqct_error *error);

  /** Errors: WRITE, MEMORY. */
  enum vqct_status (*finish)(struct token_files *files, struct vqct_error *error);

  /** Closes and frees what is not finished as `end` says. NULL is allowed. */
  void (*close)(struct token_files *files, enum part_end end);

  /** How its files are read again. */
  const struct token_reading *reading;
};

/** NumPy's arrays, the same numbers without a header, and those with the index of Megatron-LM and
 * of datatrove. */
extern const struct token_format token_format_npy, token_format_bin, token_format_megatron,
    token_format_datatrove;

/** JSON Lines, and shards of webdataset and of MosaicML Streaming. */
extern const struct token_format token_format_lines, token_format_webdataset, token_format_mds;

#endif
