/* SPDX-License-Identifier: MIT
 *
 * Results in files. See exec_store.h.
 */
#include "cli/exec_store.h"

#include "cli/exec_output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    NAME_BYTES = 255, /* of a file, as most file systems have it */
    HASH_DIGITS = 16, /* of a longer name's end */
};

static int out_of_memory(struct muster_error *ret_error)
{
    return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
}

static int cannot_write(const char *path, struct muster_error *ret_error)
{
    return muster_error_set(ret_error, MUSTER_EOUTPUT, "cannot write %s: %s", path, strerror(errno));
}

/* --- places */

static uint64_t hash(const char *bytes, size_t size)
{
    uint64_t value = 0xcbf29ce484222325; /* FNV-1a */

    for (size_t i = 0; i < size; i++)
        value = (value ^ (unsigned char)bytes[i]) * 0x100000001b3;
    return value;
}

/* What stands for a byte that no name may have; 0: it may. */
static char escape(char byte)
{
    switch (byte) {
    case '\\':
        return '\\';
    case '/':
        return '_';
    case '\t':
        return 't';
    default:
        return 0;
    }
}

/* One value as the name of a folder: what cannot stand there has a backslash before it, and so have "." and
 * "..", which are other folders. Of a name that is too long the end is a hash of it. */
static bool add_name(msgpack_sbuffer *place, struct word value)
{
    bool dots = value.size > 0 && value.size <= 2 && memcmp(value.bytes, "..", value.size) == 0;
    bool fits = !dots || exec_output_gather(place, "\\", 1);
    size_t from = place->size, size;
    char digits[HASH_DIGITS + 2];

    for (size_t i = 0; i < value.size; i++) {
        char escaped[2] = {'\\', escape(value.bytes[i])};

        fits &= exec_output_gather(place, escaped[1] ? escaped : &value.bytes[i], escaped[1] ? 2 : 1);
    }
    size = place->size - from;
    if (fits && size > NAME_BYTES) {
        snprintf(digits, sizeof digits, "~%016" PRIx64, hash(place->data + from, size));
        place->size = from + NAME_BYTES - HASH_DIGITS - 1;
        fits = exec_output_gather(place, digits, HASH_DIGITS + 1);
    }
    return fits && exec_output_gather(place, "/", 1);
}

static bool add_number(msgpack_sbuffer *place, uint64_t number)
{
    char digits[24];

    snprintf(digits, sizeof digits, "%" PRIu64, number);
    return exec_output_gather(place, digits, strlen(digits)) && exec_output_gather(place, "/", 1);
}

/* NAME/1/VALUE/2/VALUE/; a job without values, which others would overwrite, is NAME/SEQUENCE/. */
static bool add_tree(struct exec_store *store, const struct row *row, size_t records, uint64_t sequence)
{
    const struct exec_store_spec *spec = &store->spec;
    msgpack_sbuffer *place = &store->place;
    size_t each = spec->values_each ? spec->values_each : row->count / (records ? records : 1);
    bool fits =
        exec_output_gather(place, spec->name, strlen(spec->name)) && exec_output_gather(place, "/", 1);

    if (row->count == 0)
        return fits && add_number(place, sequence);
    for (size_t i = 0; i < row->count; i++) {
        size_t column = each > 0 ? i % each : i;

        fits &=
            column < spec->name_count ? add_name(place, spec->names[column]) : add_number(place, column + 1);
        fits &= add_name(place, row->args[i]);
    }
    return fits;
}

int exec_store_place(struct exec_store *store, const struct row *row, size_t records, uint64_t sequence,
                     struct word *ret_place, struct muster_error *ret_error)
{
    struct command name = {.line = {"", 0}};
    int code;

    msgpack_sbuffer_clear(&store->place);
    switch (store->kind) {
    case EXEC_STORE_NONE:
    case EXEC_STORE_TABLE:
        *ret_place = name.line;
        return 0;
    case EXEC_STORE_NAMES:
        code = template_expand(&store->name, row, 1, sequence, &name, ret_error);
        if (!code)
            *ret_place = name.line;
        return code;
    case EXEC_STORE_TREE:
        break;
    }
    if (!add_tree(store, row, records, sequence))
        return out_of_memory(ret_error);
    *ret_place = (struct word){store->place.data, store->place.size};
    return 0;
}

/* --- files */

enum part { PART_OUT, PART_ERR, PART_SEQUENCE };

/* The path of one of the files of a job; NULL: out of memory, or longer than a path can be. */
static const char *path_of(struct exec_store *store, struct word place, enum part part)
{
    static const char *const inside[] = {"stdout", "stderr", "seq"}, *const beside[] = {"", ".err", ".seq"};
    bool folder = place.size > 0 && place.bytes[place.size - 1] == '/';
    const char *ending = folder ? inside[part] : beside[part];

    msgpack_sbuffer_clear(&store->path);
    if (!exec_output_gather(&store->path, place.bytes, place.size) ||
        !exec_output_gather(&store->path, ending, strlen(ending) + 1))
        return NULL;
    return store->path.data;
}

