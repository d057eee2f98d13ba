# The short way to everything; CMake does the work.

JOBS ?= $(shell nproc)

build:
	@cmake --preset release
	@cmake --build build -j $(JOBS)

test: build
	@ctest --preset release -j $(JOBS)

clean:
	rm -rf build build-debug build-asan build-tsan

.PHONY: build test clean
