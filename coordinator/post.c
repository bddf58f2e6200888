/* SPDX-License-Identifier: MIT
 *
 * Messages by the wire and through slots. See post.h.
 */
#include "coordinator/post.h"

#include "proto/slots.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <uthash.h>
#include <utlist.h>

/* Messages taken from slots until the wire has its turn: what comes by it, heartbeats and cancels
 * among them, does not wait for workers to fall silent. To look there costs some 100 ns. */
enum { SLOTS_IN_TURN = 16 };

/* A message that waits for a worker to be connected. */
struct letter {
    struct wire_parcel *parcel; /* owned */
    bool counts;                /* among those that go by the wire */
    struct letter *prev, *next;
};

/* A worker with slots. */
struct box {
    char name[PROTO_PEER_NAME_MAX + 1];
    struct slots *slots;     /* owned; NULL: this place has no such worker */
    uint64_t sent, received; /* by the wire */
    bool greeted;            /* HELLO was in its slot, */
    bool connected;          /* and has come by the wire, too */
    struct letter *waiting;  /* owned: sent in between */
    UT_hash_handle hh;
};

struct post {
    struct wire *router; /* borrowed */
    struct box *boxes;   /* owned; by place */
    struct box *by_name;
    unsigned places;  /* up to the highest that had a slot */
    unsigned next;    /* where to look next, so that no worker is passed over for ever */
    unsigned in_turn; /* messages taken from slots since the wire had its turn */
    int bell_fd;
    struct wire_frame *held; /* owned: came by the wire, and waits for its turn; or NULL */
};

int post_create(unsigned workers, bool slots, struct post **ret_post, struct muster_error *ret_error)
{
    struct post *post = calloc(1, sizeof *post);

    if (!post || !(post->boxes = calloc(workers, sizeof *post->boxes))) {
        free(post);
        return muster_error_set(ret_error, MUSTER_ENOMEM, "coordinator: out of memory");
    }
    post->bell_fd = slots ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
    if (slots && post->bell_fd < 0) {
        int error = errno;

        post_destroy(post);
        return muster_error_system(ret_error, error, "coordinator: eventfd");
    }
    *ret_post = post;
    return 0;
}

void post_take_router(struct post *post, struct wire *router)
{
    post->router = router;
}

void post_destroy(struct post *post)
{
    if (!post)
        return;
    for (unsigned place = 1; place <= post->places; place++)
        post_close(post, place);
    wire_frame_destroy(post->held);
    if (post->bell_fd >= 0)
        close(post->bell_fd);
    free(post->boxes);
    free(post);
}

int post_open(struct post *post, unsigned place, const char *name)
{
    struct box *box = &post->boxes[place - 1];
    int fd;

    post_close(post, place);
    *box = (struct box){.slots = NULL};
    if (post->bell_fd < 0 || slots_create(&fd, &box->slots) != 0)
        return -1;
    if (post->places < place)
        post->places = place;
    memcpy(box->name, name, strnlen(name, PROTO_PEER_NAME_MAX));
    HASH_ADD_STR(post->by_name, name, box);
    if (!box->hh.tbl) {
        slots_unmap(box->slots);
        box->slots = NULL;
        close(fd);
        return -1;
    }
    return fd;
}

/* Nobody needs what waits: it has not been sent. */
static void drop_waiting(struct box *box)
{
    struct letter *letter, *next;

    DL_FOREACH_SAFE(box->waiting, letter, next) {
        box->sent -= letter->counts;
        wire_parcel_destroy(letter->parcel);
        free(letter);
    }
    box->waiting = NULL;
}

void post_close(struct post *post, unsigned place)
{
    struct box *box = &post->boxes[place - 1];

    if (!box->slots)
        return;
    HASH_DEL(post->by_name, box);
    drop_waiting(box);
    slots_unmap(box->slots);
    box->slots = NULL;
}

int post_bell(const struct post *post)
{
    return post->bell_fd;
}

/* Returns whether the message has been put into the slot. */
static bool put(struct box *box, const struct wire_parcel *parcel)
{
    if (atomic_load_explicit(&box->slots->attached, memory_order_relaxed) != SLOTS_MAGIC ||
        !slot_put(&box->slots->to_worker, box->sent, parcel))
        return false;
    slots_ring(box->slots);
    return true;
}

/* What an executor that waits is to wake for. */
static bool goes_by_slot(enum proto_type type)
{
    return type == PROTO_CHUNK || type == PROTO_STOP;
}

/* Until the worker is connected. */
static int keep_waiting(struct box *box, enum proto_type type, struct wire_parcel **parcel)
{
    struct letter *letter = malloc(sizeof *letter);

    if (!letter)
        return MUSTER_ENOMEM;
    *letter = (struct letter){.parcel = *parcel, .counts = slot_counts(type)};
    *parcel = NULL;
    DL_APPEND(box->waiting, letter);
    box->sent += letter->counts;
    if (letter->counts)
        slots_want_wire(box->slots);
    return 0;
}

static int send_by_wire(struct post *post, struct box *box, const char *peer, enum proto_type type,
                        struct wire_parcel **parcel)
{
    int result;