/* The folder `name` in another, which is made if it is not there. -1: errno says why not. */
static int step_into(const struct exec_store *store, int fd, const char *name)
{
    const int flags = O_PATH | O_DIRECTORY | O_CLOEXEC | (store->spec.confined ? O_NOFOLLOW : 0);
    int next = openat(fd, name, flags);

    if (next < 0 && errno == ENOENT && (mkdirat(fd, name, 0777) == 0 || errno == EEXIST))
        next = openat(fd, name, flags);
    return next;
}

/* The folder that the last name of `path`, which is in `from_fd` where it does not begin with /, is in. It is
 * made with those above it. -1: errno says why not. */
static int open_above(const struct exec_store *store, int from_fd, char *path)
{
    const int flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
    int fd = path[0] == '/' ? open("/", flags) : openat(from_fd, ".", flags);
    char *name = path, *slash;

    for (; fd >= 0 && (slash = strchr(name, '/')) != NULL; name = slash + 1) {
        int above = fd, error;

        if (slash == name)
            continue;
        *slash = '\0';
        fd = step_into(store, above, name);
        error = errno;
        *slash = '/';
        close(above);
        errno = error;
    }
    return fd;
}

/* The folder of a job's files. */
static int open_place(struct exec_store *store, struct word place, int *ret_fd,
                      struct muster_error *ret_error)
{
    const char *path = path_of(store, place, PART_OUT);
    size_t bytes = store->root_bytes;
    int fd;

    if (!path)
        return out_of_memory(ret_error);
    if (store->root_fd >= 0 && strncmp(path, store->spec.name, bytes) == 0 && path[bytes] == '/') {
        bytes += strspn(path + bytes, "/");
        fd = open_above(store, store->root_fd, store->path.data + bytes);
    } else {
        fd = open_above(store, AT_FDCWD, store->path.data);
    }
    if (fd < 0 && errno == ENOTDIR && store->spec.confined)
        return muster_error_set(ret_error, MUSTER_EOUTPUT,
                                "cannot write %s: what is on the way there is no folder, or a link, which "
                                "is not followed with --sandbox: jobs may have made it",
                                path);
    if (fd < 0)
        return cannot_write(path, ret_error);
    *ret_fd = fd;
    return 0;
}

/* The name of one of the files of a job in its folder; NULL: out of memory. */
static const char *name_of(struct exec_store *store, struct word place, enum part part)
{
    const char *path = path_of(store, place, part), *slash = path ? strrchr(path, '/') : NULL;

    return slash ? slash + 1 : path;
}

/* What confined jobs may have put there is not written to, but gives way to a new file. */
static int open_file(const struct exec_store *store, int folder_fd, const char *name)
{
    const int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY;

    if (!store->spec.confined)
        return openat(folder_fd, name, flags | O_TRUNC, 0666);
    if (unlinkat(folder_fd, name, 0) != 0 && errno != ENOENT)
        return -1;
    return openat(folder_fd, name, flags | O_EXCL | O_NOFOLLOW, 0666);
}

/* Writes one of the files of a job; what is in a file already is moved where that can be done. */
static int write_part(struct exec_store *store, int folder_fd, const char *name, struct word heading,
                      const struct exec_written *written, struct muster_error *ret_error)
{
    const char *path = store->path.data;
    int fd, code;

    if (!written->bytes && !written->lent && heading.size == 0 &&
        exec_output_move(written, store->mode, folder_fd, name))
        return 0;
    fd = open_file(store, folder_fd, name);
    if (fd < 0)
        return cannot_write(path, ret_error);
    code = exec_output_bytes(fd, path, heading.bytes, heading.size, ret_error);
    if (!code)
        code = exec_output_write(fd, path, written, (struct word){NULL, 0}, ret_error);
    if (close(fd) != 0 && !code)
        code = cannot_write(path, ret_error);
    return code;
}

bool exec_store_has(struct exec_store *store, struct word place)
{
    const char *path = path_of(store, place, PART_SEQUENCE);

    if (!path || access(path, F_OK) != 0)
        return false;
    path = path_of(store, place, PART_OUT);
    return path && access(path, F_OK) == 0;
}

static int write_parts(struct exec_store *store, int folder_fd, struct word place,
                       const struct exec_written *const parts[], struct word heading,
                       struct muster_error *ret_error)
{
    const char *name = name_of(store, place, PART_SEQUENCE);
    int code = 0;

