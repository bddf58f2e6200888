/* SPDX-License-Identifier: MIT
 *
 * The sandbox as a whole. See sandbox.h.
 */
#include "base/sandbox_internal.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
    unsigned bit;
    const char *word;
} table[] = {
    {SANDBOX_STRICT, "strict"}, {SANDBOX_NET, "net"}, {SANDBOX_HOME, "home"}, {SANDBOX_LOCAL, "local"}};

enum {
    WORDS = sizeof table / sizeof *table,
    PACKED = 1 << 16,
    PACKED_SECCOMP = 1 << 17,
    PACKED_RLIMIT = 1 << 18,
    PACKED_CGROUP = 1 << 19,
    PACKED_VERSION = 0xffff
};

/* To write to. */
struct place {
    dev_t device;
    ino_t inode; /* 0: there is none */
    char *path;  /* owned; where it was; NULL: in no folder */
};

struct places {
    struct place all[SANDBOX_PLACES_MAX + 1]; /* the last one is for output */
};

struct sandbox {
    unsigned asked;
    struct sandbox_layers layers;
    struct places places;
    struct sandbox_rules rules;     /* owned; none where there is no Landlock */
    struct sock_fprog filter;       /* owned; empty where there is no seccomp */
    struct sock_fprog without_link; /* likewise; empty where there is no link */
};

static atomic_bool offline; /* of this process */

int sandbox_parse(const char *words, unsigned *ret_sandbox, struct muster_error *ret_error)
{
    unsigned sandbox = SANDBOX_ON;
    size_t size, i;

    for (words = words ? words : ""; *words; words += size + (words[size] == ',')) {
        size = strcspn(words, ",");
        for (i = 0; i < WORDS; i++)
            if (strlen(table[i].word) == size && memcmp(words, table[i].word, size) == 0)
                break;
        if (i == WORDS)
            return muster_error_set(ret_error, MUSTER_EINVALID,
                                    "strict, net, local and home are expected, with commas between them");
        sandbox |= table[i].bit;
    }
    *ret_sandbox = sandbox;
    return 0;
}

bool sandbox_holds_within(unsigned sandbox, unsigned bounds)
{
    const unsigned confining = SANDBOX_ON | SANDBOX_STRICT;

    return (bounds & confining & ~sandbox) == 0 && (bounds == 0 || (sandbox & ~confining & ~bounds) == 0);
}

void sandbox_words(unsigned sandbox, char ret_words[SANDBOX_WORDS_BYTES])
{
    ret_words[0] = '\0';
    for (size_t i = 0; i < WORDS; i++)
        if (sandbox & table[i].bit) {
            if (ret_words[0])
                strcat(ret_words, ",");
            strcat(ret_words, table[i].word);
        }
}

void sandbox_probe(struct sandbox_layers *ret_layers)
{
    *ret_layers =
        (struct sandbox_layers){.landlock = sandbox_files_version(), .seccomp = sandbox_calls_there()};
}

void sandbox_missing(const struct sandbox_layers *layers, char ret_missing[SANDBOX_MISSING_BYTES])
{
    snprintf(ret_missing, SANDBOX_MISSING_BYTES, "%s%s%s",
             layers->landlock ? "" : "Landlock (files are not confined)",
             layers->landlock || layers->seccomp ? "" : ", ",
             layers->seccomp ? "" : "seccomp with libseccomp 2 (no system call is refused)");
}

unsigned sandbox_pack(const struct sandbox_layers *layers)
{
    return PACKED | (layers->seccomp ? PACKED_SECCOMP : 0) |
           (layers->memory == SANDBOX_RLIMIT ? PACKED_RLIMIT : 0) |
           (layers->memory == SANDBOX_CGROUP ? PACKED_CGROUP : 0) | (layers->landlock & PACKED_VERSION);
}

