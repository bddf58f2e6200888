/* SPDX-License-Identifier: MIT
 *
 * A table as text. See table.h.
 */
#include "cli/table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* The next cell; the first of a line begins one. */
static char *next_cell(struct table *table)
{
    if (table->filled == table->columns) {
        table->lines++;
        table->filled = 0;
    }
    assert(table->lines <= TABLE_LINES_MAX && table->columns <= TABLE_COLUMNS_MAX);
    return table->cells[table->lines - 1][table->filled++];
}

void table_init(struct table *table, const char *const *headings, size_t columns)
{
    table->columns = table->filled = columns;
    table->lines = 0;
    table->left = 1;
    table->fit = 0;
    memset(table->widths, 0, sizeof table->widths);
    for (size_t i = 0; i < columns; i++)
        table_add(table, "%s", headings[i]);
}

void table_add(struct table *table, const char *format, ...)
{
    char *cell = next_cell(table);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(cell, TABLE_CELL_BYTES, format, arguments);
    va_end(arguments);
}

void table_add_time(struct table *table, double seconds)
{
    static const struct {
        double least, factor;
        const char *unit;
    } units[] = {{1, 1, "s"}, {1e-3, 1e3, "ms"}, {1e-6, 1e6, "us"}, {0, 1e9, "ns"}};
    size_t i = 0;

    while (i + 1 < sizeof units / sizeof *units && seconds < units[i].least && -seconds < units[i].least)
        i++;
    table_add(table, "%.2f %s", seconds * units[i].factor, units[i].unit);
}

bool table_is_full(const struct table *table)
{
    return table->lines == TABLE_LINES_MAX && table->filled == table->columns;
}

void table_fit(struct table *table, int fd)
{
    struct winsize size;

    table->fit = isatty(fd) && ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

/* Characters of a text: bytes that begin one. */
static int characters(const char *text)
{
    int count = 0;

    for (; *text; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

/* Cuts a text to so many characters, the last of which then says so. */
static void cut(char *text, int most)
{
    int count = 0;
    char *at = text;

    if (most < 1 || characters(text) <= most)
        return;
    for (; *at && count < most; at++)
        count += ((unsigned char)*at & 0xc0) != 0x80;
    strcpy(at - 1, "~"); /* in place of the character that began there, and of what is behind it */
}

static int print_cell(const struct table *table, size_t line, size_t column, struct output *output)
{
    const char *text = table->cells[line][column];
    int blanks = table->widths[column] - characters(text);
    bool left = table->left & 1U << column, last = column + 1 == table->columns;

    return output_text(output, "%*s%s%*s", left ? 0 : blanks, "", text, last ? 0 : (left ? blanks : 0) + 2,
                       "");
}

/* As wide as the widest cell; but for the last column, which has what is left. */
static void widen(struct table *table)
{
    int used = 0, width;

    for (size_t column = 0; column < table->columns; column++) {
        for (size_t line = 0; line < table->lines; line++) {
            if (table->fit && column + 1 == table->columns)
                cut(table->cells[line][column], (int)table->fit - used);
            width = characters(table->cells[line][column]);
            table->widths[column] = width > table->widths[column] ? width : table->widths[column];
        }
        used += table->widths[column] + 2;
    }
}

int table_print(struct table *table, struct output *output)
{
    int code = 0;

    widen(table);
    for (size_t line = 0; line < table->lines && !code; line++) {
        for (size_t column = 0; column < table->columns && !code; column++)
            code = print_cell(table, line, column, output);
        if (!code)
            code = output_text(output, "\n");
    }
    table->lines = 0;
    return code;
}
