/* SPDX-License-Identifier: MIT
 *
 * An outpost's connection. See outpost_link.h.
 */
#include "coordinator/outpost_link.h"

#include "base/clock.h"
#include "base/sandbox.h"
#include "coordinator/keys.h"
#include "coordinator/place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* How long the coordinator may take to answer, and what was said last may take to leave. */
static const uint64_t ANSWER_NS = 5 * CLOCK_NS_PER_S;
enum { LAST_WORDS_MS = 100 };

/* Less than this is no large message on its way, but a BEAT that a host has whose coordinator is stopped. */
enum { SENT_LEAST = 4096 };

struct outpost_link {
    const struct outpost_options *options; /* borrowed */
    struct wire *wire;                     /* owned */
    struct outpost_session session;
    bool joined;
    uint64_t heard_ns;  /* or when it was opened, or when bytes of a message had crossed */
    uint64_t looked_ns; /* when its traffic was looked at; 0: not since something was heard */
    struct wire_traffic traffic;
    uint64_t beat_ms, beat_ns; /* between two BEAT; when the next is due */
};

/* --- how it begins */

static int connect_wire(struct outpost_link *link, struct muster_error *ret_error)
{
    char address[PLACE_ENDPOINT_BYTES];
    struct curve_key server, secret;
    int result;

    if (!place_split(link->options->endpoint, address, &server))
        return wire_connect(link->wire, address, ret_error);
    result = keys_load(&secret, ret_error);
    if (result == 0)
        result = wire_connect_keyed(link->wire, address, &secret, &server, ret_error);
    explicit_bzero(&secret, sizeof secret);
    return result;
}

static int send_join(struct outpost_link *link, const struct proto_resident *residents,
                     uint32_t resident_count, struct muster_error *ret_error)
{
    const struct outpost_options *options = link->options;
    char host[PROTO_HOST_NAME_MAX + 1] = "", sandbox[SANDBOX_WORDS_BYTES] = "";
    struct proto_message join = {.type = PROTO_JOIN,
                                 .join = {.version = PROTO_VERSION,
                                          .pid = (uint64_t)getpid(),
                                          .session = link->session.session,
                                          .state = link->session.state,
                                          .epoch = link->session.epoch,
                                          .connection = link->session.connection,
                                          .workers = options->workers,
                                          .software = proto_text("muster " MUSTER_VERSION),
                                          .plugins = options->digests,
                                          .plugin_count = options->plugin_count,
                                          .residents = residents,
                                          .resident_count = resident_count}};

    gethostname(host, sizeof host - 1);
    join.join.host = proto_text(host);
    if (options->sandbox)
        sandbox_words(options->sandbox, sandbox);
    join.join.sandbox = proto_text(options->sandbox && !sandbox[0] ? "on" : sandbox);
    if (wire_send(link->wire, NULL, &join) == 0)
        return 0;
    return muster_error_set(ret_error, MUSTER_ESYSTEM, "cannot send to %s", options->endpoint);
}

/* Each connection has a name of its own. */
static int open_wire(struct outpost_link *link, struct wire_context *context, struct muster_error *ret_error)
{
    char name[PROTO_PEER_NAME_MAX + 1];
    uint64_t chance;
    int result;

    if (getrandom(&chance, sizeof chance, 0) != sizeof chance)
        return muster_error_system(ret_error, errno, "cannot make up a name for this host");
    snprintf(name, sizeof name, "host-%ld-%016llx", (long)getpid(), (unsigned long long)chance);
    result = wire_open_dealer(context, name, &link->wire, ret_error);
    if (result == 0)
        result = wire_watch(link->wire, ret_error);
    return result == 0 ? connect_wire(link, ret_error) : result;
}

int outpost_link_open(struct wire_context *context, const struct outpost_options *options,
                      const struct outpost_session *session, const struct proto_resident *residents,
                      uint32_t resident_count, struct outpost_link **ret_link, struct muster_error *ret_error)
{
    struct outpost_link *link = calloc(1, sizeof *link);
    int result;

    if (!link)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    link->options = options;
    link->session = *session;
    link->heard_ns = clock_now_ns();
    result = open_wire(link, context, ret_error);
    if (result == 0)
        result = send_join(link, residents, resident_count, ret_error);
    if (result == 0)
        *ret_link = link;
    else
        outpost_link_close(link);
    return result;
}

