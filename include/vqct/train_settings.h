/* The settings of training, once: of each its type, default, range and meaning. From these rows
 * come the record and its defaults here, the library's check of their ranges, and the options of
 * `vqct train` with --help. Numbers are in the units that a row says.
 */
#ifndef VQCT_TRAIN_SETTINGS_H
#define VQCT_TRAIN_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* X(enumerator, name) of every setting that is one of a few. The first is the default. */

/** How codes come about: from the prior's embeddings through the graph convolution, or by what it
 * is compared with (two linear layers; a fixed random projection; a random codebook, each code on
 * its own; a frozen random codebook times a trained matrix; moving averages). */
#define VQCT_TRAIN_CODES_MAP(X)                                                                    \
  X(VQCT_CODES_GCN, "gcn")                                                                         \
  X(VQCT_CODES_MLP, "mlp")                                                                         \
  X(VQCT_CODES_FIXED, "fixed")                                                                     \
  X(VQCT_CODES_FREE, "free")                                                                       \
  X(VQCT_CODES_SIMVQ, "simvq")                                                                     \
  X(VQCT_CODES_EMA, "ema")

/** Words of the prior that become codes. One part alone makes a plain codebook. */
#define VQCT_TRAIN_PARTS_MAP(X)                                                                    \
  X(VQCT_PARTS_BOTH, "both")                                                                       \
  X(VQCT_PARTS_ADJECTIVES, "adjectives")                                                           \
  X(VQCT_PARTS_NOUNS, "nouns")

/** Which side of the codebook loss beta stands before: the codes', as the published code has it, or
 * the commitment's, where it was meant to be. */
#define VQCT_TRAIN_BETA_MAP(X)                                                                     \
  X(VQCT_BETA_RELEASED, "released")                                                                \
  X(VQCT_BETA_CORRECTED, "corrected")

/** How gradients pass the choice of a code: to the vector unchanged; turned and stretched as the
 * vector had to be to become its code; or along the quantisation error with a little noise, so that
 * the codes learn from the reconstruction and the codebook loss is left out. */
#define VQCT_TRAIN_ESTIMATOR_MAP(X)                                                                \
  X(VQCT_ESTIMATOR_STRAIGHT, "straight")                                                           \
  X(VQCT_ESTIMATOR_ROTATION, "rotation")                                                           \
  X(VQCT_ESTIMATOR_DIVEQ, "diveq")

/** What the discriminator normalises over: all pictures of a batch, as published; or up to 32
 * groups of channels of each picture, so that no picture is judged by its neighbours. */
#define VQCT_TRAIN_JUDGE_NORM_MAP(X)                                                               \
  X(VQCT_JUDGE_NORM_BATCH, "batch")                                                                \
  X(VQCT_JUDGE_NORM_GROUP, "group")

/** Mean absolute or mean squared difference of pixels. */
#define VQCT_TRAIN_PIXEL_MAP(X)                                                                    \
  X(VQCT_PIXEL_L1, "l1")                                                                           \
  X(VQCT_PIXEL_L2, "l2")

#define VQCT_TRAIN_ENUMERATOR(enumerator, name) enumerator,
enum vqct_train_codes { VQCT_TRAIN_CODES_MAP(VQCT_TRAIN_ENUMERATOR) };
enum vqct_train_parts { VQCT_TRAIN_PARTS_MAP(VQCT_TRAIN_ENUMERATOR) };
enum vqct_train_beta { VQCT_TRAIN_BETA_MAP(VQCT_TRAIN_ENUMERATOR) };
enum vqct_train_estimator { VQCT_TRAIN_ESTIMATOR_MAP(VQCT_TRAIN_ENUMERATOR) };
enum vqct_train_judge_norm { VQCT_TRAIN_JUDGE_NORM_MAP(VQCT_TRAIN_ENUMERATOR) };
enum vqct_train_pixel { VQCT_TRAIN_PIXEL_MAP(VQCT_TRAIN_ENUMERATOR) };
#undef VQCT_TRAIN_ENUMERATOR

#define VQCT_TRAIN_LAYERS_MAX 5 /* of the discriminator */

/* TEXT(field, option, its letter or 0, default, what a value is, meaning): a string; NULL: none
 * SWITCH(field, option, default, meaning)
 * WHOLE(field, option, default, least, most, what a value is, meaning): a whole number
 * NUMBER(the same)
 * CHOICE(field, option, enum, its names, the default's name, what a value is, meaning)
 *
 * The defaults are the paper's values at one process with batches of 8. */
