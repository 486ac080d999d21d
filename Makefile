# keycycle -- `make help` lists the targets. Output goes under build/ only.

.DEFAULT_GOAL := all
SHELL := /bin/bash
BUILD  ?= build
$(if $(filter 1,$(words $(BUILD))),,$(error BUILD is "$(BUILD)": it must be a path without blanks))
PKG_CONFIG ?= pkg-config
CFLAGS ?= -O2 -g
SAN    ?=
JOBS   ?= $(shell nproc 2>/dev/null || echo 1)
# For the makes that this one starts: how many jobs, unless it was told itself.
QUIETLY = --no-print-directory -s $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(JOBS))

FLOORS := util engine store net runtime lua host
REQUIRED := lua5.4 libcurl libcjson sqlite3
# One place says it. The first number is that of the interface of libkeycycle.so.
VERSION := $(shell sed -n 's/^.define KEYCYCLE_VERSION "\(.*\)"/\1/p' src/keycycle.h)
SOVERSION := $(firstword $(subst ., ,$(VERSION)))

KC_WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes \
	-Wmissing-prototypes -Wvla
KC_CFLAGS = -std=c11 -D_GNU_SOURCE -Isrc -I$(BUILD)/gen -fPIC \
	-fvisibility=hidden -pthread $(KC_WARN) $(SAN)
# Optional: MySQL stores. The library is loaded when one is opened, not linked.
HAVE_MYSQL := $(shell $(PKG_CONFIG) --exists libmariadb && echo yes)
MYSQL_CFLAGS = $(patsubst -I%,-isystem %,$(shell $(PKG_CONFIG) --cflags libmariadb))

# Where they are pkg-config says, and LuaRocks, by folders.
LUA_CFLAGS = $(if $(LUA_INCDIR),-I$(LUA_INCDIR),$(shell $(PKG_CONFIG) --cflags lua5.4))
DEP_CFLAGS = $(patsubst %,-I%,$(sort $(CURL_INCDIR) $(CJSON_INCDIR) $(SQLITE3_INCDIR))) \
	$(shell $(PKG_CONFIG) --cflags libcurl libcjson sqlite3)
DEP_LIBS   = $(patsubst %,-L%,$(sort $(CURL_LIBDIR) $(CJSON_LIBDIR) $(SQLITE3_LIBDIR))) \
	$(or $(shell $(PKG_CONFIG) --libs libcurl libcjson sqlite3),-lcurl -lcjson -lsqlite3)

PKG_CFLAGS = $(LUA_CFLAGS) $(DEP_CFLAGS) $(if $(HAVE_MYSQL),-DKC_HAVE_MYSQL $(MYSQL_CFLAGS))
PKG_LIBS   = $(DEP_LIBS) -pthread -ldl -lm
LUA_LIBS   = $(shell $(PKG_CONFIG) --libs lua5.4)

# Optional module: the HTTP server of `keycycle mock`.
HAVE_EVENT := $(shell $(PKG_CONFIG) --exists libevent && echo yes)
SERVER_SRC := src/net/server.c src/lua/server.c
EVENT_LIBS  = $(shell $(PKG_CONFIG) --libs libevent)

APART := $(SERVER_SRC) $(if $(HAVE_MYSQL),,src/store/mysql_link.c)
floor_src = $(filter-out $(APART),$(wildcard src/$(1)/*.c))
floor_obj = $(patsubst src/%.c,$(BUILD)/obj/%.o,$(call floor_src,$(1)))

HOST_TOOL := src/host/txt2c.c
# Where CC compiles for another machine.
HOST_CC   ?= $(CC)
LIB_SRC   := $(filter-out src/host/%,$(foreach f,$(FLOORS),$(call floor_src,$(f))))
LIB_OBJ   := $(LIB_SRC:src/%.c=$(BUILD)/obj/%.o) $(BUILD)/obj/gen/embed.o
HOST_SRC  := $(filter-out $(HOST_TOOL),$(wildcard src/host/*.c))
HOST_OBJ  := $(HOST_SRC:src/%.c=$(BUILD)/obj/%.o) $(BUILD)/obj/gen/scripts.o $(BUILD)/obj/gen/modules.o
LUA_FILES := $(filter-out lua/keycycle/meta/%,$(shell find lua/keycycle -name '*.lua' 2>/dev/null | LC_ALL=C sort))
SCRIPTS   := $(sort $(wildcard scripts/*.lua))
MODULES   := $(sort $(wildcard scripts/*/*.lua))

