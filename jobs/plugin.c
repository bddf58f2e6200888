/* SPDX-License-Identifier: MIT
 *
 * Plug-in files and what their tables must be. See plugin.h.
 *
 * A plug-in is native code of the user's choice and runs with the user's rights: the checks
 * here catch mistakes (another file, another version, a bad name), not malice.
 */
#include "jobs/plugin.h"

#include "jobs/registry.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PATH_VARIABLE "MUSTER_PLUGIN_PATH"

static bool exists(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0;
}

/* FOLDER/NAME or FOLDER/NAME.so, whichever is there; NULL when neither is. */
static int find_in_folder(const char *folder, size_t folder_size, const char *name, char **ret_path)
{
    static const char *const endings[] = {"", ".so"};
    char *path;
    size_t i;

    for (i = 0; i < sizeof endings / sizeof *endings; i++) {
        if (asprintf(&path, "%.*s/%s%s", (int)folder_size, folder, name, endings[i]) < 0)
            return MUSTER_ENOMEM;
        if (exists(path)) {
            *ret_path = path;
            return 0;
        }
        free(path);
    }
    return MUSTER_ENOTFOUND;
}

static int find_bare(const char *name, char **ret_path, struct muster_error *ret_error)
{
    const char *folder = getenv(PATH_VARIABLE);
    size_t size;
    int code;

    if (!folder || !*folder)
        return muster_error_set(ret_error, MUSTER_ENOTFOUND,
                                "there is no plug-in \"%s\": a name without a / is looked up in the folders "
                                "of " PATH_VARIABLE ", which is not set; for a file here say ./%s",
                                name, name);
    for (;; folder += size + 1) {
        size = strcspn(folder, ":");
        if (size > 0) { /* an empty folder is no folder, not the current one */
            code = find_in_folder(folder, size, name, ret_path);
            if (code != MUSTER_ENOTFOUND)
                return code == 0 ? 0 : muster_error_set(ret_error, code, "out of memory");
        }
        if (!folder[size])
            break;
    }
    return muster_error_set(ret_error, MUSTER_ENOTFOUND,
                            "there is no plug-in \"%s\" or \"%s.so\" in the folders of " PATH_VARIABLE
                            " (%s); "
                            "for a file here say ./%s",
                            name, name, getenv(PATH_VARIABLE), name);
}

/* dlopen would search other places for a missing file, and block on a FIFO. */
static int check_file(const char *path, struct muster_error *ret_error)
{
    struct stat status;

    if (stat(path, &status) != 0)
        return muster_error_set(ret_error,
                                errno == ENOENT || errno == ENOTDIR ? MUSTER_ENOTFOUND : MUSTER_EINVALID,
                                "cannot load plug-in \"%s\": %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return muster_error_set(ret_error, MUSTER_EINVALID, "cannot load plug-in \"%s\": it is not a file",
                                path);
    return 0;
}

int plugin_find(const char *name, char **ret_path, struct muster_error *ret_error)
{
    if (!*name)
        return muster_error_set(ret_error, MUSTER_EINVALID, "a plug-in needs a name");
    if (!strchr(name, '/'))
        return find_bare(name, ret_path, ret_error);
    if ((*ret_path = strdup(name)))
        return 0;
    return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
}

int plugin_open(const char *name, char **ret_path, void **ret_handle, const muster_plugin **ret_table,
                struct muster_error *ret_error)
{
    const muster_plugin *table;
    char *path = NULL;
    void *handle;
    int code = plugin_find(name, &path, ret_error);

    if (code == 0)
        code = check_file(path, ret_error);
    if (code != 0)
        goto out;
    handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        code =
            muster_error_set(ret_error, MUSTER_EINVALID, "cannot load plug-in \"%s\": %s", path, dlerror());
        goto out;
    }
    table = dlsym(handle, MUSTER_PLUGIN_SYMBOL);
    if (!table) {
        code = muster_error_set(ret_error, MUSTER_EINVALID,
                                "\"%s\" is no muster plug-in: it does not export " MUSTER_PLUGIN_SYMBOL
                                " (see muster_job.h)",
                                path);
        dlclose(handle);
        goto out;
    }
    *ret_path = path;
    *ret_handle = handle;
    *ret_table = table;
    return 0;
out:
    free(path);
    return code;
}

void plugin_close(void *handle)
{
    if (handle)
        dlclose(handle);
}

static bool is_name(const char *name)
{
    size_t size = strnlen(name, REGISTRY_NAME_MAX + 1);

    return size >= 1 && size <= REGISTRY_NAME_MAX && name[0] >= 'a' && name[0] <= 'z' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_.-") == size;
}

static int check_function(const muster_function *function, uint32_t place, const char *origin,
                          struct muster_error *ret_error)
{
    if (!function->name)
        return muster_error_set(ret_error, MUSTER_EINVALID, "plug-in \"%s\": function %u has no name", origin,
                                place + 1);
    if (!is_name(function->name))
        return muster_error_set(
            ret_error, MUSTER_EINVALID,
            "plug-in \"%s\": \"%.80s\" is no name for a function: 1 to %d of a-z 0-9 _ . -, "
            "starting with a letter",
            origin, function->name, REGISTRY_NAME_MAX);
    if (!function->summary || !*function->summary)
        return muster_error_set(ret_error, MUSTER_EINVALID, "plug-in \"%s\": function %s has no summary",
                                origin, function->name);
    if (!function->run)
        return muster_error_set(ret_error, MUSTER_EINVALID, "plug-in \"%s\": function %s has nothing to run",
                                origin, function->name);
    return 0;
}

int plugin_check(const muster_plugin *table, const char *origin, struct muster_error *ret_error)
{
    uint32_t i;
    int code;

    if (table->abi != MUSTER_JOB_ABI)
        return muster_error_set(
            ret_error, MUSTER_EVERSION,
            "plug-in \"%s\" was built for function ABI %u, this muster has %d: rebuild it "
            "against this muster_job.h",
            origin, table->abi, MUSTER_JOB_ABI);
    if (table->function_size != sizeof(muster_function))
        return muster_error_set(ret_error, MUSTER_EVERSION,
                                "plug-in \"%s\" has functions of %u bytes, this muster of %zu: rebuild it "
                                "against this muster_job.h",
                                origin, table->function_size, sizeof(muster_function));
    if (table->count < 1 || table->count > REGISTRY_PLUGIN_FUNCTIONS_MAX || !table->functions)
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "plug-in \"%s\" has %u functions: 1 to %d are allowed", origin,
                                table->functions ? table->count : 0, REGISTRY_PLUGIN_FUNCTIONS_MAX);
    for (i = 0; i < table->count; i++) {
        code = check_function(&table->functions[i], i, origin, ret_error);
        if (code != 0)
            return code;
    }
    return 0;
}