#define VQCT_TRAIN_SETTING_MAP(TEXT, SWITCH, WHOLE, NUMBER, CHOICE)                                \
  TEXT(prior, "prior", 0, NULL, "FILE", "words, graph and embeddings, from `vqct prior build`")    \
  TEXT(from, "from", 0, NULL, "MODEL",                                                             \
       "model file that a new run begins with: its architecture (unless --architecture is given) " \
       "and those weights and codes that agree in shape")                                          \
  TEXT(perceptual, "perceptual", 0, NULL, "FILE",                                                  \
       "weights of LPIPS (VGG16 or SqueezeNet 1.1) as safetensors; without them that loss is "     \
       "left out")                                                                                 \
  TEXT(preset, "preset", 'p', "vqct-f8-small", "NAME",                                             \
       "architecture: vqct-f16 (the paper's), vqct-small, vqct-small-f16, vqct-f8-small or "       \
       "vqct-tiny")                                                                                \
  TEXT(architecture, "architecture", 0, NULL, "FILE", "architecture as JSON, instead of a preset") \
  TEXT(name, "name", 0, NULL, "NAME",                                                              \
       "what the model is called, instead of its architecture's name")                             \
  CHOICE(codes, "codes", vqct_train_codes, VQCT_TRAIN_CODES_MAP, "gcn", "KIND",                    \
         "how codes come about: the graph convolution, or what it is compared with")               \
  CHOICE(parts, "parts", vqct_train_parts, VQCT_TRAIN_PARTS_MAP, "both", "WHICH",                  \
         "words of the prior that become codes; one part alone makes a plain codebook")            \
  SWITCH(standardize, "standardize", true,                                                         \
         "bring the word embeddings to mean 0 and variance 1 before the transfer")                 \
  NUMBER(dropout, "dropout", 0.5, 0, 0.99, "SHARE", "of the graph convolution in training")        \
  WHOLE(adjective_k, "adjective-k", 0, 0, 2, "K",                                                  \
        "adjectives chosen for each position; 0: as the architecture says")                        \
  WHOLE(random_adjectives, "adjectives", 0, 0, 0x1p24, "N",                                        \
        "codes of the adjectives without a prior; 0: as the architecture says")                    \
  WHOLE(random_nouns, "nouns", 0, 0, 0x1p24, "N",                                                  \
        "codes of the nouns without a prior; 0: as the architecture says")                         \
  NUMBER(beta, "beta", 0.25, 0, 100, "WEIGHT", "of one side of the codebook loss")                 \
  CHOICE(beta_placement, "beta-placement", vqct_train_beta, VQCT_TRAIN_BETA_MAP, "released",       \
         "WHERE",                                                                                  \
         "released: before the codes' side, as the published code has it; corrected: before the "  \
         "commitment")                                                                             \
  NUMBER(codebook_weight, "codebook-weight", 1, 0, 1e6, "WEIGHT",                                  \
         "of the codebook loss (diveq: only reported)")                                            \
  NUMBER(coverage_weight, "coverage-weight", 0, 0, 1e6, "WEIGHT",                                  \
         "of the loss that draws each code to the nearest vector of a batch, so that none dies")   \
  CHOICE(estimator, "estimator", vqct_train_estimator, VQCT_TRAIN_ESTIMATOR_MAP, "straight",       \
         "KIND",                                                                                   \
         "of gradients through the choice of a code: straight (through), rotation, or diveq, in "  \
         "which the codes learn from the reconstruction")                                          \
  NUMBER(diveq_noise, "diveq-noise", 0.001, 0, 100, "VARIANCE",                                    \
         "of the noise on the direction of the quantisation error in estimator diveq")             \
  NUMBER(ema_decay, "ema-decay", 0.99, 0, 0.999999, "DECAY", "of codes of kind ema")               \
  NUMBER(ema_threshold, "ema-threshold", 0.01, 0, 1e6, "COUNT",                                    \
         "choices a step, averaged, below which a code of kind ema restarts")                      \
  CHOICE(pixel, "pixel", vqct_train_pixel, VQCT_TRAIN_PIXEL_MAP, "l1", "LOSS", "of the pixels")    \
  NUMBER(pixel_weight, "pixel-weight", 1, 0, 1e6, "WEIGHT", "of the pixels' loss")                 \
  NUMBER(perceptual_weight, "perceptual-weight", 1, 0, 1e6, "WEIGHT", "of LPIPS")                  \
  NUMBER(detail_weight, "detail-weight", 0, 0, 1e6, "WEIGHT",                                      \
         "of the loss that compares how strong the differences of neighbouring pixels are, by "    \
         "windows of 8 x 8, so that a picture stays as sharp as it was")                           \
  TEXT(anchors, "anchors", 0, NULL, "FILE",                                                        \
       "adjectives of colours and their bounds as JSON, to which encodings of such patches are "   \
       "drawn; needs a prior")                                                                     \
  NUMBER(anchor_weight, "anchor-weight", 0.1, 0, 1e6, "WEIGHT", "of that loss")                    \
  WHOLE(discriminator_start, "discriminator-start", 10000, -1, 0x1p53, "STEP",                     \
        "first step of the adversarial loss; -1: never")                                           \
  NUMBER(discriminator_weight, "discriminator-weight", 0.8, 0, 1e6, "WEIGHT",                      \
         "of the adversarial loss, or what its adaptive weight is multiplied by")                  \
  SWITCH(discriminator_adaptive, "discriminator-adaptive", true,                                   \
         "weigh the adversarial loss so that it pulls at the last layer as hard as the others")    \
  NUMBER(discriminator_rate, "discriminator-rate", 0, 0, 10, "RATE",                               \
         "learning rate of the discriminator; 0: that of the generator")                           \
  WHOLE(discriminator_channels, "discriminator-channels", 64, 1, 512, "N",                         \
        "of its first convolution")                                                                \
  WHOLE(discriminator_layers, "discriminator-layers", 3, 1, VQCT_TRAIN_LAYERS_MAX, "N",            \
        "of its convolutions that halve the picture")                                              \
  CHOICE(discriminator_normalize, "discriminator-normalize", vqct_train_judge_norm,                \
         VQCT_TRAIN_JUDGE_NORM_MAP, "batch", "KIND",                                               \
         "what it normalises over: the batch, or groups of channels of each picture")              \
  NUMBER(discriminator_gap, "discriminator-gap", 0, 0, 1e6, "LOGITS",                              \
         "it does not learn from a batch whose real pictures it already places so far above the "  \
         "made ones; 0: it always learns")                                                         \
  NUMBER(lecam_weight, "lecam-weight", 0, 0, 1e6, "WEIGHT",                                        \
         "of LeCam regularisation, which holds its logits near their averages")                    \
  SWITCH(discriminator_augment, "discriminator-augment", false,                                    \
         "show it real and made pictures brighter, moved and with a hole (DiffAugment)")           \
  NUMBER(learning_rate, "learning-rate", 7.2e-5, 1e-12, 10, "RATE", "after the warm-up")           \
  SWITCH(cosine, "cosine", false, "let the rate fall along a cosine to the last step")             \
  NUMBER(final_learning_rate, "final-learning-rate", 0, 0, 10, "RATE", "where the cosine ends")    \
  WHOLE(warmup_steps, "warmup-steps", 0, 0, 0x1p53, "STEPS", "over which the rate grows")          \
  NUMBER(beta1, "beta1", 0.5, 0, 0.999999, "BETA", "of Adam")                                      \
  NUMBER(beta2, "beta2", 0.9, 0, 0.999999, "BETA", "of Adam")                                      \
  NUMBER(clip_norm, "clip-norm", 0, 0, 1e9, "NORM", "longest gradient, by Euclidean norm; 0: any") \
  NUMBER(average_decay, "average-decay", 0, 0, 0.999999, "DECAY",                                  \
         "of a moving average of the weights, which is then what is validated and served; 0: "     \
         "none")                                                                                   \
  WHOLE(batch, "batch", 8, 1, 65536, "N", "pictures computed together")                            \
  WHOLE(accumulate, "accumulate", 1, 1, 65536, "N", "such batches in a step")                      \
  WHOLE(steps, "steps", 100000, 1, 0x1p53, "N", "of the whole run")                                \
  WHOLE(until, "until", 0, 0, 0x1p53, "STEP",                                                      \
        "stop there with a checkpoint, to go on later; 0: at the last step")                       \
  WHOLE(crop, "crop", 256, 8, 4096, "PIXELS", "side of the squares to train on")                   \
  NUMBER(crop_min, "crop-min", 0.5, 0.01, 1, "SHARE",                                              \
         "smallest square as a share of a picture's short side; it is never enlarged without "     \
         "need")                                                                                   \
  NUMBER(crop_max, "crop-max", 1, 0.01, 1, "SHARE", "largest square, likewise")                    \
  SWITCH(flip, "flip", true, "mirror every other crop")                                            \
  WHOLE(late_start, "late-start", -1, -1, 0x1p53, "STEP",                                          \
        "from here on crops are of --late-crop; -1: never")                                        \
  WHOLE(late_crop, "late-crop", 256, 8, 4096, "PIXELS", "side of the crops at the end")            \
  WHOLE(late_batch, "late-batch", 8, 1, 65536, "N", "pictures computed together at the end")       \
  WHOLE(seed, "seed", 0, 0, 0x1p53, "NUMBER",                                                      \
        "of weights, dropout, order and augmentation; the same seed gives the same run")           \
  WHOLE(threads, "threads", 0, 0, 1024, "N", "to compute with; 0: all processors")                 \
  WHOLE(loader_threads, "loader-threads", 2, 1, 64, "N", "to decode pictures ahead with")          \
  WHOLE(log_every, "log-every", 50, 0, 0x1p53, "STEPS", "a line of metrics")                       \
  WHOLE(validate_every, "validate-every", 1000, 0, 0x1p53, "STEPS",                                \
        "validation, pictures, curves and model; 0: only at the end")                              \
  WHOLE(checkpoint_every, "checkpoint-every", 500, 0, 0x1p53, "STEPS",                             \
        "a checkpoint; 0: only at the end")                                                        \
  WHOLE(held_out, "held-out", 64, 0, 0x1p40, "N", "pictures kept for validation")                  \
  WHOLE(validation_pictures, "validation-pictures", 64, 1, 0x1p40, "N",                            \
        "the most that a validation uses")                                                         \
  WHOLE(validation_size, "validation-size", 256, 16, 4096, "PIXELS",                               \
        "validation pictures are cut to squares of this side")

