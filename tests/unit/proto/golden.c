/* SPDX-License-Identifier: MIT
 *
 * The reader of golden vectors: `#` begins a comment, the lines `header` and `payload` begin
 * a frame, all else is hexadecimal.
 */
#include "golden.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_line(const char *line, struct golden_frame *frame)
{
    for (const char *at = line;; at += 2) {
        at += strspn(at, " ");
        if (*at == '\0')
            return true;
        if (!isxdigit((unsigned char)at[0]) || !isxdigit((unsigned char)at[1]) ||
            frame->size == sizeof frame->bytes)
            return false;
        frame->bytes[frame->size++] = (uint8_t)strtoul((char[]){at[0], at[1], '\0'}, NULL, 16);
    }
}

static bool read_file(FILE *file, struct golden *golden)
{
    struct golden_frame *frame = NULL;
    char line[256];

    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "#\n")] = '\0';
        if (strcmp(line, "header") == 0)
            frame = &golden->header;
        else if (strcmp(line, "payload") == 0)
            frame = &golden->payload;
        else if (line[0] != '\0' && (!frame || !read_line(line, frame)))
            return false;
        golden->has_payload = frame == &golden->payload;
    }
    return golden->header.size > 0;
}

bool golden_read(const char *name, struct golden *ret_golden)
{
    struct golden golden = {0};
    char path[512];
    FILE *file;
    bool ok;

    snprintf(path, sizeof path, "%s/golden/%s.hex", PROTO_FOLDER, name);
    file = fopen(path, "r");
    if (!file)
        return false;
    ok = read_file(file, &golden);
    fclose(file);
    if (ok)
        *ret_golden = golden;
    return ok;
}