bool sandbox_unpack(unsigned number, struct sandbox_layers *ret_layers)
{
    *ret_layers = (struct sandbox_layers){.landlock = number & PACKED_VERSION,
                                          .seccomp = number & PACKED_SECCOMP,
                                          .memory = number & PACKED_CGROUP   ? SANDBOX_CGROUP
                                                    : number & PACKED_RLIMIT ? SANDBOX_RLIMIT
                                                                             : SANDBOX_NO_MEMORY};
    return number & PACKED;
}

/* --- places */

/* What is in no folder is no place: no rule is about it. */
static int take_place(struct place *place, int fd, struct muster_error *ret_error)
{
    char path[PATH_MAX];
    struct stat stat;

    if (fd < 0)
        return 0;
    if (fstat(fd, &stat) != 0)
        return muster_error_system(ret_error, errno, "sandbox: cannot look at a place to write to");
    sandbox_find_path(fd, path);
    if (path[0] != '/')
        return 0;
    if (!(place->path = strdup(path)))
        return muster_error_set(ret_error, MUSTER_ENOMEM, "sandbox: out of memory");
    place->device = stat.st_dev;
    place->inode = stat.st_ino;
    return 0;
}

static void drop_places(struct places *places)
{
    for (size_t i = 0; i < SANDBOX_PLACES_MAX + 1; i++)
        free(places->all[i].path);
    *places = (struct places){0};
}

static int take_places(struct places *places, const struct sandbox_leave *leave,
                       struct muster_error *ret_error)
{
    int code = 0;

    *places = (struct places){0};
    for (size_t i = 0; i < leave->count && code == 0; i++)
        code = take_place(&places->all[i], leave->places[i], ret_error);
    if (code == 0)
        code = take_place(&places->all[SANDBOX_PLACES_MAX], leave->output, ret_error);
    if (code != 0)
        drop_places(places);
    return code;
}

static bool are_places_same(const struct places *some, const struct places *others)
{
    for (size_t i = 0; i < SANDBOX_PLACES_MAX + 1; i++) {
        const struct place *one = &some->all[i], *other = &others->all[i];

        if (one->device != other->device || one->inode != other->inode || !one->path != !other->path ||
            (one->path && strcmp(one->path, other->path) != 0))
            return false;
    }
    return true;
}

/* --- making one */

static unsigned left_of(unsigned asked, const char *link)
{
    unsigned left =
        (asked & SANDBOX_NET ? SANDBOX_INET_SOCKETS : 0) | (asked & SANDBOX_LOCAL ? SANDBOX_UNIX_SOCKETS : 0);

    if (link)
        left |= SANDBOX_SCHEDULING |
                (strncmp(link, "ipc:", 4) == 0 ? SANDBOX_UNIX_SOCKETS : SANDBOX_INET_SOCKETS);
    return left;
}

static int make_filters(struct sandbox *sandbox, const char *link, struct muster_error *ret_error)
{
    int code = sandbox_calls_filter(left_of(sandbox->asked, link), &sandbox->filter, ret_error);

    if (code == 0 && link)
        code = sandbox_calls_filter(left_of(sandbox->asked, NULL), &sandbox->without_link, ret_error);
    return code;
}

static int check_layers(const struct sandbox *sandbox, struct muster_error *ret_error)
{
    char missing[SANDBOX_MISSING_BYTES];

    sandbox_missing(&sandbox->layers, missing);
    if (!(sandbox->asked & SANDBOX_STRICT) || !missing[0])
        return 0;
    return muster_error_set(ret_error, MUSTER_EINVALID,
                            "sandbox: this host has no %s: leave 'strict' out to do without", missing);
}

/* Rules for files, unless it has them. */
static int renew_rules(struct sandbox *sandbox, const struct sandbox_leave *leave,
                       struct muster_error *ret_error)
{
    const struct sandbox_files files = {.version = sandbox->layers.landlock,
                                        .home = sandbox->asked & SANDBOX_HOME,
                                        .net = left_of(sandbox->asked, leave->link) & SANDBOX_INET_SOCKETS,
                                        .local = sandbox->asked & SANDBOX_LOCAL,
                                        .leave = leave};
    struct places places;
    int code;