/** What a run does. Strings and lists belong to the caller and must outlive vqct_train. */
struct vqct_train_settings {
  const char *folder;      /* made where it is not there */
  bool resume;             /* go on from its newest checkpoint; otherwise it must not have one */
  const char *const *data; /* directories, .tar shards and pictures */
  size_t data_count;
  const char *const *validation; /* the same; none: held_out pictures of the data */
  size_t validation_count;
#define VQCT_TRAIN_TEXT(field, option, letter, fallback, value, doc)        const char *field;
#define VQCT_TRAIN_SWITCH(field, option, fallback, doc)                     bool field;
#define VQCT_TRAIN_WHOLE(field, option, fallback, least, most, value, doc)  int64_t field;
#define VQCT_TRAIN_NUMBER(field, option, fallback, least, most, value, doc) double field;
#define VQCT_TRAIN_CHOICE(field, option, tag, names, fallback, value, doc)  enum tag field;
  VQCT_TRAIN_SETTING_MAP(VQCT_TRAIN_TEXT, VQCT_TRAIN_SWITCH, VQCT_TRAIN_WHOLE, VQCT_TRAIN_NUMBER,
                         VQCT_TRAIN_CHOICE)
#undef VQCT_TRAIN_TEXT
#undef VQCT_TRAIN_SWITCH
#undef VQCT_TRAIN_WHOLE
#undef VQCT_TRAIN_NUMBER
#undef VQCT_TRAIN_CHOICE
};

#define VQCT_TRAIN_FALLBACK_TEXT(field, option, letter, fallback, ...) .field = fallback,
#define VQCT_TRAIN_FALLBACK(field, option, fallback, ...)              .field = fallback,
#define VQCT_TRAIN_FALLBACK_FIRST(field, option, tag, ...)             .field = (enum tag)0,
#define VQCT_TRAIN_SETTINGS_DEFAULT                                                                \
  {                                                                                                \
    VQCT_TRAIN_SETTING_MAP(VQCT_TRAIN_FALLBACK_TEXT, VQCT_TRAIN_FALLBACK, VQCT_TRAIN_FALLBACK,     \
                           VQCT_TRAIN_FALLBACK, VQCT_TRAIN_FALLBACK_FIRST)                         \
  }

#ifdef __cplusplus
}
#endif
#endif
