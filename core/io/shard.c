/* libarchive walks over the whole archive once, as one block of memory, so that the data which it
 * hands out are places within that block: they are noted and read only when they are asked for. A
 * sparse file, and only that, has several places. Names are taken as the bytes that they are, in
 * whatever locale the process runs. Hard links take over the places of the member they name, which
 * is looked up in a sorted list.
 */
#define _GNU_SOURCE /* uselocale */

#include "shard.h"

#include <inttypes.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "error.h"
#include "mapped_file.h"
#include "unpack.h"

/* Bytes of a member that stand together. */
struct piece {
  uint64_t at; /* in the member */
  const uint8_t *data;
  size_t size;
};

struct member {
  char *name;
  char *target; /* of a hard link that is not yet resolved, or whose target is not there */
  enum shard_kind kind;
  uint64_t size;
  const uint8_t *whole; /* its bytes; NULL for a sparse member, which has `pieces` of them */
  struct piece *piece;
  size_t pieces;
  bool shared; /* the pieces belong to another member */
};

struct shard {
  struct mapped_file mapped;
  struct member *member;
  size_t count, capacity;
  struct vqct_error damage; /* status OK where there is none */
  uint64_t stamp;
};

/* A walk through the archive. */
struct walk {
  struct shard *shard;
  const char *name;
  const uint8_t *data;
  size_t size;
  const struct libarchive *library;
  struct archive *archive;
  struct vqct_error *error;
};

static enum vqct_status no_memory(const struct walk *walk) {
  return error_set(walk->error, VQCT_MEMORY, "no memory to list %s", walk->name);
}

/* What ends the list early; the members before it stay. */
static void set_damage(const struct walk *walk, const char *fault) {
  error_set(&walk->shard->damage, VQCT_DATA, "%s: %s, in what begins at byte %" PRId64, walk->name,
            fault ? fault : "it is damaged", walk->library->read_header_position(walk->archive));
}

/* ---- one member ------------------------------------------------------------------------------ */

static bool add_piece(struct member *member, const struct piece *piece) {
  size_t count = member->pieces;
  if ((count & (count - 1)) == 0) { /* room doubles at powers of two */
    struct piece *grown = realloc(member->piece, (count ? 2 * count : 1) * sizeof *grown);
    if (!grown)
      return false;
    member->piece = grown;
  }
  member->piece[member->pieces++] = *piece;
  return true;
}

/* Notes where a member's bytes are; *whole tells whether all of them are there. */
static enum vqct_status note_pieces(const struct walk *walk, struct member *member, bool *whole) {
  *whole = false;
  for (;;) {
    const void *data;
    struct piece piece;
    la_int64_t at;
    int result = walk->library->read_data_block(walk->archive, &data, &piece.size, &at);
    if (result == ARCHIVE_EOF)
      break;
    if (result != ARCHIVE_OK && result != ARCHIVE_WARN) {
      set_damage(walk, walk->library->error_string(walk->archive));
      *whole = member->whole; /* it is cut in what fills up the member's last block */
      return VQCT_OK;
    }
    piece.data = data;
    piece.at = (uint64_t)at;
    if (!piece.size)
      continue;
    if (at < 0 || piece.size > member->size || piece.at > member->size - piece.size ||
        piece.data < walk->data || piece.size > walk->size ||
        piece.data > walk->data + walk->size - piece.size) {
      set_damage(walk, "the places of a file's bytes are wrong");
      return VQCT_OK;
    }
    if (piece.size == member->size)
      member->whole = piece.data;
    else if (!add_piece(member, &piece))
      return no_memory(walk);
  }
  *whole = true;
  return VQCT_OK;
}

static enum vqct_status add_member(struct walk *walk, const struct member *member) {
  struct shard *shard = walk->shard;
  if (shard->count == shard->capacity) {
    size_t capacity = shard->capacity ? 2 * shard->capacity : 256;
    struct member *grown = realloc(shard->member, capacity * sizeof *grown);
    if (!grown)
      return no_memory(walk);
    shard->member = grown;
    shard->capacity = capacity;
  }
  shard->member[shard->count++] = *member;
  return VQCT_OK;
}

