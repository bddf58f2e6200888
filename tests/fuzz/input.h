/* SPDX-License-Identifier: MIT
 *
 * The bytes of a fuzz target, taken one piece after another: choices first, then what is decoded. Behind
 * their end numbers are 0 and texts empty.
 */
#ifndef MUSTER_TESTS_FUZZ_INPUT_H
#define MUSTER_TESTS_FUZZ_INPUT_H

#include "fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct input {
    const uint8_t *bytes;
    size_t size;
};

/* The next bytes, as many as there are of `size`. */
static inline size_t input_bytes(struct input *input, size_t size, const uint8_t **ret_bytes)
{
    size = size < input->size ? size : input->size;
    *ret_bytes = input->bytes;
    input->bytes += size;
    input->size -= size;
    return size;
}

/* A number of so many bytes, the lowest first. */
static inline uint64_t input_number(struct input *input, size_t size)
{
    const uint8_t *bytes;
    uint64_t number = 0;

    size = input_bytes(input, size, &bytes);
    while (size-- > 0)
        number = number << 8 | bytes[size];
    return number;
}

static inline unsigned input_byte(struct input *input)
{
    return (unsigned)input_number(input, 1);
}

/* What is in front of the next byte `end`, or of the end: a copy with a NUL behind it, to be freed, in which
 * a read beyond it is seen. */
static inline char *input_text(struct input *input, int end, size_t *ret_size)
{
    const uint8_t *bytes, *found = input->size > 0 ? memchr(input->bytes, end, input->size) : NULL;
    size_t size = input_bytes(input, found ? (size_t)(found - input->bytes) : input->size, &bytes);
    char *text = malloc(size + 1);

    FUZZ_CHECK(text);
    memcpy(text, bytes, size);
    text[size] = '\0';
    if (found)
        input_byte(input);
    *ret_size = size;
    return text;
}

enum { INPUT_PATH_BYTES = 32 };

/* Makes the bytes the content of a file in memory, *fd, which is made if it is -1; and its path. */
static inline void input_file(int *fd, const void *bytes, size_t size, char ret_path[INPUT_PATH_BYTES])
{
    if (*fd < 0)
        *fd = memfd_create("muster-fuzz", MFD_CLOEXEC);
    FUZZ_CHECK(*fd >= 0 && ftruncate(*fd, 0) == 0);
    FUZZ_CHECK(size == 0 || pwrite(*fd, bytes, size, 0) == (ssize_t)size);
    FUZZ_CHECK(lseek(*fd, 0, SEEK_SET) == 0);
    snprintf(ret_path, INPUT_PATH_BYTES, "/proc/self/fd/%d", *fd);
}

#endif
