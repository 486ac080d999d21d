# keycycle -- `make help` lists the targets. Output goes under build/ only.

.DEFAULT_GOAL := all
BUILD  ?= build
LUA    ?= lua5.4
PKG_CONFIG ?= pkg-config
CFLAGS ?= -O2 -g
SAN    ?=

FLOORS := util engine store net runtime lua host
REQUIRED := lua5.4 libcurl libcjson sqlite3

KC_WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes \
	-Wmissing-prototypes -Wvla
KC_CFLAGS = -std=c11 -D_GNU_SOURCE -Isrc -I$(BUILD)/gen -fPIC \
	-fvisibility=hidden -pthread $(KC_WARN) $(SAN)
PKG_CFLAGS = $(shell $(PKG_CONFIG) --cflags $(REQUIRED))
PKG_LIBS   = $(shell $(PKG_CONFIG) --libs libcurl libcjson sqlite3) -pthread
LUA_LIBS   = $(shell $(PKG_CONFIG) --libs lua5.4)

# Optional module: the HTTP server of `keycycle mock`.
HAVE_EVENT := $(shell $(PKG_CONFIG) --exists libevent && echo yes)
SERVER_SRC := src/net/server.c src/lua/server.c
EVENT_LIBS  = $(shell $(PKG_CONFIG) --libs libevent)

floor_src = $(filter-out $(SERVER_SRC),$(wildcard src/$(1)/*.c))
floor_obj = $(patsubst src/%.c,$(BUILD)/obj/%.o,$(call floor_src,$(1)))

HOST_TOOL := src/host/txt2c.c
LIB_SRC   := $(filter-out src/host/%,$(foreach f,$(FLOORS),$(call floor_src,$(f))))
LIB_OBJ   := $(LIB_SRC:src/%.c=$(BUILD)/obj/%.o) $(BUILD)/obj/gen/embed.o
HOST_SRC  := $(filter-out $(HOST_TOOL),$(wildcard src/host/*.c))
HOST_OBJ  := $(HOST_SRC:src/%.c=$(BUILD)/obj/%.o) $(BUILD)/obj/gen/scripts.o
LUA_FILES := $(filter-out lua/keycycle/meta/%,$(shell find lua/keycycle -name '*.lua' 2>/dev/null | LC_ALL=C sort))
SCRIPTS   := $(sort $(wildcard scripts/*.lua))

all: $(BUILD)/keycycle.so $(BUILD)/keycycle $(BUILD)/libkeycycle.a \
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
	$(CC) -std=c11 $(KC_WARN) -O1 $< -o $@

$(BUILD)/gen/embed.c: $(BUILD)/txt2c $(LUA_FILES) Makefile
	@mkdir -p $(@D)
	$(BUILD)/txt2c kc_embed lua/ $(LUA_FILES) > $@.tmp && mv $@.tmp $@

$(BUILD)/gen/scripts.c: $(BUILD)/txt2c $(SCRIPTS) Makefile
	@mkdir -p $(@D)
	$(BUILD)/txt2c kc_scripts scripts/ $(SCRIPTS) > $@.tmp && mv $@.tmp $@

# -- what is built ---------------------------------------------------------
# The module: Lua's symbols stay undefined, only luaopen_ and keycycle_ names
# are exported; nodelete because libcurl's resolver may outlive a Lua state.
$(BUILD)/keycycle.so: $(LIB_OBJ)
	$(CC) -shared $(SAN) $(LDFLAGS) -Wl,-z,nodelete $^ -o $@ $(PKG_LIBS)

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

UNIT_SRC := $(wildcard tests/unit/*/test_*.c)
UNIT_BIN := $(UNIT_SRC:tests/%.c=$(BUILD)/tests/%)
CMOCKA_LIBS = $(shell $(PKG_CONFIG) --libs cmocka)

define unit_rule
$(BUILD)/tests/unit/$(1)/%: tests/unit/$(1)/%.c $(foreach b,$(below_$(1)),$(BUILD)/lib/$(b).a)
	@mkdir -p $$(@D)
	$$(CC) $$(KC_CFLAGS) $$(PKG_CFLAGS) -Itests $$(CPPFLAGS) $$(CFLAGS) $$< \
		$(foreach b,$(below_$(1)),$(BUILD)/lib/$(b).a) -o $$@ \
		$$(CMOCKA_LIBS) $$(PKG_LIBS) -lm
endef
$(foreach f,util engine store net runtime,$(eval $(call unit_rule,$(f))))

unit-bins: $(UNIT_BIN)
.PHONY: all unit-bins

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