# Every object is kept, or the next make would build it and all that needs it again.
.SECONDARY:

all: $(BUILD)/keycycle.so $(BUILD)/keycycle $(BUILD)/libkeycycle.a $(BUILD)/libkeycycle.so \
	$(if $(HAVE_EVENT),$(BUILD)/keycycle-server.so)

$(BUILD)/obj/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(KC_CFLAGS) $(PKG_CFLAGS) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/obj/gen/%.o: $(BUILD)/gen/%.c
	@mkdir -p $(@D)
	$(CC) $(KC_CFLAGS) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

# -- embedded Lua ----------------------------------------------------------
$(BUILD)/txt2c: $(HOST_TOOL)
	@mkdir -p $(@D)
	$(HOST_CC) -std=c11 $(KC_WARN) -O1 $< -o $@

$(BUILD)/gen/embed.c: $(BUILD)/txt2c $(LUA_FILES) Makefile
	@mkdir -p $(@D)
	$(BUILD)/txt2c kc_embed lua/ $(LUA_FILES) > $@.tmp && mv $@.tmp $@

$(BUILD)/gen/scripts.c: $(BUILD)/txt2c $(SCRIPTS) Makefile
	@mkdir -p $(@D)
	$(BUILD)/txt2c -l kc_scripts scripts/ $(SCRIPTS) > $@.tmp && mv $@.tmp $@

$(BUILD)/gen/modules.c: $(BUILD)/txt2c $(MODULES) Makefile
	@mkdir -p $(@D)
	$(BUILD)/txt2c kc_modules scripts/ $(MODULES) > $@.tmp && mv $@.tmp $@

# -- what is built ---------------------------------------------------------
# Exported is what keycycle.h declares; nodelete because libcurl's resolver may
# outlive a Lua state; symbolic because a process may have the library and the module,
# each of which must call its own functions.
SHARED = $(CC) $(or $(LIBFLAG),-shared) $(SAN) $(LDFLAGS) -Wl,-z,nodelete -Wl,-Bsymbolic-functions

# The module: Lua's symbols stay undefined, since the program has them.
$(BUILD)/keycycle.so: $(LIB_OBJ)
	$(SHARED) $^ -o $@ $(PKG_LIBS)

# The library for programs in C: it brings Lua, also where the program has it out of
# sight of others, and nothing is undefined.
SONAME := libkeycycle.so.$(SOVERSION)
$(BUILD)/libkeycycle.so.$(VERSION): $(LIB_OBJ)
	$(SHARED) -Wl,-soname,$(SONAME) $(if $(SAN),,-Wl,-z,defs) $^ -o $@ $(LUA_LIBS) $(PKG_LIBS)

$(BUILD)/libkeycycle.so: $(BUILD)/libkeycycle.so.$(VERSION)
	@ln -sf $(<F) $(BUILD)/$(SONAME)
	@ln -sf $(SONAME) $@

