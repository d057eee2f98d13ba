# The short way to everything; CMake and ctest do the work.
#
#   make run     what it needs, build, and the example with a console
#   make test    what it needs, build, and all tests
#   make bench   what it needs and the peer, build, and the figures
#   make install PREFIX=DIR
#
# JOBS=N builds and tests with N jobs; TESTS=regex picks tests by name.

JOBS ?= $(shell nproc)
TESTS ?= .
PREFIX ?= /usr/local
EXAMPLE = doc/examples/hello

CTEST = cmake/test.sh release $(JOBS) -R '$(TESTS)'

# What the build finds missing may be installed too (LuaJIT's fallback).
export NEAP_INSTALL = 1

# One after the other: packages before the build, the build before the tests.
.NOTPARALLEL:

all: build

# What work on the sources needs; the other targets install only their own, and
# the peer of the figures comes with them alone.
deps:
	@third_party/install.sh build test lint

deps-build:
	@third_party/install.sh build

deps-test:
	@third_party/install.sh build test

deps-soak:
	@third_party/install.sh build test soak

deps-lint:
	@third_party/install.sh lint

deps-bench:
	@third_party/install.sh build bench

# The program, at build/neap.
build: deps-build
	@cmake/build.sh release $(JOBS)

run: build $(EXAMPLE)/hello.so
	@echo "run: $(EXAMPLE), leave the console with Ctrl-D"
	@build/neap -i $(EXAMPLE)/app.lua

# As anybody builds a module: the compiler and the one public header.
$(EXAMPLE)/hello.so: $(EXAMPLE)/hello.c src/include/neap/module.h
	@echo "run: compiling $<"
	@$(CC) -shared -fPIC -Isrc/include -o $@ $<

test: deps-test
	@cmake/build.sh release $(JOBS)
	@$(CTEST)

# The same tests with their full counts: hours rather than minutes. Those of fibers
# once more with LuaJIT's assertions, those with threads with the thread sanitizer.
soak: deps-soak
	@cmake/build.sh release $(JOBS)
	@NEAP_SOAK=1 $(CTEST)
	@cmake/build.sh debug $(JOBS)
	@NEAP_SOAK=1 cmake/test.sh debug $(JOBS) \
		-R '^functional/(preempt|memory)/|^unit/lua/test_oom'
	@cmake/build.sh tsan $(JOBS)
	@NEAP_SOAK=1 cmake/test.sh tsan $(JOBS) -L threads -R '$(TESTS)'

# The program, the headers, and what finds them, below PREFIX (and DESTDIR).
install: build
	@cmake --install build --prefix "$(PREFIX)"

# Ours, the limit and the peer in one run; the table goes into
# doc/performance.md.
bench: deps-bench
	@cmake/build.sh release $(JOBS)
	@test/bench/run

lint: deps-lint
	@cmake/lint/run

fmt: deps-lint
	@cmake/lint/format --mend

clean:
	rm -f $(EXAMPLE)/hello.so
	rm -rf build build-debug build-asan build-tsan build-clang build-fuzz

.PHONY: all deps deps-build deps-test deps-soak deps-lint deps-bench build run test soak \
	install bench lint fmt clean
