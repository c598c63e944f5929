/* Names of checkpoints: how each family's are told and changed. What the values become is compared
 * with PyTorch in tests/reference. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../suite.h"
#include "import.h"

#define NAMES_MAX 12

#define LONG_NAME                                                                                  \
  "encoder.down.0.block.0.conv1.weight.that.goes.on.for.longer.than.any.name.that.a.network.of."   \
  "this.program.has"

static const struct {
  enum import_family family;
  size_t dropped;
  struct {
    const char *from, *to; /* to: NULL where it is left out */
  } names[NAMES_MAX];
} checkpoints[] = {
    {IMPORT_TAMING,
     2,
     {{"encoder.conv_in.weight", "encoder.conv_in.weight"},
      {"encoder.down.10.attn.0.q.weight", "encoder.down.10.attn.0.q.weight"},
      {"loss.discriminator.main.0.weight", NULL},
      {"loss.perceptual_loss.lin0.model.1.weight", NULL},
      {"decoder.up.1.upsample.conv.bias", "decoder.up.1.upsample.conv.bias"},
      {LONG_NAME, "encoder.down.0.block.0.conv1.weight.that"
                  ".goes.on.for.longer.than.any.name.that.a.network.of.thi"}}},
    {IMPORT_VQCT,
     0,
     {{"encoder.down.0.block.0.norm1.bias", "encoder.down.0.block.0.norm1.bias"},
      {"quantize.gcn.conv1.lin.weight", "quantize.gcn.conv1.lin.weight"}}},
    {IMPORT_DIFFUSERS,
     0,
     {{"module.encoder.conv_in.weight", "encoder.conv_in.weight"},
      {"module.encoder.down_blocks.0.resnets.1.conv_shortcut.weight",
       "encoder.down.0.block.1.nin_shortcut.weight"},
      {"module.encoder.down_blocks.3.downsamplers.0.conv.bias",
       "encoder.down.3.downsample.conv.bias"},
      {"module.decoder.up_blocks.0.resnets.2.norm2.weight", "decoder.up.3.block.2.norm2.weight"},
      {"module.decoder.up_blocks.3.attentions.0.to_out.0.bias",
       "decoder.up.0.attn.0.proj_out.bias"},
      {"module.decoder.up_blocks.1.upsamplers.0.conv.bias", "decoder.up.2.upsample.conv.bias"},
      {"module.encoder.mid_block.attentions.0.group_norm.bias", "encoder.mid.attn_1.norm.bias"},
      {"module.encoder.mid_block.attentions.0.query.bias", "encoder.mid.attn_1.q.bias"},
      {"module.decoder.mid_block.resnets.1.conv1.bias", "decoder.mid.block_2.conv1.bias"},
      {"module.decoder.conv_norm_out.bias", "decoder.norm_out.bias"},
      {"module.encoder.down_blocks.x.resnets.0.conv1.bias",
       "encoder.down_blocks.x.resnets.0.conv1.bias"},
      {"module.quant_conv.bias", "quant_conv.bias"}}},
    {IMPORT_LLAMAGEN,
     1,
     {{"encoder.conv_blocks.0.res.0.conv1.bias", "encoder.down.0.block.0.conv1.bias"},
      {"encoder.conv_blocks.1.downsample.conv.bias", "encoder.down.1.downsample.conv.bias"},
      {"encoder.conv_blocks.4.attn.1.k.bias", "encoder.down.4.attn.1.k.bias"},
      {"encoder.mid.1.norm.bias", "encoder.mid.attn_1.norm.bias"},
      {"decoder.conv_blocks.0.attn.2.proj_out.bias", "decoder.up.4.attn.2.proj_out.bias"},
      {"decoder.conv_blocks.3.upsample.conv.bias", "decoder.up.1.upsample.conv.bias"},
      {"decoder.conv_blocks.99.res.0.conv1.bias", "decoder.up.-95.block.0.conv1.bias"},
      {"decoder.conv_blocks.100.res.0.conv1.bias", "decoder.conv_blocks.100.res.0.conv1.bias"},
      {"decoder.mid.2.conv2.bias", "decoder.mid.block_2.conv2.bias"},
      {"quantize.codebook_used", NULL}}},
};

