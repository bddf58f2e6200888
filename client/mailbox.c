/* SPDX-License-Identifier: MIT
 *
 * The caller's end of the connection to a coordinator. See mailbox.h.
 */
#include "client/mailbox.h"

#include <stdarg.h>
#include <stdio.h>

int mailbox_add(struct mailbox *mailbox, struct mail_route *route)
{
    route->ticket = ++mailbox->last_ticket;
    HASH_ADD(hh, mailbox->routes, ticket, sizeof route->ticket, route);
    return route->hh.tbl ? 0 : MUSTER_ENOMEM;
}

void mailbox_remove(struct mailbox *mailbox, struct mail_route *route)
{
    HASH_DEL(mailbox->routes, route);
}

void mailbox_lose(struct mailbox *mailbox, int code, const char *format, ...)
{
    char text[MUSTER_ERROR_TEXT_BYTES];
    va_list arguments;

    if (mailbox->lost.code != 0)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    muster_error_set(&mailbox->lost, code, "%s%s%s", mailbox->where, mailbox->where[0] ? ": " : "", text);
}

int mailbox_send(struct mailbox *mailbox, const struct proto_message *message)
{
    int code;

    if (mailbox->lost.code != 0)
        return mailbox->lost.code;
    code = wire_send(mailbox->wire, NULL, message);
    if (code != 0)
        mailbox_lose(mailbox, code, "cannot reach the coordinator: %s", muster_error_name(code));
    return code;
}

/* The batch that a message is about; 0: none. */
static uint64_t ticket_of(const struct proto_message *message)
{
    switch (message->type) {
    case PROTO_ERROR:
        return message->error.ticket;
    case PROTO_ACCEPTED:
        return message->accepted.ticket;
    case PROTO_GRANT:
        return message->grant.ticket;
    case PROTO_RESULTS:
        return message->results.ticket;
    case PROTO_ENDED:
        return message->ended.ticket;
    case PROTO_ARGUMENTS:
        return message->arguments.ticket;
    case PROTO_ATTACHED:
        return message->attached.ticket;
    case PROTO_ANSWER:
        return message->answer.ticket;
    case PROTO_HELLO:
    case PROTO_WELCOME:
    case PROTO_SUBMIT:
    case PROTO_SEAL:
    case PROTO_CONSUMED:
    case PROTO_CANCEL:
    case PROTO_CHUNK:
    case PROTO_RESULT:
    case PROTO_PING:
    case PROTO_PONG:
    case PROTO_STOP:
    case PROTO_RETURNED:
    case PROTO_ATTACH:
    case PROTO_DETACH:
    case PROTO_REQUEST:
    case PROTO_STANDING:
    case PROTO_KEPT:
    case PROTO_JOIN:
    case PROTO_JOINED:
    case PROTO_SPAWN:
    case PROTO_KILL:
    case PROTO_EXITED:
    case PROTO_BEAT:
        return 0;
    }
    return 0;
}

bool mailbox_refers(const struct mailbox *mailbox, const struct wire_frame *frame)
{
    return mailbox->mappings && frame->error.code == 0 && frame->message.type == PROTO_RESULTS &&
           frame->message.results.outcome.shared_bytes > 0 && frame->taken == 0;
}

void mailbox_release(const struct mailbox *mailbox, struct wire_frame *frame)
{
    const struct slice *payload = &frame->message.payload;

    if (mailbox_refers(mailbox, frame))
        shared_release(mailbox->mappings, slice_bytes(payload), payload->size);
    wire_frame_destroy(frame);
}

/* Takes the frame. What an earlier batch left behind is passed over. */
static void hand_over(struct mailbox *mailbox, struct wire_frame *frame)
{
    const struct proto_message *message = &frame->message;
    struct mail_route *route;
    uint64_t ticket;

    if (mailbox_refers(mailbox, frame)) /* at once: it can be read then whatever becomes of its owner */
        frame->taken = shared_take(mailbox->mappings, slice_bytes(&message->payload), message->payload.size);
    if (frame->error.code != 0) {
        mailbox_lose(mailbox, frame->error.code, "the coordinator sent %s", frame->error.text);
    } else if (mailbox->lost.code == 0) {
        ticket = ticket_of(message);
        HASH_FIND(hh, mailbox->routes, &ticket, sizeof ticket, route);
        if (route) {
            route->take(route, frame);
            return;
        }
        if (message->type == PROTO_ERROR && ticket == 0)
            mailbox_lose(mailbox, message->error.code, "%.*s", (int)message->error.text.size,
                         message->error.text.bytes);
    }
    mailbox_release(mailbox, frame);
}

bool mailbox_receive(struct mailbox *mailbox)
{
    struct wire_frame *frame;
    int code = wire_receive(mailbox->wire, &frame);

    if (code == 0)
        hand_over(mailbox, frame);
    else if (code == MUSTER_ELOST)
        mailbox_lose(mailbox, code, "the connection to the coordinator broke: it has ended");
    else if (code != MUSTER_EAGAIN)
        mailbox_lose(mailbox, code, "cannot hear the coordinator: %s", muster_error_name(code));
    return code == 0;
}
