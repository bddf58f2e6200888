/* SPDX-License-Identifier: MIT
 *
 * A table as text. See table.h.
 */
#include "cli/table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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

static int print_cell(const struct table *table, size_t line, size_t column, int width, struct output *output)
{
    const char *text = table->cells[line][column];
    int blanks = width - (int)strlen(text);
    bool left = table->left & 1U << column, last = column + 1 == table->columns;

    return output_text(output, "%*s%s%*s", left ? 0 : blanks, "", text, last ? 0 : (left ? blanks : 0) + 2,
                       "");
}

int table_print(const struct table *table, struct output *output)
{
    int widths[TABLE_COLUMNS_MAX] = {0}, width, code = 0;

    for (size_t line = 0; line < table->lines; line++)
        for (size_t column = 0; column < table->columns; column++) {
            width = (int)strlen(table->cells[line][column]);
            widths[column] = width > widths[column] ? width : widths[column];
        }
    for (size_t line = 0; line < table->lines && !code; line++) {
        for (size_t column = 0; column < table->columns && !code; column++)
            code = print_cell(table, line, column, widths[column], output);
        if (!code)
            code = output_text(output, "\n");
    }
    return code;
}