$(BUILD)/libkeycycle.a: $(LIB_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/keycycle: $(HOST_OBJ) $(LIB_OBJ)
	$(CC) $(SAN) $(LDFLAGS) -Wl,-E $^ -o $@ $(LUA_LIBS) $(PKG_LIBS)

$(BUILD)/keycycle-server.so: $(SERVER_SRC:src/%.c=$(BUILD)/obj/%.o) $(BUILD)/lib/util.a
	$(CC) -shared $(SAN) $(LDFLAGS) $^ -o $@ $(EVENT_LIBS)

# -- one archive a floor, so that a unit test links its floor and those below
define floor_archive
$(BUILD)/lib/$(1).a: $(call floor_obj,$(1))
	@mkdir -p $$(@D)
	@rm -f $$@
	$(AR) rcs $$@ $$^
endef
$(foreach f,util engine store net runtime,$(eval $(call floor_archive,$(f))))

below_util    := util
below_engine  := engine util
below_store   := store engine util
below_net     := net util
below_runtime := runtime net store engine util

UNIT_SRC := $(filter-out $(if $(HAVE_MYSQL),,%/test_mysql_faults.c %/test_mysql_store.c %/test_mysql_writers.c), \
	$(wildcard tests/unit/*/test_*.c))
UNIT_BIN := $(UNIT_SRC:tests/%.c=$(BUILD)/tests/%)
CMOCKA_LIBS = $(shell $(PKG_CONFIG) --libs cmocka)

LOADED_SRC := $(patsubst %,tests/support/%.c,elsewhere lines proclib slow_resolver)
SUPPORT_SRC := $(filter-out %_main.c $(LOADED_SRC),$(wildcard tests/support/*.c))
SUPPORT_OBJ := $(SUPPORT_SRC:tests/%.c=$(BUILD)/obj/tests/%.o)

SUPPORT_store := $(BUILD)/obj/tests/support/mariadb.o
SUPPORT_net := $(SUPPORT_OBJ)
SUPPORT_runtime := $(SUPPORT_OBJ)

define unit_rule
$(BUILD)/tests/unit/$(1)/%: tests/unit/$(1)/%.c $(wildcard tests/unit/$(1)/*.h) \
		$(SUPPORT_$(1)) $(foreach b,$(below_$(1)),$(BUILD)/lib/$(b).a)
	@mkdir -p $$(@D)
	$$(CC) $$(KC_CFLAGS) $$(PKG_CFLAGS) -Itests $$(CPPFLAGS) $$(CFLAGS) $$< \
		$(SUPPORT_$(1)) $(foreach b,$(below_$(1)),$(BUILD)/lib/$(b).a) -o $$@ \
		$$(CMOCKA_LIBS) $$(PKG_LIBS)
endef

$(foreach f,util engine store net runtime,$(eval $(call unit_rule,$(f))))

# keycycle.h as C++ reads it, where there is a compiler for that.
HAVE_CXX := $(shell command -v $(CXX))
CXXFLAGS ?= $(CFLAGS)
CXX_BIN := $(if $(HAVE_CXX),$(patsubst tests/%.cpp,$(BUILD)/tests/%,$(wildcard tests/unit/*/test_*.cpp)))
$(BUILD)/tests/unit/runtime/%: tests/unit/runtime/%.cpp src/keycycle.h \
		$(foreach b,$(below_runtime),$(BUILD)/lib/$(b).a)
	@mkdir -p $(@D)
	$(CXX) -std=c++11 -Wall -Wextra -Wpedantic -Isrc $(shell $(PKG_CONFIG) --cflags cmocka) \
		-pthread $(SAN) $(CPPFLAGS) $(CXXFLAGS) $< $(foreach b,$(below_runtime),$(BUILD)/lib/$(b).a) \
		-o $@ $(CMOCKA_LIBS) $(PKG_LIBS)

