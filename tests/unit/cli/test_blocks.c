/* SPDX-License-Identifier: MIT
 *
 * Blocks of --pipe: whole records, however the input is cut into reads and blocks.
 */
#include "cli/blocks.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct muster_error error;

/* The blocks of the input, each with '|' behind it, read in pieces of so many bytes. */
static char *cut(const struct blocks_spec *spec, const char *input, size_t size, size_t piece)
{
    char *all = calloc(size * 8 + 64, 1), *to = all;
    struct blocks blocks;
    struct word block;
    size_t sent = 0;
    int ends[2], code;

    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(blocks_init(&blocks, spec, ends[0], "a pipe", &error), 0, "%s", error.text);
    while ((code = blocks_next(&blocks, &block, &error)) == 0 || code == MUSTER_EAGAIN) {
        if (code == 0) {
            to = mempcpy(to, block.bytes, block.size);
            *to++ = '|';
            continue;
        }
        if (piece > size - sent)
            piece = size - sent;
        if (piece > 0)
            cr_assert_eq(write(ends[1], input + sent, piece), (ssize_t)piece);
        else
            close(ends[1]);
        sent += piece;
    }
    cr_assert_eq(code, MUSTER_EEND, "%s", error.text);
    blocks_fini(&blocks);
    close(ends[0]);
    return all;
}

static void expect(struct blocks_spec spec, const char *input, const char *expected)
{
    size_t size = strlen(input);

    spec.block_bytes = spec.block_bytes ? spec.block_bytes : 1 << 20;
    for (size_t piece = 1; piece <= size + 1; piece++) {
        char *blocks = cut(&spec, input, size, piece);

        cr_expect_str_eq(blocks, expected, "read by %zu: %s", piece, blocks);
        free(blocks);
    }
}

Test(blocks, as_many_whole_records_as_fit)
{
    expect((struct blocks_spec){.block_bytes = 7}, "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n",
           "1\n2\n3\n|4\n5\n6\n|7\n8\n9\n|10\n|");
    expect((struct blocks_spec){.block_bytes = 8}, "1\n2\n3\n45", "1\n2\n3\n|45|");
    expect((struct blocks_spec){.block_bytes = 9}, "1\n2\n3\n45", "1\n2\n3\n45|");
    expect((struct blocks_spec){.block_bytes = 3}, "", "");
    expect((struct blocks_spec){.block_bytes = 3}, "\n\n\n\n", "\n\n\n|\n|");
}

/* Ensures: whatever the size, all is there in order, records are whole, and no block is larger than asked
 * for unless a record is. */
Test(blocks, every_block_size_loses_and_cuts_nothing)
{
    static const char input[] = "a\n\nbb\nccccccccccc\nd\ne\nffffffff\n\n\ng";

    for (size_t size = 1; size < sizeof input + 2; size++) {
        struct blocks_spec spec = {.block_bytes = size};
        char *blocks = cut(&spec, input, sizeof input - 1, 5), joined[sizeof input] = "", *at;

        for (char *block = strtok_r(blocks, "|", &at); block; block = strtok_r(NULL, "|", &at)) {
            strcat(joined, block);
            cr_expect(block[strlen(block) - 1] == '\n' || *at == '\0', "%zu: '%s'", size, block);
            cr_expect(size < 12 || strlen(block) <= size, "%zu: '%s'", size, block);
        }
        cr_expect_str_eq(joined, input, "%zu", size);
        free(blocks);
    }
}

Test(blocks, block_grows_for_a_record_that_does_not_fit_and_stays_so)
{
    expect((struct blocks_spec){.block_bytes = 3, .separator.start = "a"}, "a1:b:a2:c:a3", "a1:b:|a2:c:a3|");
    expect((struct blocks_spec){.block_bytes = 1}, "abcdefgh\ni\nj\nk\nl\nm\nn\no\n",
           "abcdefgh\ni\n|j\nk\nl\nm\nn\no\n|");
}

Test(blocks, so_many_records)
{
    expect((struct blocks_spec){.records = 2}, "1\n2\n3\n4\n5", "1\n2\n|3\n4\n|5|");
    expect((struct blocks_spec){.records = 1, .block_bytes = 1}, "111\n2\n\n", "111\n|2\n|\n|");
    expect((struct blocks_spec){.records = 1, .lines = 2}, "1\n2\n3\n4\n5\n", "1\n2\n|3\n4\n|5\n|");
    expect((struct blocks_spec){.records = 2, .separator.end = ""}, "abcde", "ab|cd|e|");
}

Test(blocks, lines_that_are_no_whole_record_are_a_block_of_their_own)
{
    expect((struct blocks_spec){.lines = 2, .block_bytes = 7}, "1\n2\n3\n4\n5\n", "1\n2\n|3\n4\n|5\n|");
    expect((struct blocks_spec){.lines = 3}, "1\n2\n3\n4\n5\n6\n7", "1\n2\n3\n4\n5\n6\n|7|");
    expect((struct blocks_spec){.lines = 3}, "1\n2\n", "1\n2\n|");
}