void outpost_link_close(struct outpost_link *link)
{
    if (!link)
        return;
    wire_close(link->wire, 0);
    free(link);
}

void outpost_link_leave(struct outpost_link *link)
{
    if (!link)
        return;
    if (link->joined)
        (void)wire_send(link->wire, NULL, &(struct proto_message){.type = PROTO_STOP});
    wire_close(link->wire, LAST_WORDS_MS);
    free(link);
}

struct wire *outpost_link_wire(const struct outpost_link *link)
{
    return link ? link->wire : NULL;
}

bool outpost_link_is_joined(const struct outpost_link *link)
{
    return link && link->joined;
}

const struct outpost_session *outpost_link_session(const struct outpost_link *link)
{
    return &link->session;
}

/* --- how it ends */

/* This host's key did not get in. */
static int explain_refusal(const struct outpost_link *link, struct muster_error *ret_error)
{
    char text[CURVE_TEXT_BYTES] = "KEY";
    struct curve_key secret, public;

    if (keys_load(&secret, NULL) == 0 && curve_public(&secret, &public, NULL) == 0)
        curve_write(&public, text);
    explicit_bzero(&secret, sizeof secret);
    return muster_error_set(
        ret_error, MUSTER_EDENIED,
        "the coordinator at %s does not accept this host's key; its keeper allows it with "
        "'muster key allow %s work NAME'",
        link->options->endpoint, text);
}

static int explain_loss(const struct outpost_link *link, struct muster_error *ret_error)
{
    const char *endpoint = link->options->endpoint;

    if (wire_is_refused(link->wire))
        return explain_refusal(link, ret_error);
    if (link->joined)
        return muster_error_set(ret_error, MUSTER_ELOST, "the connection to %s is lost", endpoint);
    return muster_error_set(
        ret_error, MUSTER_ELOST,
        "no coordinator answers at %s: it has ended, or the endpoint is wrong, or %s", endpoint,
        strchr(endpoint, '#') ? "the key behind the # is not its" : "lacks its key: tcp://HOST:PORT#KEY");
}

static int explain_error(const struct outpost_link *link, const struct proto_error *error,
                         struct muster_error *ret_error)
{
    return muster_error_set(ret_error, error->code, "%s: %.*s", link->options->endpoint,
                            (int)error->text.size, error->text.size ? error->text.bytes : "");
}

/* --- while it is there */

/* What is about the link itself. Returns whether it was; *ret_code is why the link is lost then, or 0. */
static bool take(struct outpost_link *link, const struct wire_frame *frame, int *ret_code,
                 struct muster_error *ret_error)
{
    const struct proto_message *message = &frame->message;

    *ret_code = 0;
    if (frame->error.code != 0 || frame->via[0])
        return false;
    if (message->type == PROTO_ERROR) {
        *ret_code = explain_error(link, &message->error, ret_error);
    } else if (message->type == PROTO_PING) {
        outpost_link_send(link, &(struct proto_message){
                                    .type = PROTO_BEAT,
                                    .beat = {.nonce = message->ping.nonce, .clock_ns = frame->received_ns}});
    } else if (message->type == PROTO_JOINED && !link->joined) {
        if (message->joined.version != PROTO_VERSION) {
            *ret_code = muster_error_set(ret_error, MUSTER_EVERSION, "%s speaks another version",
                                         link->options->endpoint);
            return true;
        }
        link->joined = true;
        link->session.state = message->joined.state;
        link->session.epoch = message->joined.epoch;
        link->session.hold_ms = message->joined.hold_ms;
        link->beat_ms = message->joined.beat_ms;
        link->beat_ns = clock_after(link->heard_ns, link->beat_ms * CLOCK_NS_PER_MS);
    } else {
        return false;
    }
    return true;
}

