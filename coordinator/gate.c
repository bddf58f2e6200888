/* SPDX-License-Identifier: MIT
 *
 * Who is let in with a key. See gate.h.
 */
#include "coordinator/gate.h"

#include "base/clock.h"
#include "base/log.h"
#include "coordinator/core.h"
#include "coordinator/keys.h"
#include "coordinator/role.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <uthash.h>

/* Who has been let in is judged by a list that is as old at most; to look for another takes some 2 us. */
static const uint64_t LOOK_NS = CLOCK_NS_PER_S;

/* A client that came with a key, and what that was allowed then. */
struct member {
    char name[PROTO_PEER_NAME_MAX + 1];
    struct allowed_key key;
    UT_hash_handle hh;
};

struct gate {
    struct curve_key secret;
    struct wire *door;       /* owned */
    struct allowed *allowed; /* owned */
    struct member *members;  /* owned; by name */
    int notify_fd;           /* of the folder in which the list is */
    struct keys_stamp stamp; /* of the list before it was read */
    uint64_t look_ns;        /* until then, messages do not have it looked at */
    uint64_t quiet_ns;       /* until then, who is refused is counted and not logged */
    unsigned unsaid;
};

/* --- the list */

/* The first line that is none. */
static void note_first(void *context, unsigned line, const char *why)
{
    struct muster_error *error = context;

    if (error->code == 0)
        muster_error_set(error, MUSTER_EINVALID, "line %u: %s", line, why);
}

static void log_line(void *context, unsigned line, const char *why)
{
    log_error("%s, line %u, lets nobody in: %s", (const char *)context, line, why);
}

static int read_list(allowed_note *note, void *context, struct allowed **ret_allowed,
                     struct muster_error *ret_error)
{
    size_t size;
    char *text;
    int result = keys_load_allowed(&text, &size, ret_error);

    if (result != 0)
        return result;
    result = allowed_parse(text, size, note, context, ret_allowed);
    free(text);
    return result ? muster_error_set(ret_error, result, "out of memory") : 0;
}

/* At the start, nothing may be wrong with it. */
static int open_list(struct gate *gate, struct muster_error *ret_error)
{
    struct muster_error wrong = {.code = 0};
    char path[KEYS_PATH_BYTES];
    int result = keys_path(KEYS_ALLOWED, path, ret_error);

    keys_stamp_allowed(&gate->stamp);
    if (result == 0)
        result = read_list(note_first, &wrong, &gate->allowed, ret_error);
    if (result == MUSTER_ENOTFOUND || (result == 0 && !wrong.code && allowed_count(gate->allowed) == 0))
        return muster_error_set(ret_error, MUSTER_ENOTFOUND,
                                "no key is allowed, in %s: 'muster key allow KEY submit NAME' adds one",
                                path);
    if (wrong.code)
        return muster_error_set(ret_error, wrong.code, "%s, %s", path, wrong.text);
    return result;
}

void gate_refresh(struct gate *gate)
{
    char events[4096], path[KEYS_PATH_BYTES];
    struct allowed *allowed;
    struct muster_error error;
    int result = keys_path(KEYS_ALLOWED, path, &error);

    while (read(gate->notify_fd, events, sizeof events) > 0)
        continue; /* whichever file it was */
    keys_stamp_allowed(&gate->stamp);
    if (result == 0)
        result = read_list(log_line, path, &allowed, &error);
    if (result != 0) {
        log_error("no key is allowed: %s", error.text);
        if (allowed_parse("", 0, log_line, path, &allowed) != 0)
            return; /* out of memory: as it was */
    }
    allowed_destroy(gate->allowed);
    gate->allowed = allowed;
}

bool gate_is_stale(struct gate *gate, uint64_t now_ns, bool knocked)
{
    struct keys_stamp stamp;

    if (!knocked && now_ns < gate->look_ns)
        return false;
    gate->look_ns = clock_after(now_ns, LOOK_NS);
    keys_stamp_allowed(&stamp);
    return memcmp(&stamp, &gate->stamp, sizeof stamp) != 0;
}

uint64_t gate_deadline(const struct gate *gate)
{
    return gate && gate->members ? gate->look_ns : CLOCK_NEVER;
}

/* --- a gate */

static int watch_folder(struct gate *gate, struct muster_error *ret_error)
{
    char path[KEYS_PATH_BYTES];
    int result = keys_path("", path, ret_error);

    if (result != 0)
        return result;
    gate->notify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (gate->notify_fd >= 0 &&
        inotify_add_watch(gate->notify_fd, path,
                          IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE) >= 0)
        return 0;
    return muster_error_system(ret_error, errno, "cannot watch the folder %s", path);
}

int gate_open(struct wire_context *context, struct gate **ret_gate, struct muster_error *ret_error)
{
    struct gate *gate = calloc(1, sizeof *gate);
    int result;

    if (!gate)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    gate->notify_fd = -1;
    if ((result = keys_load(&gate->secret, ret_error)) == 0 &&
        (result = watch_folder(gate, ret_error)) == 0 && (result = open_list(gate, ret_error)) == 0)
        result = wire_open_door(context, &gate->door, ret_error);
    if (result == 0)
        *ret_gate = gate;
    else
        gate_close(gate);
    return result;
}

