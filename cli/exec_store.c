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

/* Makes the folder that a file needs, which most often is the only one, or those above it, too. Whether it
 * is there now, and it is worth trying again. */
static bool make_folders(char *path)
{
    char *slash = strrchr(path, '/');
    bool made;

    if (!slash || slash == path)
        return false;
    *slash = '\0';
    made = mkdir(path, 0777) == 0 || errno == EEXIST ||
           (errno == ENOENT && make_folders(path) && (mkdir(path, 0777) == 0 || errno == EEXIST));
    *slash = '/';
    return made;
}

static int write_bytes(struct exec_store *store, enum part part, struct word place, struct word heading,
                       const struct exec_written *written, struct muster_error *ret_error)
{
    const char *path = path_of(store, place, part);
    const int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY;
    int fd, code;

    if (!path)
        return out_of_memory(ret_error);
    fd = open(path, flags, 0666);
    if (fd < 0 && errno == ENOENT && make_folders(store->path.data))
        fd = open(path, flags, 0666);
    if (fd < 0)
        return cannot_write(path, ret_error);
    code = exec_output_bytes(fd, path, heading.bytes, heading.size, ret_error);
    if (!code)
        code = exec_output_write(fd, path, written, (struct word){NULL, 0}, ret_error);
    if (close(fd) != 0 && !code)
        code = cannot_write(path, ret_error);
    return code;
}

/* Moves the file that a command's output is in already. Whether that could be done. */
static bool move(struct exec_store *store, enum part part, struct word place, const char *from)
{
    const char *path = path_of(store, place, part);

    if (!path || chmod(from, store->mode) != 0)
        return false;
    return rename(from, path) == 0 ||
           (errno == ENOENT && make_folders(store->path.data) && rename(from, path) == 0);
}

static int write_part(struct exec_store *store, enum part part, struct word place, struct word heading,
                      const struct exec_written *written, struct muster_error *ret_error)
{
    if (written->path[0] && !written->lent && heading.size == 0 && move(store, part, place, written->path))
        return 0;
    return write_bytes(store, part, place, heading, written, ret_error);
}

bool exec_store_has(struct exec_store *store, struct word place)
{
    const char *path = path_of(store, place, PART_SEQUENCE);

    if (!path || access(path, F_OK) != 0)
        return false;
    path = path_of(store, place, PART_OUT);
    return path && access(path, F_OK) == 0;
}

int exec_store_files(struct exec_store *store, struct word place, uint64_t sequence,
                     const struct exec_result *result, struct word heading, struct muster_error *ret_error)
{
    const char *path = path_of(store, place, PART_SEQUENCE);
    char digits[24];
    struct exec_written number = {.bytes = digits};
    const struct word none = {"", 0};
    int code;

    if (!path)
        return out_of_memory(ret_error);
    if (unlink(path) != 0 && errno != ENOENT)
        return cannot_write(path, ret_error);
    number.size = (size_t)snprintf(digits, sizeof digits, "%" PRIu64, sequence);
    code = write_part(store, PART_OUT, place, heading, &result->out, ret_error);
    if (!code)
        code = write_part(store, PART_ERR, place, none, &result->err, ret_error);
    if (!code)
        code = write_part(store, PART_SEQUENCE, place, none, &number, ret_error);
    return code;
}

const char *exec_store_output(struct exec_store *store, struct word place)
{
    return store->kind == EXEC_STORE_TABLE ? NULL : path_of(store, place, PART_OUT);
}

/* --- beginning and end */

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
    if (!code && strcmp(name.line.bytes, store->spec.name) != 0)
        store->kind = EXEC_STORE_NAMES;
    return code;
}

/* The root of a tree, with the folders above it. */
static int make_folder(struct exec_store *store, struct muster_error *ret_error)
{
    struct stat status;
    int error;

    msgpack_sbuffer_clear(&store->path);
    if (!exec_output_gather(&store->path, store->spec.name, strlen(store->spec.name)) ||
        !exec_output_gather(&store->path, "/", 2))
        return out_of_memory(ret_error);
    errno = ENOTDIR;
    error = make_folders(store->path.data) ? ENOTDIR : errno;
    if (stat(store->path.data, &status) != 0 || !S_ISDIR(status.st_mode))
        return muster_error_system(ret_error, error, "cannot make the folder %s", store->spec.name);
    return 0;
}

int exec_store_open(struct exec_store *store, const struct exec_store_spec *spec,
                    const struct template_rules *rules, struct muster_error *ret_error)
{
    enum exec_table_kind table;
    mode_t mask = umask(0);
    int code;

    umask(mask);
    *store = (struct exec_store){.spec = *spec, .mode = 0666 & ~mask};
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
    if (code || store->kind != EXEC_STORE_TREE || spec->look_only)
        return code;
    return make_folder(store, ret_error);
}

void exec_store_close(struct exec_store *store)
{
    exec_table_close(&store->table);
    template_fini(&store->name);
    msgpack_sbuffer_destroy(&store->place);
    msgpack_sbuffer_destroy(&store->path);
    *store = (struct exec_store){.kind = EXEC_STORE_NONE};
}
