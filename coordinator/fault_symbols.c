/* SPDX-License-Identifier: MIT
 *
 * Names and lines of code by libdw, which is loaded when a worker has crashed. See fault.h.
 *
 * Only what is in the files themselves is read: libdw would ask servers for the rest. They are
 * read into memory: a job may put a pipe where its plug-in was, or cut short what libdw would map.
 */
#include "base/library.h"
#include "coordinator/fault.h"

#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIBRARY "libdw.so.1"

#define SYMBOL_MAP(X)        \
    X(begin)                 \
    X(end)                   \
    X(report_begin_add)      \
    X(report_offline_memory) \
    X(report_end)            \
    X(module_getelf)         \
    X(module_addrinfo)       \
    X(module_getsrc)         \
    X(lineinfo)              \
    X(offline_section_address)

struct dwfl {
#define X(name) __typeof__(dwfl_##name) *name;
    SYMBOL_MAP(X)
#undef X
};

static const struct library_symbol library_symbols[] = {
#define X(name) {"dwfl_" #name, offsetof(struct dwfl, name)},
    SYMBOL_MAP(X)
#undef X
};

enum { FILES_MAX = FLIGHT_MODULES_MAX, FILE_MAX = 256 << 20 };

struct fault_symbols {
    Dwfl *dwfl;
    unsigned count;
    struct {
        const char *file;    /* borrowed */
        char *bytes;         /* owned */
        Dwfl_Module *module; /* NULL: it cannot be read */
    } files[FILES_MAX];
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct dwfl library; /* complete when it is `there` */
static bool there;
static Dwfl_Callbacks callbacks;

static int find_no_elf(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base, char **file,
                       Elf **elf)
{
    (void)module, (void)data, (void)name, (void)base, (void)file, (void)elf;
    return -1;
}

static int find_no_debuginfo(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base,
                             const char *file, const char *link, GElf_Word crc, char **found)
{
    (void)module, (void)data, (void)name, (void)base, (void)file, (void)link, (void)crc, (void)found;
    return -1;
}

static void load(void)
{
    const char *why;

    there = library_load(LIBRARY, library_symbols, sizeof library_symbols / sizeof *library_symbols, &library,
                         &why) == 0;
    callbacks = (Dwfl_Callbacks){.find_elf = find_no_elf,
                                 .find_debuginfo = find_no_debuginfo,
                                 .section_address = library.offline_section_address};
}

struct fault_symbols *fault_symbols_create(void)
{
    struct fault_symbols *symbols;

    pthread_once(&once, load);
    if (!there || !(symbols = calloc(1, sizeof *symbols)))
        return NULL;
    symbols->dwfl = library.begin(&callbacks);
    if (symbols->dwfl)
        return symbols;
    free(symbols);
    return NULL;
}

void fault_symbols_destroy(struct fault_symbols *symbols)
{
    if (!symbols)
        return;
    library.end(symbols->dwfl);
    for (unsigned i = 0; i < symbols->count; i++)
        free(symbols->files[i].bytes);
    free(symbols);
}

/* The bytes of a file of no more than FILE_MAX; NULL: it has none to read. */
static char *read_file(const char *path, size_t *ret_size)
{
    int file = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat status;
    char *bytes = NULL;
    ssize_t got = 1;

    if (file < 0)
        return NULL;
    if (fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0 &&
        status.st_size <= FILE_MAX)
        bytes = malloc((size_t)status.st_size);
    for (*ret_size = 0; bytes && got > 0 && *ret_size < (size_t)status.st_size;) {
        got = read(file, bytes + *ret_size, (size_t)status.st_size - *ret_size);
        *ret_size += got > 0 ? (size_t)got : 0;
    }
    close(file);
    return bytes;
}

static Dwfl_Module *find_module(struct fault_symbols *symbols, const char *file)
{
    Dwfl_Module *module = NULL;
    size_t size;
    char *bytes;

    for (unsigned i = 0; i < symbols->count; i++)
        if (strcmp(symbols->files[i].file, file) == 0)
            return symbols->files[i].module;
    if (symbols->count == FILES_MAX)
        return NULL;
    bytes = read_file(file, &size);
    if (bytes) {
        library.report_begin_add(symbols->dwfl);
        module = library.report_offline_memory(symbols->dwfl, file, file, bytes, size);
        library.report_end(symbols->dwfl, NULL, NULL);
    }
    symbols->files[symbols->count].file = file;
    symbols->files[symbols->count].bytes = bytes;
    symbols->files[symbols->count++].module = module;
    return module;
}

bool fault_symbols_find(struct fault_symbols *symbols, const char *file, uint64_t address, char *ret_text,
                        size_t size)
{
    Dwfl_Module *module = find_module(symbols, file);
    const char *name, *source = NULL, *slash;
    GElf_Addr bias;
    GElf_Off offset;
    GElf_Sym symbol;
    Dwfl_Line *line;
    int number = 0;

    if (!module || !library.module_getelf(module, &bias))
        return false;
    name = library.module_addrinfo(module, address + bias, &offset, &symbol, NULL, NULL, NULL);
    if (!name)
        return false;
    line = library.module_getsrc(module, address + bias);
    if (line)
        source = library.lineinfo(line, NULL, &number, NULL, NULL, NULL);
    slash = source ? strrchr(source, '/') : NULL;
    if (source)
        snprintf(ret_text, size, "%.80s (%.60s:%d)", name, slash ? slash + 1 : source, number);
    else
        snprintf(ret_text, size, "%.80s", name);
    return true;
}