# Several Lua states in one program, which is what only C can make.
$(BUILD)/tests/unit/lua/%: tests/unit/lua/%.c $(wildcard tests/unit/lua/*.h) \
		$(BUILD)/obj/tests/support/rawserver.o $(BUILD)/libkeycycle.a
	@mkdir -p $(@D)
	$(CC) $(KC_CFLAGS) $(PKG_CFLAGS) -Itests $(CPPFLAGS) $(CFLAGS) $(filter-out %.h,$^) -o $@ \
		$(CMOCKA_LIBS) $(LUA_LIBS) $(PKG_LIBS)

# -- what the tests need beside the programs under test -------------------
LINK = $(CC) $(SAN) $(LDFLAGS) $^ -o $@

$(BUILD)/obj/tests/%.o: tests/%.c
	@mkdir -p $(@D)
	$(CC) $(KC_CFLAGS) $(PKG_CFLAGS) -Itests $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/tests/support/rawserver: $(BUILD)/obj/tests/support/rawserver_main.o \
	$(BUILD)/obj/tests/support/rawserver.o $(BUILD)/lib/util.a
	@mkdir -p $(@D)
	$(LINK) -pthread

# What tests load into a program.
$(BUILD)/tests/support/proclib.so: LOADED_LIBS = $(shell $(PKG_CONFIG) --libs sqlite3)
$(LOADED_SRC:tests/%.c=$(BUILD)/tests/%.so): $(BUILD)/%.so: %.c
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE -fPIC -shared $(KC_WARN) $(PKG_CFLAGS) $< -o $@ $(LOADED_LIBS) -ldl

# Programs that embed the library, each as a user would build it.
HOST_COMMON := $(BUILD)/obj/tests/hosts/host.o
HOST_APART := $(addprefix tests/hosts/,host.c rtld_local.c)
HOSTS := $(BUILD)/tests/hosts/rtld_local $(patsubst tests/%.c,$(BUILD)/tests/%,$(filter-out $(HOST_APART),$(wildcard tests/hosts/*.c)))
$(BUILD)/tests/hosts/%: $(BUILD)/obj/tests/hosts/%.o $(HOST_COMMON) $(BUILD)/libkeycycle.a
	@mkdir -p $(@D)
	$(LINK) $(LUA_LIBS) $(PKG_LIBS)

# One that finds Lua while it runs.
$(BUILD)/tests/hosts/rtld_local: $(BUILD)/obj/tests/hosts/rtld_local.o
	@mkdir -p $(@D)
	$(LINK) -ldl

$(BUILD)/tests/proof/fill: $(BUILD)/obj/tests/proof/fill.o $(foreach b,$(below_store),$(BUILD)/lib/$(b).a)
	@mkdir -p $(@D)
	$(LINK) $(PKG_LIBS)

# The whole library in one archive: a target calls what it likes of it.
FUZZ_BIN := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/fuzz/fuzz_*.c))
$(BUILD)/tests/fuzz/%: tests/fuzz/%.c $(wildcard tests/fuzz/*.h) $(BUILD)/libkeycycle.a
	@mkdir -p $(@D)
	$(CC) $(KC_CFLAGS) $(PKG_CFLAGS) -Itests $(CFLAGS) \
		-fsanitize=fuzzer $< $(BUILD)/libkeycycle.a -o $@ $(LUA_LIBS) $(PKG_LIBS)

# Programs that are measured beside the library, without it.
BESIDE := baseline empty server spawn
$(BUILD)/tests/bench/baseline: BESIDE_LIBS = $(shell $(PKG_CONFIG) --libs libcurl)
$(BUILD)/tests/bench/empty: BESIDE_LIBS = $(LUA_LIBS) $(PKG_LIBS)
$(BUILD)/tests/bench/server: BESIDE_LIBS = $(shell $(PKG_CONFIG) --libs libevent libevent_openssl openssl)
$(BESIDE:%=$(BUILD)/tests/bench/%): $(BUILD)/%: %.c
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE $(KC_WARN) $(PKG_CFLAGS) $(CFLAGS) $< -o $@ $(BESIDE_LIBS)

$(BUILD)/tests/bench/empty.so: tests/bench/empty.c
	@mkdir -p $(@D)
	$(CC) -std=c11 -fPIC -shared $(KC_WARN) $(PKG_CFLAGS) $(CFLAGS) $< -o $@ $(PKG_LIBS)

BENCH_ALONE := $(patsubst %,tests/bench/%.c,$(BESIDE) kept store)
ENGINE_BENCH := $(patsubst tests/%.c,$(BUILD)/obj/tests/%.o,$(filter-out $(BENCH_ALONE),$(wildcard tests/bench/*.c)))
$(BUILD)/tests/bench/engine: $(ENGINE_BENCH) $(BUILD)/lib/engine.a $(BUILD)/lib/util.a
	@mkdir -p $(@D)
	$(LINK) -pthread -lm

$(BUILD)/tests/bench/kept: $(BUILD)/obj/tests/bench/kept.o $(foreach b,$(below_runtime),$(BUILD)/lib/$(b).a)
$(BUILD)/tests/bench/store: $(BUILD)/obj/tests/bench/store.o $(foreach b,$(below_store),$(BUILD)/lib/$(b).a)
$(addprefix $(BUILD)/tests/bench/,kept store):
	@mkdir -p $(@D)
	$(LINK) $(PKG_LIBS)

# Our allocations go through the test's; those of other libraries do not.
OOM_WRAP := malloc calloc realloc free strdup luaL_loadbufferx
OOM_OBJ := $(patsubst tests/%.c,$(BUILD)/obj/tests/%.o,$(wildcard tests/oom/*.c))
$(BUILD)/tests/oom/oom: $(OOM_OBJ) $(BUILD)/obj/tests/support/rawserver.o $(BUILD)/libkeycycle.a
	@mkdir -p $(@D)
	$(LINK) $(OOM_WRAP:%=-Wl,--wrap=%) $(LUA_LIBS) $(PKG_LIBS)

unit-bins: $(UNIT_BIN) $(CXX_BIN)
	$(if $(HAVE_CXX),,@echo 'no C++ compiler: the tests in C++ are left out')
fuzz-bins: $(FUZZ_BIN)
host-bins: $(HOSTS) $(BUILD)/libkeycycle.so
support-bins: $(addprefix $(BUILD)/tests/support/,rawserver elsewhere.so slow_resolver.so proclib.so)

# -- what people type ------------------------------------------------------
# `setup` may install pkg-config itself, which this file asks when it is read:
# so the work is done by a second make that reads it anew.
ASAN = BUILD=$(BUILD)/asan CFLAGS="-O1 -g" SAN="-fsanitize=address,undefined \
	-fno-sanitize-recover=undefined -fno-omit-frame-pointer"
TSAN = BUILD=$(BUILD)/tsan CFLAGS="-O1 -g" SAN="-fsanitize=thread"

setup:
	@tests/support/setup.sh build
setup-test:
	@tests/support/setup.sh build test
setup-bench:
	@tests/support/setup.sh build bench
setup-fuzz:
	@tests/support/setup.sh build test clang
	@tests/support/setup.sh fuzzer
setup-docs:
	@tests/support/setup.sh build docs
setup-coverage:
	@tests/support/setup.sh build test coverage
setup-peers:
	@tests/support/setup.sh build test node
	@KEYCYCLE_BUILD=$(BUILD) tests/support/setup.sh peers

demo: setup
	@$(MAKE) $(QUIETLY) all
	@$(BUILD)/keycycle demo

test check: setup-test
	@$(MAKE) $(QUIETLY) all unit-bins support-bins host-bins
	@$(MAKE) $(QUIETLY) asan
	@tests/support/run_tests.sh $(BUILD)

# The whole program with address and undefined behaviour checks.
asan:
	@$(MAKE) $(QUIETLY) $(ASAN) \
		$(BUILD)/asan/keycycle host-bins $(if $(HAVE_EVENT),$(BUILD)/asan/keycycle-server.so)

# All that is run so checked.
asan-bins:
	@$(MAKE) $(QUIETLY) $(ASAN) \
		all unit-bins support-bins host-bins $(BUILD)/asan/tests/oom/oom

check-asan: setup-test
	@$(MAKE) --no-print-directory asan-bins
	@tests/support/run_tests.sh $(BUILD)/asan sanitized

# Every allocation fails, Lua's and ours, one run for each.
check-oom: setup-test
	@$(MAKE) $(QUIETLY) $(ASAN) \
		$(BUILD)/asan/tests/oom/oom
	@$(BUILD)/asan/tests/oom/oom tests/oom

# Thirty times the random work that `make test` does.
soak: setup-test
	@$(MAKE) $(QUIETLY) unit-bins
	@KEYCYCLE_STEPS=100000000 $(BUILD)/tests/unit/engine/test_pool_oracle
	@KEYCYCLE_STEPS=10000000 $(BUILD)/tests/unit/engine/test_pool_queue_oracle

# The floors that threads share, and Lua states in threads, watched for races.
check-tsan: setup-test
	@$(MAKE) $(QUIETLY) $(TSAN) unit-bins
	@tests/support/run_tests.sh $(BUILD)/tsan unit
	@$(MAKE) $(QUIETLY) all
	@$(MAKE) $(QUIETLY) $(TSAN) $(BUILD)/tsan/tests/hosts/threads
	@KEYCYCLE_HOSTS=$(BUILD)/tsan tests/support/run_tests.sh $(BUILD) threads

check-valgrind: setup-test
	@$(MAKE) $(QUIETLY) all
	@tests/support/valgrind.sh $(BUILD)

check-gc: setup-test
	@$(MAKE) $(QUIETLY) all asan
	@KEYCYCLE_EAGER_GC=$${KEYCYCLE_EAGER_GC:-200} tests/support/run_tests.sh $(BUILD) eager

# Beside a mock of all providers that others wrote.
check-peers: setup-peers
	@$(MAKE) $(QUIETLY) all
	@tests/support/run_tests.sh $(BUILD) peers

# Which lines of src/ and lua/ the tests run.
coverage: setup-coverage
	@$(MAKE) $(QUIETLY) BUILD=$(BUILD)/cov SAN="--coverage" CFLAGS="-O0 -g" \
		all unit-bins support-bins host-bins $(BUILD)/cov/tests/support/lines.so
	@tests/support/coverage.sh $(BUILD)/cov

fuzz: setup-fuzz
	@JOBS=$(JOBS) tests/support/fuzz.sh $(BUILD)

bench: setup-bench
	@$(MAKE) $(QUIETLY) all \
		$(addprefix $(BUILD)/tests/,$(addprefix bench/,baseline empty empty.so engine kept server spawn store) hosts/frame support/proclib.so)
	@KEYCYCLE_BUILD=$(BUILD) $(BUILD)/keycycle tests/bench/run.lua

# What a store promises, held against it: half an hour.
proof: setup-test
	@$(MAKE) $(QUIETLY) all support-bins $(BUILD)/tests/proof/fill
	@tests/proof/run.sh $(BUILD) $(PROOF)

# The library's pages, by LDoc; a warning is an error.
docs: setup-docs
	@lua/docs/build.sh $(BUILD)

lint:
	@tests/support/lint.sh .

format:
	clang-format -i $(wildcard src/*/*.[ch] src/*.h tests/unit/*/*.c tests/support/*.[ch] tests/hosts/*.[ch] tests/bench/*.[ch] tests/oom/*.[ch])

# -- what is installed -----------------------------------------------------
DESTDIR    ?=
PREFIX     ?= /usr/local
BINDIR     ?= $(PREFIX)/bin
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DATADIR    ?= $(PREFIX)/share
MANDIR     ?= $(DATADIR)/man
LUA_CMOD_DIR ?= $(LIBDIR)/lua/5.4
PKGCONFIGDIR ?= $(LIBDIR)/pkgconfig
# Where the program looks for its server, from the place that it is at.
SERVER_DIR = $(patsubst %/,%,$(dir $(BINDIR)))/lib/keycycle
MAN_PAGE  := $(wildcard src/host/keycycle.1)
META      := $(sort $(wildcard lua/keycycle/meta/*.lua))
INSTALL   ?= install

# A shell takes a name with a blank for two, and what is installed is used from any folder.
INTO := PREFIX BINDIR LIBDIR INCLUDEDIR DATADIR MANDIR LUA_CMOD_DIR PKGCONFIGDIR
check_into = $(foreach v,$(INTO),$(if $(filter-out /%,$($(v)))$(word 2,$($(v))),$(error \
	$(v) is "$($(v))": it must begin with / and hold no blank)))$(if $(word 2,$(DESTDIR)),$(error \
	DESTDIR is "$(DESTDIR)": it must hold no blank))

# It names the folders that are given now.
PC = { echo 'prefix=$(PREFIX)'; \
	echo 'libdir=$(LIBDIR:$(PREFIX)/%=$${prefix}/%)'; \
	echo 'includedir=$(INCLUDEDIR:$(PREFIX)/%=$${prefix}/%)'; \
	echo; \
	echo 'Name: keycycle'; \
	echo 'Description: rotates the API keys of AI providers, for programs in C and Lua 5.4'; \
	echo 'Version: $(VERSION)'; \
	echo 'Requires.private: $(REQUIRED)'; \
	echo 'Libs: -L$${libdir} -lkeycycle'; \
	echo 'Libs.private: -pthread -ldl -lm'; \
	echo 'Cflags: -I$${includedir}'; }

# Builds nothing anew that is there, and writes nothing here then. As root, and in no other
# root, the linker's cache learns of the library.
LDCONFIG = @if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ]; then ldconfig || true; fi

install: all
	$(check_into)
	$(INSTALL) -d $(addprefix $(DESTDIR),$(BINDIR) $(LIBDIR) $(INCLUDEDIR) $(LUA_CMOD_DIR) \
		$(PKGCONFIGDIR) $(DATADIR)/keycycle/meta)
	$(INSTALL) $(BUILD)/keycycle $(DESTDIR)$(BINDIR)/
	$(INSTALL) -m 644 $(BUILD)/keycycle.so $(DESTDIR)$(LUA_CMOD_DIR)/
	$(INSTALL) -m 644 $(BUILD)/libkeycycle.a $(BUILD)/libkeycycle.so.$(VERSION) $(DESTDIR)$(LIBDIR)/
	ln -sf libkeycycle.so.$(VERSION) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libkeycycle.so
	@$(PC) | $(INSTALL) -m 644 /dev/stdin $(DESTDIR)$(PKGCONFIGDIR)/keycycle.pc
	$(INSTALL) -m 644 src/keycycle.h $(DESTDIR)$(INCLUDEDIR)/
	$(INSTALL) -m 644 $(META) $(DESTDIR)$(DATADIR)/keycycle/meta/
	$(if $(MAN_PAGE),$(INSTALL) -d $(DESTDIR)$(MANDIR)/man1)
	$(if $(MAN_PAGE),$(INSTALL) -m 644 $(MAN_PAGE) $(DESTDIR)$(MANDIR)/man1/)
	$(if $(HAVE_EVENT),$(INSTALL) -d $(DESTDIR)$(SERVER_DIR))
	$(if $(HAVE_EVENT),$(INSTALL) -m 644 $(BUILD)/keycycle-server.so $(DESTDIR)$(SERVER_DIR)/)
	$(LDCONFIG)

uninstall:
	$(check_into)
	rm -f $(addprefix $(DESTDIR),$(BINDIR)/keycycle $(LUA_CMOD_DIR)/keycycle.so \
		$(addprefix $(LIBDIR)/,libkeycycle.a libkeycycle.so $(SONAME) libkeycycle.so.$(VERSION)) \
		$(PKGCONFIGDIR)/keycycle.pc $(INCLUDEDIR)/keycycle.h $(MANDIR)/man1/keycycle.1 \
		$(SERVER_DIR)/keycycle-server.so \
		$(META:lua/keycycle/%=$(DATADIR)/keycycle/%))
	rmdir $(addprefix $(DESTDIR),$(SERVER_DIR) $(DATADIR)/keycycle/meta $(DATADIR)/keycycle) \
		2>/dev/null || true
	$(LDCONFIG)

# What LuaRocks calls: the module alone, with the folders that it names.
rock: $(BUILD)/keycycle.so
install-rock:
	$(INSTALL) -d $(INST_LIBDIR)
	$(INSTALL) -m 755 $(BUILD)/keycycle.so $(INST_LIBDIR)/

# The sources as an archive that is the same whoever makes it: what git tracks, or, in
# an archive that was unpacked, all that is there.
DIST := keycycle-$(VERSION)
dist:
	@mkdir -p $(BUILD)
	@set -o pipefail; \
	if git ls-files --error-unmatch Makefile >/dev/null 2>&1; then \
		git ls-files -z > $(BUILD)/dist.list; at=$$(git log -1 --format=%ct); \
	else \
		find . \( -samefile '$(BUILD)' -o -path ./build -o -name .git \) -prune -o ! -type d -printf '%P\0' \
			> $(BUILD)/dist.list; at=$$(stat -c %Y Makefile); \
	fi; \
	LC_ALL=C sort -zu $(BUILD)/dist.list | tar --null --files-from=- --format=ustar \
		--owner=0 --group=0 --numeric-owner --mode=u+rw,go=u,go-w --mtime="@$$at" \
		--transform='s,^,$(DIST)/,S' -cf - | gzip -9n > $(BUILD)/dist.tmp && \
	mv $(BUILD)/dist.tmp $(BUILD)/$(DIST).tar.gz
	@rm $(BUILD)/dist.list
	@echo $(BUILD)/$(DIST).tar.gz

clean:
	rm -rf $(BUILD)

help:
	@echo 'make demo            set up, build, and show sixty calls over two mock providers'
	@echo 'make test            set up, build, and run every test'
	@echo 'make                 the module, the host and the library, under build/'
	@echo 'make docs            the pages of the library, under build/docs'
	@echo 'make lint            floors, warnings, sizes, banned calls, luacheck'
	@echo 'make check-asan      the tests, all of them sanitized'
	@echo 'make check-oom       every allocation fails once, of Lua and of ours'
	@echo 'make check-tsan      the unit tests, and states in threads, under the thread sanitizer'
	@echo 'make soak            a hundred million random operations beside an exact log'
	@echo 'make check-valgrind  the Lua specs under valgrind'
	@echo 'make check-gc        the Lua specs with an eager collector'
	@echo 'make check-peers     the clients beside a mock of all providers from npm (brings node)'
	@echo 'make coverage        the share of lines that the tests run, of src/ and of lua/'
	@echo 'make fuzz            the parsers of outside bytes, 20 s each'
	@echo 'make bench           figures beside a baseline'
	@echo 'make proof           stores under kill -9, outages, several processes: half an hour'
	@echo 'make install         under PREFIX (/usr/local), also below DESTDIR; make uninstall'
	@echo 'make dist            the sources as build/$(DIST).tar.gz'
	@echo 'make format clean'

.PHONY: all unit-bins host-bins fuzz-bins support-bins setup setup-test setup-bench setup-fuzz setup-peers setup-docs setup-coverage \
	demo docs test \
	check asan asan-bins check-asan check-oom soak check-tsan check-valgrind check-gc check-peers coverage fuzz \
	bench proof docs lint format install uninstall rock install-rock dist clean help

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
