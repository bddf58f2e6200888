/* SPDX-License-Identifier: MIT
 *
 * Tables: where cells stand, and which unit a time gets.
 */
#include "cli/table.h"

#include <criterion/criterion.h>
#include <string.h>

static struct table table;
static struct output output;

static void print(void)
{
    output_init(&output, -1, "nowhere", OUTPUT_TEXT);
    cr_assert_eq(table_print(&table, &output), 0);
    cr_assert_eq(output_text(&output, "%c", '\0'), 0);
}

Test(table, columns_do_not_line_up)
{
    static const char *const headings[] = {"a", "bbb", "c"};

    table_init(&table, headings, 3);
    table_add(&table, "%s", "first");
    table_add(&table, "%d", 7);
    table_add(&table, "%s", "12345");
    table.left |= 1U << 2;
    print();
    cr_assert_str_eq(output.buffer.data, "a      bbb  c\nfirst    7  12345\n");
    output_fini(&output);
}

Test(table, time_gets_the_wrong_unit)
{
    static const char *const headings[] = {"", "", "", "", "", ""};

    table_init(&table, headings, 6);
    table_add_time(&table, 2.4e-10);
    table_add_time(&table, 1e-6);
    table_add_time(&table, 0.0123456);
    table_add_time(&table, 61);
    table_add_time(&table, 0);
    table_add_time(&table, -1e-9);
    cr_assert_str_eq(table.cells[1][0], "0.24 ns");
    cr_assert_str_eq(table.cells[1][1], "1.00 us");
    cr_assert_str_eq(table.cells[1][2], "12.35 ms");
    cr_assert_str_eq(table.cells[1][3], "61.00 s");
    cr_assert_str_eq(table.cells[1][4], "0.00 ns");
    cr_assert_str_eq(table.cells[1][5], "-1.00 ns");
}

Test(table, text_longer_than_a_cell_overflows_it)
{
    static const char *const headings[] = {"a", "b"};
    char text[2 * TABLE_CELL_BYTES];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    table_init(&table, headings, 2);
    table_add(&table, "%s", text);
    table_add(&table, "%s", "y");
    cr_assert_eq(strlen(table.cells[1][0]), TABLE_CELL_BYTES - 1);
    cr_assert_str_eq(table.cells[1][1], "y");
}

Test(table, characters_of_several_bytes_are_counted_as_several)
{
    static const char *const headings[] = {"a", "b"};

    table_init(&table, headings, 2);
    table_add(&table, "%s", "\u00e9\u65e5");
    table_add(&table, "1");
    print();
    cr_assert_str_eq(output.buffer.data, "a   b\n\u00e9\u65e5  1\n");
    output_fini(&output);
}

Test(table, page_behind_the_first_does_not_line_up)
{
    static const char *const headings[] = {"number", "b"};

    table_init(&table, headings, 2);
    print();
    output_fini(&output);
    table_add(&table, "7");
    table_add(&table, "1");
    print();
    cr_assert_str_eq(output.buffer.data, "7       1\n");
    output_fini(&output);
}

Test(table, line_is_wider_than_the_terminal_or_cut_within_a_character)
{
    static const char *const headings[] = {"a", "b"};

    table_init(&table, headings, 2);
    table.left = 3;
    table.fit = 6;
    table_add(&table, "x");
    table_add(&table, "\u00e9\u00e9\u00e9");
    table_add(&table, "y");
    table_add(&table, "\u00e9\u00e9\u00e9\u00e9");
    print();
    cr_assert_str_eq(output.buffer.data, "a  b\nx  \u00e9\u00e9\u00e9\ny  \u00e9\u00e9~\n");
    output_fini(&output);
}

Test(table, full_one_takes_another_line)
{
    static const char *const headings[] = {"a"};

    table_init(&table, headings, 1);
    while (!table_is_full(&table))
        table_add(&table, "x");
    cr_assert_eq(table.lines, TABLE_LINES_MAX);
}