static void free_member(struct member *member) {
  free(member->name);
  free(member->target);
  if (!member->shared)
    free(member->piece);
}

/* One entry; *going turns false where the archive is damaged. */
static enum vqct_status take_entry(struct walk *walk, struct archive_entry *entry, bool *going) {
  const struct libarchive *library = walk->library;
  const char *name = library->entry_pathname(entry), *target = library->entry_hardlink(entry);
  unsigned type = library->entry_filetype(entry);
  la_int64_t size = library->entry_size(entry);
  if (!target && type != AE_IFREG && type != AE_IFLNK)
    return VQCT_OK;
  if (!name || strlen(name) > SHARD_NAME_MAX || size < 0) {
    set_damage(walk, name ? "a name or size is out of range" : "a file has no name");
    *going = false;
    return VQCT_OK;
  }
  struct member member = {.name = strdup(name),
                          .kind = type == AE_IFLNK && !target ? SHARD_SYMBOLIC : SHARD_FILE,
                          .size = type == AE_IFREG ? (uint64_t)size : 0};
  enum vqct_status status = VQCT_OK;
  if (!member.name || (target && !member.size && !(member.target = strdup(target))))
    status = no_memory(walk);
  else if (member.size)
    status = note_pieces(walk, &member, going);
  if (status != VQCT_OK || !*going || (status = add_member(walk, &member)) != VQCT_OK)
    free_member(&member);
  return status;
}

/* ---- hard links ------------------------------------------------------------------------------ */

static int by_name(const void *a, const void *b) {
  const struct member *const *x = a, *const *y = b;
  int order = strcmp((*x)->name, (*y)->name);
  return order ? order : (*x > *y) - (*x < *y);
}