    if (box && box->greeted && !box->connected)
        return keep_waiting(box, type, parcel);
    result = type == PROTO_ANSWER ? wire_post_answer(post->router, peer, parcel)
                                  : wire_post(post->router, peer, parcel);
    if (box && result == 0)
        box->sent += slot_counts(type);
    return result;
}

int post_send(struct post *post, const char *peer, const struct proto_message *message)
{
    struct wire_parcel *parcel;
    struct box *box;
    int result = wire_pack(message, &parcel);

    if (result != 0)
        return result;
    HASH_FIND_STR(post->by_name, peer, box);
    if (box && message->type == PROTO_STOP)
        drop_waiting(box); /* it holds nothing that the rest could be about, and would wait for it */
    if (!box || !goes_by_slot(message->type) || !put(box, parcel))
        result = send_by_wire(post, box, peer, message->type, &parcel);
    wire_parcel_destroy(parcel);
    return result;
}

int post_send_via(struct post *post, const char *host, const char *worker,
                  const struct proto_message *message)
{
    struct wire_parcel *parcel;
    int result = wire_pack(message, &parcel);

    if (result == 0)
        result = wire_post_via(post->router, host, worker, &parcel);
    else
        parcel = NULL;
    wire_parcel_destroy(parcel);
    return result;
}

static bool is_hello(const struct wire_frame *frame)
{
    return frame->error.code == 0 && frame->message.type == PROTO_HELLO;
}

static int take(struct box *box, struct wire_frame **ret_frame)
{
    int result = box->slots ? slot_take(&box->slots->to_coordinator, box->received, box->name, ret_frame)
                            : MUSTER_EAGAIN;

    if (result == 0 && is_hello(*ret_frame))
        box->greeted = true;
    return result;
}

/* From the slots, each in its turn. */
static int take_any(struct post *post, struct wire_frame **ret_frame)
{
    int result = MUSTER_EAGAIN;

    for (unsigned i = 0; i < post->places && result == MUSTER_EAGAIN; i++) {
        post->next = post->next + 1 < post->places ? post->next + 1 : 0;
        result = take(&post->boxes[post->next], ret_frame);
    }
    return result;
}

/* It is connected: what waited for that is on its way. */
static int connect_worker(struct post *post, struct box *box)
{
    struct letter *letter, *next;
    int result = 0;

    box->connected = true;
    DL_FOREACH_SAFE(box->waiting, letter, next) {
        if (wire_post(post->router, box->name, &letter->parcel) == MUSTER_ENOMEM)
            result = MUSTER_ENOMEM;
        wire_parcel_destroy(letter->parcel);
        free(letter);
    }
    box->waiting = NULL;
    return result;
}

/* What came by the wire comes behind what was put into the slot before. HELLO that was there already is
 * for the post alone: MUSTER_EAGAIN, and nothing is held any longer. */
static int release_held(struct post *post, struct wire_frame **ret_frame)
{
    struct box *box;
    int result = MUSTER_EAGAIN;

    HASH_FIND_STR(post->by_name, post->held->peer, box);
    if (box)
        result = take(box, ret_frame);
    if (result != MUSTER_EAGAIN)
        return result;
    if (box && is_hello(post->held) && box->greeted && !box->connected) {
        wire_frame_destroy(post->held);
        post->held = NULL;
        result = connect_worker(post, box);
        return result == 0 ? MUSTER_EAGAIN : result;
    }
    if (box)
        box->received += !is_hello(post->held);
    *ret_frame = post->held;
    post->held = NULL;
    return 0;
}

int post_receive(struct post *post, struct wire_frame **ret_frame)
{
    int result = MUSTER_EAGAIN;

    if (!post->held && post->in_turn < SLOTS_IN_TURN) {
        result = take_any(post, ret_frame);
        post->in_turn += result == 0;
        if (result != MUSTER_EAGAIN)
            return result;
    }
    do {
        if (!post->held) {
            result = wire_receive(post->router, &post->held);
            if (result == MUSTER_EAGAIN && post->in_turn == SLOTS_IN_TURN)
                result = take_any(post, ret_frame);
            post->in_turn = 0;
            if (!post->held)
                return result;
        }
        result = release_held(post, ret_frame);
    } while (result == MUSTER_EAGAIN);
    return result;
}

int post_receive_last(struct post *post, unsigned place, struct wire_frame **ret_frame)
{
    return take(&post->boxes[place - 1], ret_frame);
}

bool post_sleep(struct post *post)
{
    bool any = false;

    for (unsigned i = 0; i < post->places; i++)
        if (post->boxes[i].slots)
            atomic_store(&post->boxes[i].slots->coordinator_sleeps, 1);
    for (unsigned i = 0; i < post->places; i++)
        any |= post->boxes[i].slots &&
               slot_is_due(&post->boxes[i].slots->to_coordinator, post->boxes[i].received);
    return !any && !post->held;
}

void post_wake(struct post *post, bool rung)
{
    uint64_t count;

    for (unsigned i = 0; i < post->places; i++)
        if (post->boxes[i].slots)
            atomic_store_explicit(&post->boxes[i].slots->coordinator_sleeps, 0, memory_order_relaxed);
    if (rung && read(post->bell_fd, &count, sizeof count) < 0)
        return; /* EAGAIN: a job of a worker has read it */
}
