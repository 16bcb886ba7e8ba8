# Builds the C and C++ examples with the installed library, which pkg-config finds. Copy this folder to one of your own
# first, or name a folder for the programs:
#
#   make BUILD=/tmp/examples
#
# PKG_CONFIG_PATH and LD_LIBRARY_PATH help where the library is installed in a folder that the system does not look into.

BUILD ?= build
CC ?= cc
CXX ?= c++
CFLAGS ?= -O2 -g
CXXFLAGS ?= $(CFLAGS)
PKG_CONFIG ?= pkg-config

# One is for libuv, where that is there.
HAS_LIBUV := $(shell $(PKG_CONFIG) --exists libuv 2>/dev/null && echo yes)
PROGRAMS = $(addprefix $(BUILD)/,$(filter-out $(if $(HAS_LIBUV),,loop_uv),$(basename $(wildcard *.c *.cpp))))

all: $(PROGRAMS)

$(BUILD)/election: STANDARD = -std=c++11
$(BUILD)/loop_uv: MORE = libuv
$(BUILD)/%: %.cpp common.h | $(BUILD)
	$(CXX) $(or $(STANDARD),-std=c++17) $(CXXFLAGS) $< -o $@ $(LDFLAGS) $$($(PKG_CONFIG) --cflags --libs election) -pthread

$(BUILD)/%: %.c common.h | $(BUILD)
	$(CC) -std=c99 $(CFLAGS) $< -o $@ $(LDFLAGS) $$($(PKG_CONFIG) --cflags --libs election $(MORE)) -pthread

$(BUILD):
	mkdir -p $@

clean:
	rm -f $(PROGRAMS)

.PHONY: all clean
