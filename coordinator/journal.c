/* SPDX-License-Identifier: MIT
 *
 * The lines of a coordinator's log. See journal.h.
 */
#include "coordinator/journal.h"

#include "base/log.h"
#include "coordinator/notify.h"

#include <inttypes.h>

void journal_client(const struct journal *journal, const char *name, const char *what)
{
    if (journal && journal->verbose)
        log_error("client %s %s", name, what);
}

static void say_ended(const char *name, const struct proto_ended *ended)
{
    char why[PROTO_TEXT_MAX + 3] = "";

    if (ended->code != 0)
        snprintf(why, sizeof why, ": %.*s", (int)ended->text.size, ended->text.bytes);
    log_error("client %s, ticket %" PRIu64 ": ended, %" PRIu64 " succeeded, %" PRIu64 " failed, %" PRIu64
              " cancelled%s",
              name, ended->ticket, ended->succeeded, ended->failed, ended->cancelled, why);
}

void journal_message(const struct journal *journal, const char *name, const struct proto_message *message)
{
    if (!journal || !journal->verbose)
        return;
    if (message->type == PROTO_ACCEPTED)
        log_error("client %s, ticket %" PRIu64 ": accepted as batch %" PRIu64, name, message->accepted.ticket,
                  message->accepted.batch);
    else if (message->type == PROTO_ENDED)
        say_ended(name, &message->ended);
    else if (message->type == PROTO_ERROR && message->error.ticket)
        log_error("client %s, ticket %" PRIu64 ": refused: %.*s", name, message->error.ticket,
                  (int)message->error.text.size, message->error.text.bytes);
}

void journal_found(const struct journal *journal, const char *name, const char *refused)
{
    if (journal && refused)
        log_error("%s of another life was ended: %s; its jobs run again", name, refused);
    else if (journal && journal->verbose)
        log_error("%s of another life is found", name);
}

void journal_host(const struct journal *journal, const char *name, const char *what)
{
    if (journal)
        log_error("host %s %s", name, what);
}

void journal_exit(const struct journal *journal, const struct worker_exit *exit)
{
    if (journal)
        log_error("worker %u %s%s", exit->slot, exit->killed ? "was ended here: " : "died: ", exit->reason);
}

void journal_spawn_failed(const struct journal *journal, const char *text)
{
    if (journal)
        log_error("%s", text);
}

void journal_stopping(const struct journal *journal, const char *why)
{
    if (!journal)
        return;
    notify_send("STOPPING=1\nSTATUS=ending");
    log_error("the coordinator ends: %s", why);
}
