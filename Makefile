# vqct: an image-tokenization service. `make help` lists what can be made.
#
# Objects go to build/CONFIG, one folder for each of release, asan, ubsan and tsan.

VERSION := 0.2.0
CONFIG  ?= release
PREFIX  ?= /usr/local
CC      ?= cc
OBJCOPY ?= objcopy
PYTHON  ?= /usr/bin/python3
MODEL   ?= models/vqct-small.safetensors models/vqct-f16.safetensors
B       := build/$(CONFIG)

LIB_PACKAGES    := jansson libpng libjpeg libwebp zlib libcrypto libzip yaml-0.1
SERVER_PACKAGES := libmicrohttpd libuv gnutls zlib

# ---- flags ------------------------------------------------------------------------------------
WARNINGS  := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wvla
OPTIMIZE  := -O3 -fno-math-errno -fno-trapping-math -ffp-contract=off
SANITIZE_asan  := -fsanitize=address -fno-omit-frame-pointer
SANITIZE_ubsan := -fsanitize=undefined -fno-sanitize-recover=undefined
SANITIZE_tsan  := -fsanitize=thread
SANITIZE_fuzz  := -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined
SANITIZE  := $(SANITIZE_$(CONFIG))
ifneq ($(CI),)
WARNINGS  += -Werror
endif
CFLAGS    ?= -g
BASE_FLAGS = -std=c11 $(WARNINGS) $(OPTIMIZE) $(SANITIZE) -fPIC -pthread -MMD -MP \
             -D_POSIX_C_SOURCE=200809L -DVQCT_VERSION='"$(VERSION)"' -Iinclude
PKG_FLAGS  = $(shell pkg-config --cflags $(LIB_PACKAGES) $(SERVER_PACKAGES))
LIB_LIBS   = $(shell pkg-config --libs $(LIB_PACKAGES)) -lm -pthread
ALL_LIBS   = $(LIB_LIBS) $(shell pkg-config --libs $(SERVER_PACKAGES))

# Which rooms a room's files may include: what is not on its path does not compile.
ROOMS_base      := core/base
ROOMS_io        := core/io core/base
ROOMS_image     := core/image core/base
ROOMS_kernels   := core/kernels core/kernels/conv core/base
ROOMS_data      := core/data core/image core/io core/base
ROOMS_network   := core/network $(ROOMS_kernels) core/io
ROOMS_model     := core/model $(ROOMS_network) core/image
ROOMS_transfer  := core/transfer $(ROOMS_kernels) core/io
ROOMS_language  := core/language $(ROOMS_transfer)
ROOMS_import    := core/import core/model $(ROOMS_network) core/transfer
ROOMS_eval      := core/eval $(ROOMS_kernels) core/image core/io
ROOMS_train     := core/train core/data core/eval core/model core/network core/transfer $(ROOMS_kernels) core/image core/io
ROOMS_config    := config core/base
ROOMS_http      := server/http core/base
ROOMS_sched     := server/sched server/metrics core/base
ROOMS_metrics   := server/metrics core/base
ROOMS_api       := server/api server/http server/sched server/metrics core/image core/io core/base
ROOMS_CORE      := core/import core/language $(ROOMS_train)
ROOMS_EVERY     := command server/api $(ROOMS_CORE) config server/http server/sched server/metrics
rooms           = $(addprefix -I,$(1))
room            = $(or $(filter command config tests,$(firstword $(1))),$(word 2,$(1)))
ROOM_FLAGS      = $(call rooms,$(or $(ROOMS_$(call room,$(subst /, ,$<))),$(ROOMS_EVERY)))

# ---- what there is ----------------------------------------------------------------------------
LIB_SOURCES    := $(wildcard core/*/*.c core/kernels/conv/*.c)
SIMD_SOURCES   := $(wildcard core/kernels/simd/*.c)
COMMAND_SOURCES := $(filter-out command/main.c,$(wildcard config/*.c server/*/*.c command/*.c))
UNIT_SOURCES   := $(wildcard tests/unit/*/test_*.c)

# A file of core/kernels/simd is compiled once for each instruction set, chosen at run time.
ISAS := baseline
ifneq ($(filter x86_64%,$(shell $(CC) -dumpmachine)),)
ISAS += avx2 avx512
endif
ISA_FLAGS_avx2   := -mavx2 -mfma
ISA_FLAGS_avx512 := -mavx2 -mfma -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512
SIMD_OBJECTS := $(foreach isa,$(ISAS),$(SIMD_SOURCES:%.c=$(B)/%.$(isa).o))