static char path[] = "/tmp/vqct-test-XXXXXX";

/* A file of tensors that hold one number each. */
static struct safetensors *file_of(const struct tensor *tensors, size_t count) {
  struct safetensors *file;
  struct vqct_error error;
  strcpy(path + sizeof path - 7, "XXXXXX");
  close(mkstemp(path));
  ck_assert_int_eq(safetensors_save(path, tensors, count, NULL, 0, NULL), VQCT_OK);
  ck_assert_msg(safetensors_open(path, &file, &error) == VQCT_OK, "%s", error.message);
  unlink(path);
  return file;
}

START_TEST(test_names) {
  static const float number = 1;
  struct tensor tensors[NAMES_MAX];
  struct import_entries entries;
  size_t count = 0, kept = 0;
  for (; count < NAMES_MAX && checkpoints[_i].names[count].from; count++)
    tensors[count] = (struct tensor){
        .name = checkpoints[_i].names[count].from, .type = TENSOR_F32, .data = &number};
  struct safetensors *file = file_of(tensors, count);
  struct import_source source = {.path = "F", .tensors = {safetensors_tensor(file, 0), count}};
  ck_assert_int_eq(import_entries_init(&source, &entries, NULL), VQCT_OK);
  ck_assert_int_eq(entries.family, checkpoints[_i].family);
  ck_assert_uint_eq(entries.dropped, checkpoints[_i].dropped);
  for (size_t i = 0; i < count; i++) {
    if (!checkpoints[_i].names[i].to)
      continue;
    const struct import_entry *entry = import_entry_find(&entries, checkpoints[_i].names[i].to);
    ck_assert_msg(entry != NULL, "%s", checkpoints[_i].names[i].to);
    ck_assert_str_eq(entry->tensor->name, checkpoints[_i].names[i].from);
    kept++;
  }
  ck_assert_uint_eq(kept, entries.count);
  import_entries_free(&entries);
  import_entries_free(&entries);
  safetensors_close(file);
}
END_TEST

/* Sizes that a hostile file claims without having the bytes: its tensors are empty. */
START_TEST(test_absurd_shapes) {
  static const float number = 1;
  static const struct {
    size_t shape[4];
  } shapes[] = {{{SIZE_MAX / 8, 0, 3, 3}}, {{0, 3, 3, 3}}, {{1 << 20, 0, 3, 3}}, {{1024, 0, 1, 1}}};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    struct tensor tensors[] = {
        {.name = "encoder.conv_in.weight", .type = TENSOR_F32, .dims = 4, .data = &number},
        {.name = "encoder.down.0.block.0.conv2.weight",
         .type = TENSOR_F32,
         .dims = 4,
         .data = &number},
        {.name = "quantize.embedding.weight", .type = TENSOR_F32, .dims = 4, .data = &number}};
    struct import_entries entries;
    struct model_config config;
    struct vqct_error error;
    const struct import_request request = {.path = "F", .name = "m"};
    for (size_t n = 0; n < 3; n++)
      memcpy(tensors[n].shape, shapes[i].shape, sizeof shapes[i].shape);
    struct safetensors *file = file_of(tensors, 3);
    struct import_source source = {.path = "F", .tensors = {safetensors_tensor(file, 0), 3}};
    ck_assert_int_eq(import_entries_init(&source, &entries, NULL), VQCT_OK);
    ck_assert_int_eq(import_infer(&request, &entries, &config, &error), VQCT_MODEL);
    import_entries_free(&entries);
    safetensors_close(file);
  }
}
END_TEST

int main(void) {
  TCase *cases = tcase_create("import");
  tcase_add_loop_test(cases, test_names, 0, sizeof checkpoints / sizeof *checkpoints);
  tcase_add_test(cases, test_absurd_shapes);
  return suite_run("import", cases);
}
