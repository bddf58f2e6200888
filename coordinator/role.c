/* SPDX-License-Identifier: MIT
 *
 * What each role may say. See role.h.
 */
#include "coordinator/role.h"

#include <string.h>

enum { CLIENTS = ROLE_SUBMIT | ROLE_ADMIN };

static bool find_word(const char *text, size_t size, unsigned *ret_role)
{
    static const struct {
        const char *word;
        unsigned role;
    } words[] = {
#define X(name, word, bit) {word, bit},
        ROLE_MAP(X)
#undef X
    };

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i].word) == size && memcmp(words[i].word, text, size) == 0) {
            *ret_role = words[i].role;
            return true;
        }
    return false;
}

bool role_read(const char *text, size_t size, unsigned *ret_roles)
{
    unsigned roles = 0, role;

    for (;;) {
        const char *comma = memchr(text, ',', size);
        size_t word = comma ? (size_t)(comma - text) : size;

        if (!find_word(text, word, &role) || roles & role)
            return false;
        roles |= role;
        if (!comma)
            break;
        text += word + 1;
        size -= word + 1;
    }
    *ret_roles = roles;
    return true;
}

/* Who may ask for what. What is about a batch is, for those that are confined, about their own. */
static unsigned askers(enum proto_operation operation)
{
    switch (operation) {
    case PROTO_REQUEST_STATUS:
    case PROTO_REQUEST_BATCHES:
    case PROTO_REQUEST_CANCEL:
    case PROTO_REQUEST_RETRY:
    case PROTO_REQUEST_FORGET:
        return CLIENTS;
    case PROTO_REQUEST_WORKERS:
    case PROTO_REQUEST_SCALE:
    case PROTO_REQUEST_DRAIN:
    case PROTO_REQUEST_STOP:
        return ROLE_ADMIN;
    }
    return 0;
}

/* Who may send what; what a coordinator sends, nobody. */
static unsigned senders(const struct proto_message *message)
{
    switch (message->type) {
    case PROTO_HELLO:
        return message->hello.role == PROTO_WORKER ? ROLE_WORK : CLIENTS;
    case PROTO_REQUEST:
        return askers(message->request.operation);
    case PROTO_SUBMIT:
    case PROTO_ARGUMENTS:
    case PROTO_SEAL:
    case PROTO_CONSUMED:
    case PROTO_CANCEL:
    case PROTO_ATTACH:
    case PROTO_DETACH:
        return CLIENTS;
    case PROTO_STOP: /* it leaves */
        return CLIENTS | ROLE_WORK;
    case PROTO_RESULT:
    case PROTO_PONG:
    case PROTO_RETURNED:
    case PROTO_STANDING:
    case PROTO_JOIN:
    case PROTO_EXITED:
    case PROTO_BEAT:
        return ROLE_WORK;
    case PROTO_WELCOME:
    case PROTO_ERROR:
    case PROTO_ACCEPTED:
    case PROTO_GRANT:
    case PROTO_RESULTS:
    case PROTO_ENDED:
    case PROTO_CHUNK:
    case PROTO_PING:
    case PROTO_ATTACHED:
    case PROTO_ANSWER:
    case PROTO_KEPT:
    case PROTO_JOINED:
    case PROTO_SPAWN:
    case PROTO_KILL:
        return 0;
    }
    return 0;
}

bool role_may(unsigned roles, const struct proto_message *message)
{
    return roles & senders(message);
}

bool role_is_of_worker(const struct proto_message *message)
{
    return senders(message) == ROLE_WORK && message->type != PROTO_HELLO;
}

bool role_is_confined(unsigned roles)
{
    return !(roles & ROLE_ADMIN);
}
