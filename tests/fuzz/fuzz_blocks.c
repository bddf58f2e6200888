/* SPDX-License-Identifier: MIT
 *
 * Blocks of exec --pipe: however records begin and end, all blocks together are the input, behind its header,
 * which each begins with.
 */
#include "cli/blocks.h"
#include "fuzz.h"
#include "input.h"

static void read_spec(struct input *input, struct blocks_spec *spec)
{
    static const char *const texts[] = {NULL, "", "a", "\\n", "aab", "[ab]", "(x)|y", "a*", "^b", "\\0"};
    static const char *const headers[] = {NULL, NULL, ":", "3", "a+", "4000000000"};
    unsigned flags = input_byte(input), separator = input_byte(input), count = input_byte(input);

    *spec = (struct blocks_spec){
        .separator = {.start = texts[separator % 10], .end = texts[separator / 10 % 10], .regexp = flags & 1},
        .header = headers[(flags >> 1) % 6],
        .remove = flags & 16,
        .block_bytes = input_number(input, 2) % 300 + 1,
        .records = flags & 32 ? count : 0,
        .lines = flags & 64 ? count : 0,
    };
}

/* `whole`: nothing is taken out. */
static void take_blocks(struct blocks *blocks, struct input left, bool whole)
{
    struct muster_error error = {0};
    struct word block;
    size_t header = 0;
    int code;

    while ((code = blocks_next(blocks, &block, &error)) == 0) {
        FUZZ_CHECK(block.size <= blocks->header_size + left.size);
        FUZZ_CHECK(blocks->header_size == 0 ||
                   memcmp(block.bytes, blocks->header_bytes, blocks->header_size) == 0);
        if (header == 0)
            input_number(&left, header = blocks->header_size);
        block.bytes += blocks->header_size;
        block.size -= blocks->header_size;
        if (!whole)
            continue;
        FUZZ_CHECK(block.size <= left.size && memcmp(block.bytes, left.bytes, block.size) == 0);
        input_number(&left, block.size);
    }
    FUZZ_CHECK(code == MUSTER_EEND || (error.code == code && error.text[0]));
    FUZZ_CHECK(code != MUSTER_EEND || !whole || left.size == 0 || left.size == blocks->header_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static int file = -1;
    struct input input = {bytes, size};
    char path[INPUT_PATH_BYTES];
    struct muster_error error = {0};
    struct blocks_spec spec;
    struct blocks blocks;

    read_spec(&input, &spec);
    input_file(&file, input.bytes, input.size, path);
    if (blocks_init(&blocks, &spec, file, "input", &error) == 0)
        take_blocks(&blocks, input, !spec.remove);
    else
        FUZZ_CHECK(error.code < 0 && error.text[0]);
    blocks_fini(&blocks);
    return 0;
}