Test(blocks, header_longer_than_a_block_is_found_and_blocks_stay_as_they_were_asked_for)
{
    expect((struct blocks_spec){.block_bytes = 3, .header = ".{4}", .separator.end = ""}, "abcdefghij",
           "abcdefg|abcdhij|");
    expect((struct blocks_spec){.block_bytes = 2, .header = ":"}, "header\n1\n2\n3\n",
           "header\n1\n|header\n2\n|header\n3\n|");
    expect((struct blocks_spec){.block_bytes = 1, .header = "h.*\n", .lines = 2}, "h111111111\n1\n2\n3\n4\n",
           "h111111111\n1\n2\n|h111111111\n3\n4\n|");
    expect((struct blocks_spec){.block_bytes = 2, .header = "none"}, "1\n2\n3\n", "1\n|2\n|3\n|");
}

Test(blocks, records_end_where_end_and_start_meet)
{
    struct blocks_spec spec = {.records = 1, .separator = {.start = "a", .end = ":"}};

    expect(spec, "a1:b:a2:c:a3", "a1:b:|a2:c:|a3|");
    spec.separator.end = NULL;
    expect(spec, "xa1:b:aa2", "x|a1:b:|a|a2|");
    spec.separator = (struct separator_spec){.end = "--\\t"};
    expect(spec, "a---\tb-\tc--\t", "a---\t|b-\tc--\t|");
    expect((struct blocks_spec){.block_bytes = 4, .separator.end = ""}, "abcdefghi", "abcd|efgh|i|");
}

Test(blocks, separators_are_removed_at_ends_and_between_records)
{
    struct blocks_spec spec = {.remove = true, .separator = {.start = "a", .end = ":"}};

    expect(spec, "a1:b:a2:c:a3", "1:b2:c3|");
    spec.records = 1;
    expect(spec, "a1:b:a2:c:a3:", "1:b|2:c|3|");
    spec.separator = (struct separator_spec){.end = NULL};
    expect(spec, "1\n2\n\n3", "1|2||3|");
}

Test(blocks, patterns_match_as_much_as_there_is)
{
    struct blocks_spec spec = {.records = 1, .separator = {.end = "[0-9]+", .regexp = true}};

    expect(spec, "a1b22c", "a1|b22|c|");
    spec.remove = true;
    expect(spec, "a1b22c", "a|b|c|");
    spec = (struct blocks_spec){.records = 1, .separator = {.start = "[0-9]", .regexp = true}};
    expect(spec, "a1b22c", "a|1b|2|2c|");
    spec = (struct blocks_spec){.block_bytes = 4, .separator = {.end = "[0-9]+", .regexp = true}};
    expect(spec, "a1b22c333d", "a1b2|2c33|3d|");
}

Test(blocks, header_goes_before_each_block)
{
    expect((struct blocks_spec){.block_bytes = 4, .header = ":"}, "h\n1\n2\n3\n4\n5\n",
           "h\n1\n2\n|h\n3\n4\n|h\n5\n|");
    expect((struct blocks_spec){.records = 3, .header = "2"}, "a\nb\n1\n2\n3\n4\n",
           "a\nb\n1\n2\n3\n|a\nb\n4\n|");
    expect((struct blocks_spec){.records = 1, .header = "(#.*\\n)*", .remove = true}, "#a\n#b\n1\n2\n",
           "#a\n#b\n1|#a\n#b\n2|");
    expect((struct blocks_spec){.records = 1, .header = "#.*\\n"}, "1\n2\n", "1\n|2\n|");
    expect((struct blocks_spec){.records = 1, .header = ":"}, "h\n", "");
    expect((struct blocks_spec){.records = 1, .header = "3"}, "h\ni", "");
}

Test(blocks, nul_bytes_are_bytes)
{
    struct blocks_spec spec = {.records = 1, .block_bytes = 9, .separator.end = "\\0"};
    char *blocks = cut(&spec, "a\0b\0c", 5, 2);

    cr_assert_eq(memcmp(blocks, "a\0|b\0|c|", 8), 0);
    free(blocks);
}

Test(blocks, what_cannot_be_a_separator_or_size_is_refused)
{
    struct blocks_spec spec = {.block_bytes = 1, .separator = {.end = "(", .regexp = true}};
    struct blocks blocks;

    cr_assert_eq(blocks_init(&blocks, &spec, 0, "", &error), MUSTER_EINVALID);
    cr_assert(strstr(error.text, "--recend"), "%s", error.text);
    blocks_fini(&blocks);
    spec = (struct blocks_spec){.block_bytes = 1, .header = "*("};
    cr_assert_eq(blocks_init(&blocks, &spec, 0, "", &error), MUSTER_EINVALID);
    blocks_fini(&blocks);
    spec = (struct blocks_spec){.block_bytes = (size_t)1 << 40};
    cr_assert_eq(blocks_init(&blocks, &spec, 0, "", &error), MUSTER_EINVALID);
    blocks_fini(&blocks);
}
