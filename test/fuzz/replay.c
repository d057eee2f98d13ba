/*
 * Runs a fuzz target without libFuzzer: over each seed of a folder, and over
 * mutations of them that are the same each time.
 *
 *   fuzz_json corpus/json [ROUNDS]
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEEDS_MAX = 256, SEED_SIZE_MAX = 1 << 16, ROUNDS = 20000 };

static struct {
	char *data;
	size_t size;
} seeds[SEEDS_MAX];
static size_t seed_count;
static uint64_t state = 88172645463325252u;

static uint64_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static int load(const char *dir, const char *name)
{
	char path[4096];
	FILE *f;

	if (seed_count == SEEDS_MAX)
		return 0;
	snprintf(path, sizeof path, "%s/%s", dir, name);
	f = fopen(path, "rb");
	if (f == NULL)
		return -1;
	seeds[seed_count].data = malloc(SEED_SIZE_MAX);
	seeds[seed_count].size =
		fread(seeds[seed_count].data, 1, SEED_SIZE_MAX, f);
	seed_count++;
	fclose(f);
	return 0;
}

static int load_all(const char *path)
{
	DIR *dir = opendir(path);
	int rc = 0;

	if (dir == NULL)
		return -1;
	for (struct dirent *e; rc == 0 && (e = readdir(dir)) != NULL;) {
		if (e->d_name[0] != '.')
			rc = load(path, e->d_name);
	}
	closedir(dir);
	return rc;
}

/* A copy of just that size, so that a sanitizer sees each step over. */
static void run(const char *data, size_t size)
{
	uint8_t *copy = malloc(size + (size == 0));

	memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

/* Change some bytes, cut a piece out, put one of another seed in. */
static size_t mutate(char *data, size_t size)
{
	for (int i = (int)(next_random() % 4); i >= 0 && size > 0; i--) {
		size_t at = next_random() % size, other, n;

		switch (next_random() % 4) {
		case 0:
			data[at] = (char)next_random();
			break;
		case 1:
			data[at] ^= (char)(1 << next_random() % 8);
			break;
		case 2:
			n = next_random() % (size - at) % 16;
			memmove(data + at, data + at + n, size - at - n);
			size -= n;
			break;
		default:
			other = next_random() % seed_count;
			n = seeds[other].size;
			n = n == 0 ? 0 : next_random() % n;
			if (size + n > SEED_SIZE_MAX)
				break;
			memmove(data + at + n, data + at, size - at);
			memcpy(data + at, seeds[other].data, n);
			size += n;
		}
	}
	return size;
}

int main(int argc, char **argv)
{
	static char data[SEED_SIZE_MAX];
	long rounds = argc > 2 ? atol(argv[2]) : ROUNDS;

	if (argc < 2 || load_all(argv[1]) != 0 || seed_count == 0) {
		fprintf(stderr, "no seeds: %s\n", strerror(errno));
		return 2;
	}
	for (size_t i = 0; i < seed_count; i++)
		run(seeds[i].data, seeds[i].size);
	for (long i = 0; i < rounds; i++) {
		size_t seed = next_random() % seed_count, n;

		memcpy(data, seeds[seed].data, seeds[seed].size);
		n = mutate(data, seeds[seed].size);
		run(data, n);
	}
	for (size_t i = 0; i < seed_count; i++)
		free(seeds[i].data);
	printf("%zu seeds, %ld mutations\n", seed_count, rounds);
	return 0;
}