void gate_close(struct gate *gate)
{
    struct member *member, *next;

    if (!gate)
        return;
    HASH_ITER(hh, gate->members, member, next) {
        HASH_DEL(gate->members, member);
        free(member);
    }
    wire_close(gate->door, 0);
    allowed_destroy(gate->allowed);
    if (gate->notify_fd >= 0)
        close(gate->notify_fd);
    explicit_bzero(gate, sizeof *gate);
    free(gate);
}

const struct curve_key *gate_secret(const struct gate *gate)
{
    return &gate->secret;
}

unsigned gate_count(const struct gate *gate)
{
    return allowed_count(gate->allowed);
}

struct wire *gate_door(const struct gate *gate)
{
    return gate ? gate->door : NULL;
}

int gate_fd(const struct gate *gate)
{
    return gate ? gate->notify_fd : -1;
}

/* --- strangers */

/* A line a second at most: a stranger does not fill a disk. */
static void log_refusal(struct gate *gate, const struct wire_stranger *stranger)
{
    uint64_t now_ns = clock_now_ns();
    char text[CURVE_TEXT_BYTES], others[64] = "";

    if (now_ns < gate->quiet_ns) {
        gate->unsaid++;
        return;
    }
    if (gate->unsaid > 0)
        snprintf(others, sizeof others, "; so were %u others before", gate->unsaid);
    curve_write(&stranger->key, text);
    log_error("refused: key %s, from %s, is not allowed%s", text, stranger->address, others);
    gate->unsaid = 0;
    gate->quiet_ns = clock_after(now_ns, CLOCK_NS_PER_S);
}

static bool admit(void *context, const struct wire_stranger *stranger)
{
    struct gate *gate = context;

    if (allowed_find(gate->allowed, &stranger->key))
        return true;
    log_refusal(gate, stranger);
    return false;
}

void gate_answer(struct gate *gate)
{
    while (wire_answer_door(gate->door, admit, gate) == 0)
        continue;
}

/* --- members */

static struct member *find(const struct gate *gate, const char *name)
{
    struct member *member;

    HASH_FIND_STR(gate->members, name, member);
    return member;
}

static bool is_name_of_worker(const char *name)
{
    return strncmp(name, CORE_WORKER_PREFIX, strlen(CORE_WORKER_PREFIX)) == 0;
}

/* Whether bytes of it are in shared memory: a reference names a process of this host. */
static bool is_shared(const struct proto_message *message)
{
    return (message->type == PROTO_SUBMIT && message->submit.shared) ||
           (message->type == PROTO_ARGUMENTS && message->arguments.shared_bytes > 0) ||
           (message->type == PROTO_RESULT && message->result.outcome.shared_bytes > 0);
}

const char *gate_check(struct gate *gate, struct wire_frame *frame, bool works)
{
    const struct allowed_key *key;
    const struct member *member;

    if (!gate)
        return NULL;
    member = find(gate, frame->peer);
    if (!frame->keyed)
        return member ? "this name belongs to somebody with a key" : NULL;
    key = allowed_find(gate->allowed, &frame->key);
    if (!key)
        return "this key is not allowed any more";
    if (member && !curve_equal(&member->key.key, &frame->key))
        return "this name belongs to another key";
    if (is_name_of_worker(frame->peer))
        return "this name belongs to a worker of the coordinator's host";
    if (frame->error.code != 0)
        return NULL;
    if (!role_may(key->roles, &frame->message))
        return "the roles of this key do not allow that; whoever keeps the coordinator gives it others";
    if (role_is_of_worker(&frame->message) && !works)
        return "this coordinator has no worker of this name: say HELLO first";
    if (is_shared(&frame->message))
        return "over tcp nothing is in shared memory";
    if (frame->message.type == PROTO_HELLO)
        frame->message.hello.user = proto_text(key->name);
    return NULL;
}

int gate_enter(struct gate *gate, const struct wire_frame *frame, bool *ret_confined)
{
    const struct allowed_key *key = allowed_find(gate->allowed, &frame->key);
    struct member *member = find(gate, frame->peer);

    if (!member) {
        member = calloc(1, sizeof *member);
        if (!member)
            return MUSTER_ENOMEM;
        memcpy(member->name, frame->peer, sizeof member->name);
        HASH_ADD_STR(gate->members, name, member);
        if (!member->hh.tbl) {
            free(member);
            return MUSTER_ENOMEM;
        }
    }
    member->key = *key;
    *ret_confined = role_is_confined(key->roles);
    return 0;
}

void gate_leave(struct gate *gate, const char *name)
{
    struct member *member = gate ? find(gate, name) : NULL;

    if (!member)
        return;
    HASH_DEL(gate->members, member);
    free(member);
}

const char *gate_next(const struct gate *gate, const char *name)
{
    const struct member *member = gate->members;

    if (name)
        member = find(gate, name)->hh.next;
    return member ? member->name : NULL;
}

bool gate_is_withdrawn(const struct gate *gate, const char *name)
{
    const struct member *member = find(gate, name);
    const struct allowed_key *key = allowed_find(gate->allowed, &member->key.key);

    return !key || key->roles != member->key.roles || strcmp(key->name, member->key.name) != 0;
}
