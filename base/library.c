/* SPDX-License-Identifier: MIT
 *
 * Loading libraries. See library.h.
 */
#include "base/library.h"

#include "base/error.h"

#include <dlfcn.h>
#include <string.h>

int library_load(const char *file, const struct library_symbol *symbols, size_t count, void *table,
                 const char **ret_why)
{
    void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);

    if (!handle) {
        *ret_why = dlerror();
        return MUSTER_ENOTFOUND;
    }
    for (size_t i = 0; i < count; i++) {
        void *address = dlsym(handle, symbols[i].name);

        if (!address) {
            dlclose(handle);
            *ret_why = symbols[i].name;
            return MUSTER_EVERSION;
        }
        /* A pointer to data, which ISO C does not convert to one to a function. */
        memcpy((char *)table + symbols[i].offset, &address, sizeof address);
    }
    return 0;
}
