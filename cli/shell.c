/* SPDX-License-Identifier: MIT
 *
 * Quoting for a shell. What stands in apostrophes means itself in every shell of the Bourne
 * family, whatever its locale, so that bytes need not be characters.
 */
#include "cli/shell.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_BYTES = 256 }; /* most lines fit */

const char *shell_name(void)
{
    const char *name = getenv("PARALLEL_SHELL");

    if (!name || !*name)
        name = getenv("SHELL");
    return name && *name ? name : "/bin/sh";
}

const char *shell_escaped(void)
{
    const char *path = shell_name(), *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

    if (strcmp(name, "fish") == 0)
        return "\\";
    return strcmp(name, "csh") == 0 || strcmp(name, "tcsh") == 0 ? "!\n" : "";
}

void shell_line_add(struct shell_line *line, const char *bytes, size_t size)
{
    size_t room = line->room > 0 ? line->room : FIRST_BYTES;
    char *grown;

    if (line->failed || size == 0)
        return;
    while (room - line->size < size)
        room *= 2;
    if (room > line->room) {
        grown = realloc(line->bytes, room);
        if (!grown) {
            line->failed = true;
            return;
        }
        line->bytes = grown;
        line->room = room;
    }
    memcpy(line->bytes + line->size, bytes, size);
    line->size += size;
}

static bool stands_for_itself(unsigned char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
           (byte != 0 && strchr("_+-./", byte));
}

static bool is_safe(const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!stands_for_itself((unsigned char)bytes[i]))
            return false;
    return size > 0;
}

/* A run of bytes that are all apostrophes, or of which none is. */
static size_t run_size(const char *bytes, size_t size)
{
    size_t count = 1;

    while (count < size && (bytes[count] == '\'') == (bytes[0] == '\''))
        count++;
    return count;
}

static bool is_escaped(char byte, const char *escaped)
{
    return escaped && byte && strchr(escaped, byte);
}

/* Between apostrophes. */
static void add_inside(struct shell_line *line, const char *bytes, size_t size)
{
    size_t plain = 0;

    for (size_t i = 0; i < size; i++) {
        if (!is_escaped(bytes[i], line->escaped))
            continue;
        shell_line_add(line, bytes + plain, i - plain);
        shell_line_add(line, "\\", 1);
        plain = i;
    }
    shell_line_add(line, bytes + plain, size - plain);
}

void shell_line_quote(struct shell_line *line, const char *bytes, size_t size)
{
    if (is_safe(bytes, size)) {
        shell_line_add(line, bytes, size);
        return;
    }
    if (size == 0)
        shell_line_add(line, "''", 2);
    for (size_t at = 0, count; at < size; at += count) {
        count = run_size(bytes + at, size - at);
        if (bytes[at] == '\'') {
            for (size_t i = 0; i < count; i++)
                shell_line_add(line, i > 0 ? "''\"'\"" : "\"'\"", i > 0 ? 5 : 3);
        } else {
            shell_line_add(line, "'", 1);
            add_inside(line, bytes + at, count);
            shell_line_add(line, "'", 1);
        }
    }
}

size_t shell_quoted_size(const char *bytes, size_t size, const char *escaped)
{
    size_t total = size;

    if (is_safe(bytes, size))
        return size;
    if (size == 0)
        return 2;
    for (size_t i = 0; i < size; i++)
        total += is_escaped(bytes[i], escaped);
    for (size_t at = 0, count; at < size; at += count) {
        count = run_size(bytes + at, size - at);
        total += bytes[at] == '\'' ? 4 * count - 2 : 2;
    }
    return total;
}

void shell_line_clear(struct shell_line *line)
{
    line->size = 0;
    line->failed = false;
}

void shell_line_fini(struct shell_line *line)
{
    free(line->bytes);
    *line = (struct shell_line){0};
}
