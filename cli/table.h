/* SPDX-License-Identifier: MIT
 *
 * A small table of words and numbers, as text: the first column to the left, the others to the
 * right, two blanks between them, each as wide as its widest cell. A long one is printed in pages, each
 * at least as wide as those before it.
 */
#ifndef MUSTER_CLI_TABLE_H
#define MUSTER_CLI_TABLE_H

#include "cli/output.h"

enum { TABLE_COLUMNS_MAX = 12, TABLE_LINES_MAX = 40, TABLE_CELL_BYTES = 192 };

struct table {
    size_t columns, lines;         /* the headings are a line */
    unsigned left;                 /* bit k: column k stands to the left, too */
    size_t filled;                 /* cells of the last line */
    unsigned fit;                  /* the last column is cut so that no line is wider; 0: it is not */
    int widths[TABLE_COLUMNS_MAX]; /* of what was printed */
    char cells[TABLE_LINES_MAX][TABLE_COLUMNS_MAX][TABLE_CELL_BYTES];
};

/* A table of headings, `columns` of them, alone. */
void table_init(struct table *table, const char *const *headings, size_t columns);

/* Fills the next cell, line by line; a text that is too long is cut. */
void table_add(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same, with a time: two decimals and the unit that suits, from "0.24 ns" to "12.00 s". */
void table_add_time(struct table *table, double seconds);

/* Whether the next line finds no room. */
bool table_is_full(const struct table *table);

/* Fits it to the terminal, if that is where it goes. */
void table_fit(struct table *table, int fd);

/* Appends it to the output, and takes all of its lines away. 0 or MUSTER_ENOMEM. */
int table_print(struct table *table, struct output *output);

#endif