int outpost_link_receive(struct outpost_link *link, struct wire_frame **ret_frame,
                         struct muster_error *ret_error)
{
    struct wire_frame *frame;
    bool taken, was_joined = link->joined;
    int result;

    do {
        result = wire_receive(link->wire, &frame);
        if (result == MUSTER_ELOST)
            return explain_loss(link, ret_error);
        if (result == MUSTER_EAGAIN)
            return result;
        if (result != 0)
            return muster_error_set(ret_error, result, "%s: %s", link->options->endpoint,
                                    muster_error_name(result));
        link->heard_ns = frame->received_ns;
        link->looked_ns = 0;
        taken = take(link, frame, &result, ret_error);
        if (!taken && link->joined) {
            *ret_frame = frame;
            return 0;
        }
        wire_frame_destroy(frame);
        if (!taken)
            return muster_error_set(ret_error, MUSTER_EPROTOCOL, "%s is no coordinator",
                                    link->options->endpoint);
        if (result == 0 && link->joined && !was_joined) {
            *ret_frame = NULL;
            return 0;
        }
    } while (result == 0);
    return result;
}

void outpost_link_send(struct outpost_link *link, const struct proto_message *message)
{
    if (link)
        (void)wire_send(link->wire, NULL, message);
}

void outpost_link_pass(struct outpost_link *link, const char *name, const struct proto_message *message)
{
    struct wire_parcel *parcel;

    if (!link || wire_pack(message, &parcel) != 0)
        return;
    (void)wire_post_via(link->wire, NULL, name, &parcel);
    wire_parcel_destroy(parcel);
}

static uint64_t silence_ns(const struct outpost_link *link)
{
    return link->joined ? PROTO_BEATS * link->beat_ms * CLOCK_NS_PER_MS : ANSWER_NS;
}

/* Looked at twice ahead of that. */
static uint64_t look_due(const struct outpost_link *link)
{
    uint64_t part_ns = silence_ns(link) / 4;

    if (!link->joined)
        return CLOCK_NEVER;
    return link->looked_ns ? clock_after(link->looked_ns, part_ns) : clock_after(link->heard_ns, 2 * part_ns);
}

uint64_t outpost_link_deadline(const struct outpost_link *link)
{
    uint64_t lost_ns = clock_after(link->heard_ns, silence_ns(link)), look_ns = look_due(link);

    if (look_ns < lost_ns)
        lost_ns = look_ns;
    return link->joined && link->beat_ns < lost_ns ? link->beat_ns : lost_ns;
}

/* A message that takes long to come is heard as long as more of it comes; and what is behind one that takes
 * long to go, which the coordinator would answer, as long as more of that goes. */
static void look(struct outpost_link *link, uint64_t now_ns)
{
    struct wire_traffic now = wire_traffic(link->wire, -1, NULL);

    if (link->looked_ns &&
        (now.received > link->traffic.received || now.sent > link->traffic.sent + SENT_LEAST))
        link->heard_ns = now_ns;
    link->traffic = now;
    link->looked_ns = now_ns;
}

void outpost_link_beat(struct outpost_link *link, uint64_t now_ns)
{
    if (!link || !link->joined || now_ns < link->beat_ns)
        return;
    link->beat_ns = clock_after(now_ns, link->beat_ms * CLOCK_NS_PER_MS);
    outpost_link_send(link,
                      &(struct proto_message){.type = PROTO_BEAT, .beat = {.nonce = 0, .clock_ns = now_ns}});
}

int outpost_link_tick(struct outpost_link *link, uint64_t now_ns, struct muster_error *ret_error)
{
    if (now_ns >= look_due(link))
        look(link, now_ns);
    if (now_ns >= clock_after(link->heard_ns, silence_ns(link)))
        return link->joined
                   ? muster_error_set(ret_error, MUSTER_ELOST, "%s is silent", link->options->endpoint)
                   : explain_loss(link, ret_error);
    outpost_link_beat(link, now_ns);
    return 0;
}
