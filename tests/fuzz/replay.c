/* SPDX-License-Identifier: MIT
 *
 * Gives every file of a corpus to a fuzz target, so that what was once found stays fixed in
 * ordinary builds, too. Usage: replay_NAME FOLDER. An empty folder is a failure.
 */
#include "fuzz.h"

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

static bool replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = NULL;
    long size;
    bool ok;

    if (!file)
        return false;
    ok = fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) >= 0 && fseek(file, 0, SEEK_SET) == 0;
    if (ok) {
        /* Exactly as large as the input, for the sanitizer to see a read beyond it. */
        bytes = malloc(size ? (size_t)size : 1);
        ok = bytes && fread(bytes, 1, (size_t)size, file) == (size_t)size;
    }
    fclose(file);
    if (ok)
        LLVMFuzzerTestOneInput(bytes, (size_t)size);
    free(bytes);
    return ok;
}

int main(int count, char **arguments)
{
    DIR *folder = count == 2 ? opendir(arguments[1]) : NULL;
    struct dirent *entry;
    char path[PATH_MAX];
    unsigned files = 0;

    if (!folder) {
        fprintf(stderr, "usage: %s FOLDER\n", arguments[0]);
        return 2;
    }
    while ((entry = readdir(folder))) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", arguments[1], entry->d_name);
        if (!replay_file(path)) {
            fprintf(stderr, "%s cannot be read\n", path);
            return 1;
        }
        files++;
    }
    closedir(folder);
    printf("%u inputs\n", files);
    return files ? 0 : 1;
}