    if (files.version == 0)
        return 0;
    if ((code = sandbox_files_check(&files, ret_error)) != 0 ||
        (code = take_places(&places, leave, ret_error)) != 0)
        return code;
    if (are_places_same(&sandbox->places, &places) && sandbox_files_are_current(&files, &sandbox->rules)) {
        drop_places(&places);
        return 0;
    }
    drop_places(&sandbox->places);
    sandbox->places = places;
    sandbox_files_drop(&sandbox->rules);
    return sandbox_files_rules(&files, &sandbox->rules, ret_error);
}

static int create(unsigned asked, const struct sandbox_leave *leave, struct sandbox **ret_sandbox,
                  struct muster_error *ret_error)
{
    struct sandbox *sandbox = calloc(1, sizeof *sandbox);
    int code;

    if (!sandbox)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "sandbox: out of memory");
    sandbox->asked = asked;
    sandbox->rules.fd = -1;
    sandbox_probe(&sandbox->layers);
    code = check_layers(sandbox, ret_error);
    if (code == 0)
        code = renew_rules(sandbox, leave, ret_error);
    if (code == 0 && sandbox->layers.seccomp)
        code = make_filters(sandbox, leave->link, ret_error);
    if (code == 0)
        *ret_sandbox = sandbox;
    else
        sandbox_destroy(sandbox);
    return code;
}

int sandbox_create(unsigned asked, const struct sandbox_leave *leave, struct sandbox **ret_sandbox,
                   struct muster_error *ret_error)
{
    struct sandbox *sandbox;
    int code = create(asked, leave, &sandbox, ret_error);

    if (code != 0)
        return code;
    sandbox_view_destroy(sandbox->rules.view); /* it is not renewed */
    sandbox->rules.view = NULL;
    *ret_sandbox = sandbox;
    return 0;
}

int sandbox_renew(struct sandbox **sandbox, unsigned asked, const struct sandbox_leave *leave,
                  struct muster_error *ret_error)
{
    bool other = *sandbox && (*sandbox)->asked != asked;
    int code = *sandbox && !other ? renew_rules(*sandbox, leave, ret_error) : 0;

    if (other || code != 0) {
        sandbox_destroy(*sandbox);
        *sandbox = NULL;
    }
    return code == 0 && !*sandbox ? create(asked, leave, sandbox, ret_error) : code;
}

void sandbox_rest(struct sandbox *sandbox)
{
    if (sandbox)
        sandbox_files_drop(&sandbox->rules);
}

void sandbox_destroy(struct sandbox *sandbox)
{
    if (!sandbox)
        return;
    sandbox_files_drop(&sandbox->rules);
    drop_places(&sandbox->places);
    free(sandbox->filter.filter);
    free(sandbox->without_link.filter);
    free(sandbox);
}

const struct sandbox_layers *sandbox_layers(const struct sandbox *sandbox)
{
    return &sandbox->layers;
}

/* --- entering it */

int sandbox_enter(const struct sandbox *sandbox)
{
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = 0};

    if (setrlimit(RLIMIT_CORE, &none) != 0 || sandbox_privileges_drop() != 0)
        return -1;
    if (sandbox->layers.landlock > 0 && sandbox_files_enter(&sandbox->rules) != 0)
        return -1;
    return sandbox->filter.len > 0 ? sandbox_calls_enter(&sandbox->filter) : 0;
}

bool sandbox_is_offline(void)
{
    return offline;
}

int sandbox_close_link(const struct sandbox *sandbox, struct muster_error *ret_error)
{
    if (sandbox->without_link.len > 0 && sandbox_calls_enter(&sandbox->without_link) != 0)
        return muster_error_system(ret_error, errno, "sandbox: cannot be closed behind the link");
    offline = sandbox->layers.seccomp && !(sandbox->asked & SANDBOX_NET);
    return 0;
}