/* The last member before `link` that has the name that it leads to; NULL: none. */
static const struct member *find_target(const struct member *const *sorted, size_t count,
                                        const struct member *link) {
  const struct member *found = NULL;
  size_t low = 0, high = count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int order = strcmp(sorted[middle]->name, link->target);
    if (order < 0 || (order == 0 && sorted[middle] < link)) {
      found = order == 0 ? sorted[middle] : found;
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return found;
}

static enum vqct_status resolve_links(const struct walk *walk) {
  struct shard *shard = walk->shard;
  const struct member **sorted = NULL;
  for (size_t i = 0; i < shard->count; i++) {
    struct member *link = &shard->member[i];
    if (!link->target)
      continue;
    if (!sorted) {
      sorted = malloc(shard->count * sizeof *sorted);
      if (!sorted)
        return no_memory(walk);
      for (size_t j = 0; j < shard->count; j++)
        sorted[j] = &shard->member[j];
      qsort(sorted, shard->count, sizeof *sorted, by_name);
    }
    const struct member *target = find_target(sorted, shard->count, link);
    if (!target || target->target || target->kind != SHARD_FILE)
      continue;
    free(link->target);
    link->target = NULL;
    link->size = target->size;
    link->whole = target->whole;
    link->piece = target->piece;
    link->pieces = target->pieces;
    link->shared = true;
  }
  free(sorted);
  return VQCT_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* Two blocks of zeros end an archive; where not even one stands, it was cut between two members. */
static void check_end(const struct walk *walk) {
  enum { BLOCK = 512 };
  int64_t end = walk->library->read_header_position(walk->archive);
  if (walk->library->filter_bytes(walk->archive, 0) - end < BLOCK)
    set_damage(walk, "it has no end mark");
}

/* Takes one entry after the other, to the end or to where the archive is damaged. */
static enum vqct_status walk_entries(struct walk *walk) {
  const struct libarchive *library = walk->library;
  bool going = true;
  while (going && walk->shard->damage.status == VQCT_OK) {
    struct archive_entry *entry;
    int result = library->read_next_header(walk->archive, &entry);
    if (result == ARCHIVE_EOF) {
      check_end(walk);
      return VQCT_OK;
    }
    if (result != ARCHIVE_OK && result != ARCHIVE_WARN) {
      set_damage(walk, library->error_string(walk->archive));
      return VQCT_OK;
    }
    enum vqct_status status = take_entry(walk, entry, &going);
    if (status != VQCT_OK)
      return status;
  }
  return VQCT_OK;
}

static enum vqct_status read_archive(struct walk *walk) {
  const struct libarchive *library = walk->library;
  if (!walk->size)
    return error_set(walk->error, VQCT_DATA, "%s: the archive is empty", walk->name);
  walk->archive = library->read_new();
  if (!walk->archive)
    return no_memory(walk);
  enum vqct_status status;
  if (library->read_support_format_tar(walk->archive) != ARCHIVE_OK)
    status = no_memory(walk);
  else if (library->read_open_memory(walk->archive, walk->data, walk->size) != ARCHIVE_OK)
    status =
        error_set(walk->error, VQCT_DATA, "%s: it does not begin as a tar archive", walk->name);
  else
    status = walk_entries(walk);
  library->read_free(walk->archive);
  return status;
}

/* Lists the members of bytes in memory, with names as the bytes that they are. */
static enum vqct_status list(struct walk *walk) {
  locale_t plain = newlocale(LC_CTYPE_MASK, "C", (locale_t)0);
  if (!plain)
    return no_memory(walk);
  locale_t before = uselocale(plain);
  enum vqct_status status = read_archive(walk);
  uselocale(before);
  freelocale(plain);
  if (status != VQCT_OK || (status = resolve_links(walk)) != VQCT_OK)
    return status;
  if (!walk->shard->count && walk->shard->damage.status != VQCT_OK)
    return error_set(walk->error, VQCT_DATA, "%s", walk->shard->damage.message);
  return VQCT_OK;
}

enum vqct_status shard_parse(const char *name, const void *data, size_t size,
                             const struct libarchive *library, struct shard **result,
                             struct vqct_error *error) {
  struct shard *shard = calloc(1, sizeof *shard);
  struct walk walk = {
      .shard = shard, .name = name, .data = data, .size = size, .library = library, .error = error};
  *result = NULL;
  if (!shard)
    return no_memory(&walk);
  shard->damage.status = VQCT_OK;
  enum vqct_status status = list(&walk);
  if (status != VQCT_OK) {
    shard_close(shard);
    return status;
  }
  *result = shard;
  return VQCT_OK;
}

static uint64_t file_stamp(const char *path, size_t size) {
  struct stat facts = {0};
  if (stat(path, &facts) != 0)
    return size;
  return (uint64_t)size * 0x9e3779b97f4a7c15 ^
         ((uint64_t)facts.st_mtim.tv_sec * 1000000000U + (uint64_t)facts.st_mtim.tv_nsec);
}

/* Bytes of a plain archive, and what is known of them. */
struct plain {
  struct mapped_file file;
  struct vqct_error damage; /* of its compressed form; status OK where there is none */
  uint64_t stamp;           /* tells it from others */
};

/* The source may be mapped as plain->file, in whose place its unpacked form comes. */
static enum vqct_status unpack_plain(const struct unpack_source *source,
                                     const struct libarchive *library,
                                     const struct shard_stop *stop, struct plain *plain,
                                     struct vqct_error *error) {
  struct unpacked unpacked;
  enum vqct_status status = unpack(source, library, stop, &unpacked, error);
  mapped_file_close(&plain->file);
  if (status != VQCT_OK)
    return status;
  plain->file = unpacked.file;
  plain->damage = unpacked.damage;
  if (!source->mapped)
    plain->stamp = unpacked.checksum;
  return VQCT_OK;
}

static enum vqct_status open_plain(const char *path, const struct libarchive *library,
                                   const struct shard_stop *stop, struct plain *plain,
                                   struct vqct_error *error) {
  const struct unpack_source source = {.name = path, .mapped = &plain->file};
  bool compressed;
  *plain = (struct plain){.damage.status = VQCT_OK};
  enum vqct_status status = mapped_file_open(path, &plain->file, error);
  if (status != VQCT_OK)
    return status;
  plain->stamp = file_stamp(path, plain->file.size);
  if (!plain->file.size)
    status = error_set(error, VQCT_DATA, "%s: the archive is empty", path);
  else
    status = unpack_needed(&source, library, &compressed, error);
  if (status != VQCT_OK)
    mapped_file_close(&plain->file);
  else if (compressed)
    status = unpack_plain(&source, library, stop, plain, error);
  return status;
}

/* Takes the bytes. */
static enum vqct_status parse_plain(const char *name, struct plain *plain,
                                    const struct libarchive *library, struct shard **shard,
                                    struct vqct_error *error) {
  enum vqct_status status =
      shard_parse(name, plain->file.data, plain->file.size, library, shard, error);
  if (status != VQCT_OK) {
    mapped_file_close(&plain->file);
    return plain->damage.status == VQCT_OK
               ? status
               : error_set(error, VQCT_DATA, "%s", plain->damage.message);
  }
  (*shard)->mapped = plain->file;
  (*shard)->stamp = plain->stamp;
  if (plain->damage.status != VQCT_OK)
    (*shard)->damage = plain->damage;
  return VQCT_OK;
}

enum vqct_status shard_open(const char *path, const struct libarchive *library,
                            const struct shard_stop *stop, struct shard **shard,
                            struct vqct_error *error) {
  struct plain plain;
  *shard = NULL;
  enum vqct_status status = open_plain(path, library, stop, &plain, error);
  return status == VQCT_OK ? parse_plain(path, &plain, library, shard, error) : status;
}

/* Every header of an archive has zeros behind its name and numbers. */
static bool is_text(const struct mapped_file *file) {
  enum { HEADER = 512 };
  return file->size && !memchr(file->data, 0, file->size < HEADER ? file->size : HEADER);
}

enum vqct_status shard_open_input(const struct libarchive *library, const struct shard_stop *stop,
                                  struct shard **shard, struct mapped_file *text,
                                  struct vqct_error *error) {
  const struct unpack_source source = {.name = "standard input"};
  struct plain plain = {.damage.status = VQCT_OK};
  *shard = NULL;
  *text = (struct mapped_file){0};
  enum vqct_status status = unpack_plain(&source, library, stop, &plain, error);
  if (status != VQCT_OK)
    return status;
  if (plain.damage.status != VQCT_OK || !is_text(&plain.file))
    return parse_plain(source.name, &plain, library, shard, error);
  *text = plain.file;
  return VQCT_OK;
}

void shard_close(struct shard *shard) {
  if (!shard)
    return;
  for (size_t i = 0; i < shard->count; i++)
    free_member(&shard->member[i]);
  free(shard->member);
  mapped_file_close(&shard->mapped);
  free(shard);
}

const char *shard_damage(const struct shard *shard) {
  return shard->damage.status == VQCT_OK ? NULL : shard->damage.message;
}

uint64_t shard_stamp(const struct shard *shard) {
  return shard->stamp;
}

size_t shard_count(const struct shard *shard) {
  return shard->count;
}

const char *shard_name(const struct shard *shard, size_t index) {
  return shard->member[index].name;
}

enum shard_kind shard_kind(const struct shard *shard, size_t index) {
  return shard->member[index].kind;
}

uint64_t shard_size(const struct shard *shard, size_t index) {
  return shard->member[index].size;
}

enum vqct_status shard_read(const struct shard *shard, size_t index, uint64_t limit,
                            struct shard_bytes *bytes, struct vqct_error *error) {
  const struct member *member = &shard->member[index];
  *bytes = (struct shard_bytes){.data = member->whole, .size = (size_t)member->size};
  if (member->target)
    return error_set(error, VQCT_DATA, "a link to %s, which is not in the archive", member->target);
  if (member->size > limit)
    return error_set(error, VQCT_LIMIT, "%" PRIu64 " bytes are over the limit of %" PRIu64,
                     member->size, limit);
  if (member->whole || !member->size)
    return VQCT_OK;
  uint8_t *whole = calloc(1, (size_t)member->size); /* between the pieces are zeros */
  if (!whole)
    return error_set(error, VQCT_MEMORY, "no memory for a file of %" PRIu64 " bytes", member->size);
  for (size_t i = 0; i < member->pieces; i++)
    memcpy(whole + member->piece[i].at, member->piece[i].data, member->piece[i].size);
  bytes->data = bytes->owned = whole;
  return VQCT_OK;
}