    if (!name)
        return out_of_memory(ret_error);
    if (unlinkat(folder_fd, name, 0) != 0 && errno != ENOENT)
        return cannot_write(store->path.data, ret_error);
    for (enum part part = PART_OUT; part <= PART_SEQUENCE && !code; part++) {
        name = name_of(store, place, part);
        code = !name ? out_of_memory(ret_error)
                     : write_part(store, folder_fd, name, part == PART_OUT ? heading : (struct word){"", 0},
                                  parts[part], ret_error);
    }
    return code;
}

int exec_store_files(struct exec_store *store, struct word place, uint64_t sequence,
                     const struct exec_result *result, struct word heading, struct muster_error *ret_error)
{
    char digits[24];
    struct exec_written number = {.bytes = digits};
    const struct exec_written *const parts[] = {&result->out, &result->err, &number};
    int folder_fd, code = open_place(store, place, &folder_fd, ret_error);

    if (code)
        return code;
    number.size = (size_t)snprintf(digits, sizeof digits, "%" PRIu64, sequence);
    code = write_parts(store, folder_fd, place, parts, heading, ret_error);
    close(folder_fd);
    return code;
}

const char *exec_store_output(struct exec_store *store, struct word place)
{
    return store->kind == EXEC_STORE_TABLE ? NULL : path_of(store, place, PART_OUT);
}

/* --- beginning and end */

/* How much of two names is folders that they have in common, without the last /. */
static size_t folders_bytes(const char *one, const char *other)
{
    size_t bytes = 0;

    for (size_t i = 0; one[i] && one[i] == other[i]; i++)
        if (one[i] == '/')
            bytes = i;
    return bytes;
}

/* A name with replacement strings in it comes out as another one. */
static int open_names(struct exec_store *store, const struct template_rules *rules,
                      struct muster_error *ret_error)
{
    struct template_rules text = *rules;
    struct command name;
    struct row none = {.count = 0};
    int code;

    text.text = true;
    text.quote = false;
    code = template_init(&store->name, &store->spec.name, 1, &text, ret_error);
    if (!code)
        code = template_expand(&store->name, &none, 1, 1, &name, ret_error);
    if (!code && strcmp(name.line.bytes, store->spec.name) != 0) {
        store->kind = EXEC_STORE_NAMES;
        store->root_bytes = folders_bytes(store->spec.name, name.line.bytes);
    }
    return code;
}

/* The root of a tree, with the folders above it, or what is in front of all names; it is named on the command
 * line, and may be a link. Confined jobs are not trusted with what is on the way there later. */
static int open_root(struct exec_store *store, struct muster_error *ret_error)
{
    const struct exec_store named = {.root_fd = -1};
    int bytes = (int)store->root_bytes, fd;

    msgpack_sbuffer_clear(&store->path);
    if (!exec_output_gather(&store->path, store->spec.name, store->root_bytes) ||
        !exec_output_gather(&store->path, "/", 2))
        return out_of_memory(ret_error);
    fd = open_above(&named, AT_FDCWD, store->path.data);
    if (fd < 0)
        return muster_error_system(ret_error, errno, "cannot make the folder %.*s", bytes, store->spec.name);
    if (store->spec.confined)
        store->root_fd = fd;
    else
        close(fd);
    return 0;
}

int exec_store_open(struct exec_store *store, const struct exec_store_spec *spec,
                    const struct template_rules *rules, struct muster_error *ret_error)
{
    enum exec_table_kind table;
    mode_t mask = umask(0);
    int code;

    umask(mask);
    *store = (struct exec_store){.spec = *spec, .mode = 0666 & ~mask, .root_fd = -1};
    if (!spec->name)
        return 0;
    if (exec_table_kind_of(spec->name, &table)) {
        store->kind = EXEC_STORE_TABLE;
        return spec->look_only ? 0
                               : exec_table_open(&store->table, table, spec->name, spec->goes_on, spec->names,
                                                 spec->name_count, ret_error);
    }
    store->kind = EXEC_STORE_TREE;
    code = open_names(store, rules, ret_error);
    if (store->kind == EXEC_STORE_TREE)
        store->root_bytes = strlen(spec->name);
    if (code || spec->look_only ||
        (store->kind == EXEC_STORE_NAMES && (!spec->confined || store->root_bytes == 0)))
        return code;
    return open_root(store, ret_error);
}

void exec_store_close(struct exec_store *store)
{
    exec_table_close(&store->table);
    template_fini(&store->name);
    msgpack_sbuffer_destroy(&store->place);
    msgpack_sbuffer_destroy(&store->path);
    if (store->kind != EXEC_STORE_NONE && store->root_fd >= 0)
        close(store->root_fd);
    *store = (struct exec_store){.kind = EXEC_STORE_NONE};
}
