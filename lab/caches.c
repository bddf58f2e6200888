/* SPDX-License-Identifier: MIT
 *
 * Cache sizes from sysfs. See caches.h.
 */
#include "lab/caches.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INDEXES_MAX = 8, WORD_BYTES = 32 };

size_t caches_parse(const char *text)
{
    char *end;
    unsigned long long number;
    unsigned shift = 0;

    if (*text < '0' || *text > '9')
        return 0;
    number = strtoull(text, &end, 10);
    if (*end == 'K')
        shift = 10;
    else if (*end == 'M')
        shift = 20;
    end += shift > 0;
    return *end || number > SIZE_MAX >> shift ? 0 : (size_t)number << shift;
}

/* The first word of a file in FOLDER/indexN; "" when it cannot be read. */
static void read_word(const char *folder, int index, const char *name, char word[WORD_BYTES])
{
    char path[PATH_MAX];
    FILE *file;

    word[0] = '\0';
    if (snprintf(path, sizeof path, "%s/index%d/%s", folder, index, name) >= (int)sizeof path)
        return;
    if (!(file = fopen(path, "re")))
        return;
    if (!fgets(word, WORD_BYTES, file))
        word[0] = '\0';
    word[strcspn(word, " \n")] = '\0';
    fclose(file);
}

void caches_read(const char *folder, struct caches *ret_caches)
{
    char level[WORD_BYTES], type[WORD_BYTES], size[WORD_BYTES];
    struct caches caches = {.bytes = {0}};

    for (int i = 0; i < INDEXES_MAX; i++) {
        read_word(folder, i, "level", level);
        read_word(folder, i, "type", type);
        read_word(folder, i, "size", size);
        if (strcmp(type, "Instruction") != 0 && level[0] >= '1' && level[0] <= '3' && !level[1])
            caches.bytes[level[0] - '1'] = caches_parse(size);
    }
    *ret_caches = caches;
}