LIB_OBJECTS    := $(LIB_SOURCES:%.c=$(B)/%.o) $(SIMD_OBJECTS)
COMMAND_OBJECTS := $(COMMAND_SOURCES:%.c=$(B)/%.o)
UNIT_TESTS     := $(UNIT_SOURCES:%.c=$(B)/%)

.PHONY: all help serve docs test check-test fuzz run-fuzzers bench bench-before bench-encode bench-kernels bench-peers bench-serve asan ubsan tsan lint lint-deploy format install deps deps-test clean
.SECONDARY:
.DELETE_ON_ERROR:

all: $(B)/vqct $(B)/libvqct.a $(B)/libvqct.so ## build the command and the library

help: ## list these targets
	@awk -F':.*## ' '/^[a-z -]+:.*## /{printf "  %-15s %s\n", $$1, $$2}' Makefile

# V=1 shows whole commands.
ifeq ($(V),)
Q       := @
say      = @echo '$(1) $@'
endif

# ---- building ---------------------------------------------------------------------------------
$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(BASE_FLAGS) $(PKG_FLAGS) $(ROOM_FLAGS) $(CFLAGS) -c $< -o $@

define isa_rule
$(B)/core/kernels/simd/%.$(1).o: core/kernels/simd/%.c
	@mkdir -p $$(@D)
	$$(call say,CC)
	$$(Q)$$(CC) $$(BASE_FLAGS) $$(PKG_FLAGS) $$(ROOM_FLAGS) $$(CFLAGS) $(ISA_FLAGS_$(1)) -DSIMD_ISA=$(1) -DSIMD_ISA_$(1) -c $$< -o $$@
endef
$(foreach isa,$(ISAS),$(eval $(call isa_rule,$(isa))))

# Files embedded in objects, which the compiler's dependency lists do not name.
$(B)/command/language.o $(B)/tests/fuzz/fuzz_language.o: models/wordnet.lexicon models/english.tagger
$(B)/server/api/pages.o: server/api/openapi.json $(wildcard server/web/* server/web/vendor/* server/web/samples/*)

$(B)/libvqct.a: $(LIB_OBJECTS)
	$(call say,AR)
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $^

$(B)/libvqct.so: $(LIB_OBJECTS) core/libvqct.map
	$(call say,LD)
	$(Q)$(CC) $(SANITIZE) -shared -Wl,-soname,libvqct.so.0 -Wl,--version-script=core/libvqct.map \
	  -o $@ $(LIB_OBJECTS) $(LIB_LIBS)

# The archive that is installed: one object that keeps its inner names to itself. Where a program has
# a function of the same name as one of the library's, the linker would else take that for both.
$(B)/public/libvqct.a: $(LIB_OBJECTS)
	@mkdir -p $(@D)
	$(call say,AR)
	$(Q)$(CC) -r -nostdlib -o $(@D)/vqct.o $^
	$(Q)$(OBJCOPY) --wildcard --keep-global-symbol='vqct_*' $(@D)/vqct.o
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $(@D)/vqct.o

# The same objects with every symbol visible, for tests that compare inner parts with PyTorch.
$(B)/libvqct-internal.so: $(LIB_OBJECTS)
	$(call say,LD)
	$(Q)$(CC) $(SANITIZE) -shared -o $@ $(LIB_OBJECTS) $(LIB_LIBS)

$(B)/vqct: $(B)/command/main.o $(COMMAND_OBJECTS) $(B)/libvqct.a
	$(call say,LD)
	$(Q)$(CC) $(SANITIZE) -o $@ $^ $(ALL_LIBS)

# With MPI=1: the same command for the ranks of an MPI job, whose object takes the place of the
# archive's core/train/distributed.o.
MPI_OBJECT := $(B)/core/train/mpi/distributed.o
$(MPI_OBJECT): LIB_PACKAGES += ompi-c
$(B)/vqct-mpi: $(MPI_OBJECT) $(B)/command/main.o $(COMMAND_OBJECTS) $(B)/libvqct.a
	$(call say,LD)
	$(Q)$(CC) $(SANITIZE) -o $@ $^ $(ALL_LIBS) $(shell pkg-config --libs ompi-c)
ifneq ($(MPI),)
all: $(B)/vqct-mpi
endif

# tests/unit/failing_memory.h tells what these are for.
WRAP_MEMORY := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc
# Those whose names end in _work count comparisons of texts.
WRAP_WORK := -Wl,--wrap=memcmp,--wrap=strcmp

$(B)/tests/%: $(B)/tests/%.o $(COMMAND_OBJECTS) $(B)/libvqct.a
	$(call say,LD)
	$(Q)$(CC) $(SANITIZE) $(if $(filter %_memory,$@),$(WRAP_MEMORY)) \
	  $(if $(filter %_work,$@),$(WRAP_WORK)) -o $@ $^ $(ALL_LIBS) \
	  $(shell pkg-config --libs check)

# Tokens without files, for a processor whose libraries are not at hand (tests/deploy/test_same_bits.py):
# make CC=aarch64-linux-gnu-gcc CONFIG=arm64 PKG_FLAGS='-idirafter /usr/include' \
#      CFLAGS='-ffunction-sections -fdata-sections' build/arm64/same_bits
SAME_BITS := $(filter $(B)/core/base/% $(B)/core/kernels/% $(B)/core/network/%,$(LIB_OBJECTS))
$(B)/same_bits: $(B)/tests/deploy/same_bits.o $(filter-out %/blas.o,$(SAME_BITS)) \
                $(B)/core/model/quantizer.o $(B)/core/model/code_search.o
	$(call say,LD)
	$(Q)$(CC) -static -Wl,--gc-sections -o $@ $^ -lm -pthread

serve: deps ## build, and run the service with the models that ship [LISTEN=ADDRESS:PORT]
	@$(MAKE) --no-print-directory all
	$(B)/vqct serve $(MODEL:%=--model %) $(LISTEN:%=--listen %)

# The models that ship, in stages. What is interrupted goes on where it was.
PRIOR := models/prior-glove-100d.safetensors
RUN   ?= runs/$(@:model-%=vqct-%)
BEGIN = --config config/train/small.json $(DATA:%=--data %) --prior $(PRIOR) --perceptual $(PERCEPTUAL)
LARGE = --cosine --crop 128 --batch 4 --average-decay 0.999 --dropout 0
DENSE = $(LARGE) --crop-min 0.6 --crop-max 1
LONG  = $(LARGE) --crop-min 0.5 --crop-max 0.8 --learning-rate 3e-4 --warmup-steps 200 --perceptual-weight 0.1
SHARP = $(LONG) --crop-min 0.45 --crop-max 0.85
LAST  = $(SHARP) --steps 4600 --learning-rate 1.5e-4 --warmup-steps 100 --perceptual-weight 0.09 --pixel l2 --pixel-weight 6

# Trains the run $(1) up to step $(2) with the options $(3), unless it has a line of that step already. A run
# that is there goes on; one that is not begins with BEGIN and the options $(4).
define stage
	@test -n "$(DATA)" && test -n "$(PERCEPTUAL)" || { echo 'give DATA="FOLDER..." and PERCEPTUAL=FILE'; exit 2; }
	@done='grep -qs "\"step\":$(2)," $(1)/metrics.jsonl'; begin='$(BEGIN) $(4)'; \
	  test ! -e $(1)/last.safetensors || begin=--resume; \
	  eval $$done || { $(B)/vqct train -o $(1) $$begin $(3) && eval $$done; }

endef

.PHONY: model model-small model-f16
model: model-small model-f16 ## train both models that ship: as the next two

model-small: all ## train vqct-small (hours): DATA="FOLDER..." PERCEPTUAL=lpips_squeeze.safetensors [RUN=FOLDER]
	$(call stage,$(RUN),3000)
	$(call stage,$(RUN),7000,$(DENSE) --steps 7000 --perceptual-weight 0.1)
	$(call stage,$(RUN),8200,$(DENSE) --steps 8200 --learning-rate 1.5e-3 --perceptual-weight 0.05)
	$(call stage,$(RUN)-long,10000,$(LONG) --steps 10000,--from $(RUN)/model.safetensors)
	$(call stage,$(RUN)-longer,10500,$(LONG) --steps 14200 --until 10500,--from $(RUN)-long/model.safetensors)
	$(call stage,$(RUN)-longer,14200,$(LONG) --steps 14200 --until 0 --coverage-weight 5)
	$(call stage,$(RUN)-sharp,4400,$(SHARP) --steps 15500 --until 4400 --coverage-weight 3,--from $(RUN)-longer/model.safetensors)
	$(call stage,$(RUN)-sharp,15500,$(SHARP) --steps 15500 --until 0 --coverage-weight 4 --detail-weight 0.25)
	$(call stage,$(RUN)-last,2400,$(LAST) --until 2400 --perceptual-weight 0.06 --coverage-weight 4 --detail-weight 0.7,--from $(RUN)-sharp/model.safetensors)
	$(call stage,$(RUN)-last,3000,$(LAST) --until 3000 --coverage-weight 8 --detail-weight 0.55)
	$(call stage,$(RUN)-last,4600,$(LAST) --until 0 --coverage-weight 8 --detail-weight 0.25)
	cp $(RUN)-last/model.safetensors models/vqct-small.safetensors

model-f16: all ## train vqct-f16, of 512 tokens for 256 x 256 (hours): the same
	$(call stage,$(RUN),3000,,--preset vqct-small-f16 --name vqct-f16)
	$(call stage,$(RUN),10000,$(DENSE) --steps 10000 --perceptual-weight 0.1)
	cp $(RUN)/model.safetensors models/vqct-f16.safetensors

# An entry for each object of the command, the library and the unit tests, from what make would run.
COMPILE_COMMANDS ?= compile_commands.json

.PHONY: compile-commands
compile-commands: ## write compile_commands.json, for editors and analysers
	@$(MAKE) -nB V=1 all $(UNIT_TESTS) | $(PYTHON) config/compile-commands >$(COMPILE_COMMANDS)

-include $(shell find $(B) -name '*.d' 2>/dev/null)

# ---- testing ----------------------------------------------------------------------------------
test: deps-test ## install what tests need and run them all
	@$(MAKE) --no-print-directory check-test

check-test: all $(UNIT_TESTS) $(B)/libvqct-internal.so $(if $(shell command -v mpirun),$(B)/vqct-mpi)
	$(PYTHON) tests/run.py --build $(B) $(ONLY)

bench-kernels: $(B)/tests/bench/kernels ## time the convolutions of the f16 network, forward and backward
	$< 1 1 backward
	$< 2 1 backward

asan ubsan tsan: ## build with a sanitizer and run the unit and command tests
	$(MAKE) CONFIG=$@ check-test ONLY="$(or $(ONLY),unit integration)"

FUZZ_SECONDS ?= 20
# Kernels read no files, and clang needs many minutes for one that is instrumented.
ifeq ($(CONFIG),fuzz)
$(SIMD_OBJECTS): SANITIZE :=
endif
FUZZERS := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))

$(B)/fuzz/%: $(B)/tests/fuzz/%.o $(B)/libvqct.a
	@mkdir -p $(@D)
	$(CC) $(SANITIZE) -fsanitize=fuzzer -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LIB_LIBS)

# The server's readers of text are in no archive, nor are the command's of token sets.
$(B)/fuzz/fuzz_http: $(addprefix $(B)/server/,http/accept.o http/base64.o http/compress.o http/multipart.o http/priority.o http/reply.o)
$(B)/fuzz/fuzz_intake: $(addprefix $(B)/server/,http/intake.o http/head.o)
$(B)/fuzz/fuzz_intake: LIB_LIBS += $(shell pkg-config --libs gnutls)
$(B)/fuzz/fuzz_infer: $(filter $(B)/server/%,$(COMMAND_OBJECTS))
$(B)/fuzz/fuzz_infer: LIB_LIBS := $(ALL_LIBS)

$(B)/fuzz/fuzz_token_set: $(filter $(B)/command/token_%,$(COMMAND_OBJECTS)) $(B)/command/part_file.o

fuzz: ## run each fuzzer for FUZZ_SECONDS
	@config/install-packages $(BUILD_DEBS) clang
	@$(MAKE) --no-print-directory CONFIG=fuzz CC=clang run-fuzzers

# A corpus is kept in the build folder and grows from run to run.
run-fuzzers: $(FUZZERS) $(B)/vqct
	@mkdir -p $(FUZZERS:$(B)/fuzz/%=$(B)/corpus/%)
	$(B)/vqct init --config tests/fuzz/smallest.json -o $(B)/corpus/fuzz_safetensors/smallest
	@set -e; for fuzzer in $(FUZZERS:$(B)/fuzz/%=%); do echo $$fuzzer; \
	  $(B)/fuzz/$$fuzzer -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 \
	    -max_len=65536 -verbosity=0 -artifact_prefix=$(B)/ $(B)/corpus/$$fuzzer; done

.PHONY: deb test-deploy
test-deploy: ## build and use the container's image and the Debian package (as root)
	@config/install-packages debootstrap
	$(PYTHON) tests/deploy/container.py

# ---- measuring --------------------------------------------------------------------------------
PRESET ?= vqct-f16

docs: $(B)/tests/unit/config/test_reference ## write the reference of the options into docs/
	VQCT_WRITE_DOCS=1 $<

bench: all ## measure encoding and decoding with PRESET (vqct-f16)
	@mkdir -p build/bench
	$(B)/vqct init --preset $(PRESET) --seed 1 -o build/bench/$(PRESET).safetensors
	$(B)/vqct bench build/bench/$(PRESET).safetensors

REV ?= HEAD~1

bench-before: all $(B)/tests/bench/peak ## measure beside a past revision, built beside this one, training too [REV=HEAD~1]
	$(PYTHON) tests/bench/before.py $(B) $(REV)

bench-encode: all ## measure `vqct encode` beside `vqct bench`, and Python's encode beside the library's
	@config/install-packages python3-numpy python3-pil
	VQCT_BUILD=$(B) $(PYTHON) tests/bench/encode.py --model $(firstword $(MODEL)) --threads 1,$(shell nproc)
	VQCT_BUILD=$(B) $(PYTHON) tests/bench/python_encode.py --model $(firstword $(MODEL))

bench-serve: all ## measure the service under load beside `vqct bench`, or a past program [BEFORE=VQCT]
	@config/install-packages $(TEST_DEBS)
	VQCT_BUILD=$(B) $(PYTHON) tests/bench/serve.py $(if $(BEFORE),--before $(BEFORE),--model $(firstword $(MODEL)))

bench-peers: ## measure beside ONNX Runtime and PyTorch
	@config/install-packages $(BUILD_DEBS) python3-torch python3-numpy $(NODE_DEBS)
	@$(MAKE) --no-print-directory all $(B)/tests/bench/peak
	mkdir -p build/peers && cp tests/bench/peers/package.json build/peers
	cd build/peers && npm install --silent --ignore-scripts --no-audit --no-fund
	$(PYTHON) tests/bench/peers/run.py $(B) build/peers
	@$(MAKE) --no-print-directory $(B)/libvqct-internal.so
	VQCT_BUILD=$(B) $(PYTHON) tests/bench/train_step.py

# ---- packages ---------------------------------------------------------------------------------
BUILD_DEBS := build-essential pkg-config libmicrohttpd-dev libgnutls28-dev libuv1-dev libjansson-dev \
              libpng-dev libjpeg-dev libwebp-dev uthash-dev zlib1g-dev libssl-dev libarchive-dev libzip-dev libyaml-dev
# The arm64 build's arithmetic is compared with that of an x86-64 machine.
CROSS_DEBS := $(if $(filter x86_64,$(shell uname -m)),gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user)
TEST_DEBS  := check python3-torch python3-numpy python3-pil python3-jsonschema python3-yaml curl openssl \
              libopenblas0-pthread prometheus haproxy groff-base graphviz openmpi-bin libopenmpi-dev systemd \
              python3-pip python3-setuptools python3-wheel $(CROSS_DEBS)
# Ubuntu's Chromium is a snap, which a build cannot install: there the browser's test says it is skipped.
BROWSER_DEBS := $(if $(filter debian,$(shell . /etc/os-release && echo $$ID)),chromium chromium-driver python3-selenium)
# Node.js from elsewhere brings npm along, and Debian's npm conflicts with it.
NODE_DEBS  := $(if $(shell command -v npm),,nodejs npm)

deps: ## install the packages that building needs
	@config/install-packages $(BUILD_DEBS)

deps-test: ## install the packages that building and testing need
	@config/install-packages $(BUILD_DEBS) $(TEST_DEBS) $(BROWSER_DEBS) $(NODE_DEBS)

LINT_DEBS := cppcheck clang-format shellcheck

lint: ## compile with warnings as errors and run the linters
	@config/install-packages $(BUILD_DEBS) $(LINT_DEBS)
	$(MAKE) CI=1 CONFIG=lint all
	cppcheck --quiet --std=c11 --enable=warning,portability --inline-suppr --error-exitcode=1 \
	  -Iinclude $(addprefix -I,$(ROOMS_EVERY)) core server command config
	clang-format --dry-run --Werror $(shell git ls-files '*.c' '*.h')
	shellcheck $(shell git grep -lE '^#!.*(sh|bash)$$')
	$(MAKE) --no-print-directory lint-deploy

# The checker runs where its packages are: node looks for them beside the script.
lint-deploy: ## check the Dockerfile, the Kubernetes manifests and the description of the API
	@config/install-packages $(NODE_DEBS)
	mkdir -p build/deploy && cp tests/deploy/package.json tests/deploy/*.mjs tests/deploy/client.ts build/deploy
	cd build/deploy && npm install --silent --ignore-scripts --no-audit --no-fund
	build/deploy/node_modules/.bin/dockerfile-utils lint Dockerfile
	node build/deploy/manifests.mjs deploy/kubernetes
	node build/deploy/openapi.mjs server/api/openapi.json

# ---- installing -------------------------------------------------------------------------------
INSTALL_TO = $(DESTDIR)$(PREFIX)
SYSCONFDIR ?= $(if $(filter /usr,$(PREFIX)),/etc,$(PREFIX)/etc)
PLACED      = sed -e 's|/usr/bin|$(PREFIX)/bin|' -e 's|/usr/share|$(PREFIX)/share|' -e 's|/etc/vqct|$(SYSCONFDIR)/vqct|'
MAN_PAGE    = docs/man/fill-in $(1) $(B)/vqct $(VERSION) $(PREFIX) $(SYSCONFDIR) config/vqct.json

install: all $(B)/public/libvqct.a ## install under PREFIX (and DESTDIR, for packagers)
	install -d $(INSTALL_TO)/bin $(INSTALL_TO)/lib/pkgconfig $(INSTALL_TO)/include/vqct \
	  $(INSTALL_TO)/share/vqct/models $(INSTALL_TO)/share/man/man1 $(INSTALL_TO)/share/man/man5 \
	  $(INSTALL_TO)/share/bash-completion/completions $(INSTALL_TO)/lib/systemd/system \
	  $(INSTALL_TO)/lib/sysusers.d $(DESTDIR)$(SYSCONFDIR)/vqct
	install -m 755 $(B)/vqct $(INSTALL_TO)/bin/vqct
	install -m 644 $(B)/public/libvqct.a $(INSTALL_TO)/lib/libvqct.a
	install -m 755 $(B)/libvqct.so $(INSTALL_TO)/lib/libvqct.so.$(VERSION)
	ln -sf libvqct.so.$(VERSION) $(INSTALL_TO)/lib/libvqct.so.0
	ln -sf libvqct.so.0 $(INSTALL_TO)/lib/libvqct.so
	install -m 644 include/vqct/*.h $(INSTALL_TO)/include/vqct
	install -m 644 $(wildcard models/*) $(INSTALL_TO)/share/vqct/models
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' -e 's|@LIBS@|$(LIB_PACKAGES)|' \
	  config/vqct.pc.in >$(INSTALL_TO)/lib/pkgconfig/vqct.pc
	$(call MAN_PAGE,docs/man/vqct.1.in) >$(INSTALL_TO)/share/man/man1/vqct.1
	$(call MAN_PAGE,docs/man/vqct.json.5.in) >$(INSTALL_TO)/share/man/man5/vqct.json.5
	install -m 644 deploy/completion/vqct.bash $(INSTALL_TO)/share/bash-completion/completions/vqct
	$(PLACED) deploy/systemd/vqct.service >$(INSTALL_TO)/lib/systemd/system/vqct.service
	install -m 644 $(wildcard deploy/systemd/*.socket) $(INSTALL_TO)/lib/systemd/system
	install -m 644 deploy/systemd/vqct.sysusers $(INSTALL_TO)/lib/sysusers.d/vqct.conf
	test -e $(DESTDIR)$(SYSCONFDIR)/vqct/vqct.json || \
	  $(PLACED) config/vqct.json >$(DESTDIR)$(SYSCONFDIR)/vqct/vqct.json

deb: ## make the Debian packages in build/
	rm -rf build/deb build/deb-python
	$(MAKE) install DESTDIR=build/deb PREFIX=/usr
	deploy/debian/build-package build/deb $(VERSION) build/vqct_$(VERSION).deb
	deploy/debian/build-python-package python build/deb-python $(VERSION) build/python3-vqct_$(VERSION).deb

format: ## put every C file into the project's form
	clang-format -i $(shell git ls-files '*.c' '*.h')

clean: ## remove everything built
	rm -rf build
