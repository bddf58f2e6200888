/* SPDX-License-Identifier: MIT
 *
 * What each role may say: all of it.
 */
#include "coordinator/role.h"

#include "proto/codec.h"

#include <criterion/criterion.h>
#include <string.h>

enum { CLIENTS = ROLE_SUBMIT | ROLE_ADMIN, EVERYBODY = ROLE_SUBMIT | ROLE_WORK | ROLE_ADMIN };

/* Each of the 8 sets of roles may send the message exactly if one of these is in it. */
static void check(const struct proto_message *message, unsigned allowed, const char *what)
{
    for (unsigned roles = 0; roles <= EVERYBODY; roles++)
        cr_assert_eq(role_may(roles, message), (roles & allowed) != 0, "%s, roles %u", what, roles);
}

Test(role, messages_each_role_may_send)
{
    static const struct {
        enum proto_type type;
        unsigned allowed;
    } rows[] = {
        {PROTO_WELCOME, 0},
        {PROTO_ERROR, 0},
        {PROTO_SUBMIT, CLIENTS},
        {PROTO_ACCEPTED, 0},
        {PROTO_ARGUMENTS, CLIENTS},
        {PROTO_SEAL, CLIENTS},
        {PROTO_GRANT, 0},
        {PROTO_RESULTS, 0},
        {PROTO_CONSUMED, CLIENTS},
        {PROTO_ENDED, 0},
        {PROTO_CANCEL, CLIENTS},
        {PROTO_CHUNK, 0},
        {PROTO_RESULT, ROLE_WORK},
        {PROTO_PING, 0},
        {PROTO_PONG, ROLE_WORK},
        {PROTO_STOP, CLIENTS | ROLE_WORK},
        {PROTO_RETURNED, ROLE_WORK},
        {PROTO_ATTACH, CLIENTS},
        {PROTO_ATTACHED, 0},
        {PROTO_DETACH, CLIENTS},
        {PROTO_ANSWER, 0},
        {PROTO_STANDING, ROLE_WORK},
        {PROTO_KEPT, 0},
        {PROTO_JOIN, ROLE_WORK},
        {PROTO_JOINED, 0},
        {PROTO_SPAWN, 0},
        {PROTO_KILL, 0},
        {PROTO_EXITED, ROLE_WORK},
        {PROTO_BEAT, ROLE_WORK},
    };
    size_t count = 2; /* HELLO and REQUEST are below */

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++, count++) {
        const struct proto_message message = {.type = rows[i].type};

        check(&message, rows[i].allowed, proto_type_name(rows[i].type));
        cr_assert_eq(role_is_of_worker(&message), rows[i].allowed == ROLE_WORK);
    }
#define X(name, number) count--;
    PROTO_TYPE_MAP(X)
#undef X
    cr_assert_eq(count, 0, "every message is in the table");
    check(&(struct proto_message){.type = PROTO_HELLO, .hello.role = PROTO_CLIENT}, CLIENTS,
          "a client's HELLO");
    check(&(struct proto_message){.type = PROTO_HELLO, .hello.role = PROTO_WORKER}, ROLE_WORK,
          "a worker's HELLO");
}

Test(role, requests_each_role_may_make)
{
    static const struct {
        enum proto_operation operation;
        unsigned allowed;
    } rows[] = {
        {PROTO_REQUEST_STATUS, CLIENTS},     {PROTO_REQUEST_BATCHES, CLIENTS},
        {PROTO_REQUEST_WORKERS, ROLE_ADMIN}, {PROTO_REQUEST_CANCEL, CLIENTS},
        {PROTO_REQUEST_RETRY, CLIENTS},      {PROTO_REQUEST_FORGET, CLIENTS},
        {PROTO_REQUEST_SCALE, ROLE_ADMIN},   {PROTO_REQUEST_DRAIN, ROLE_ADMIN},
        {PROTO_REQUEST_STOP, ROLE_ADMIN},
    };
    size_t count = 0;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++, count++)
        check(&(struct proto_message){.type = PROTO_REQUEST, .request.operation = rows[i].operation},
              rows[i].allowed, "a request");
#define X(name, number) count--;
    PROTO_OPERATION_MAP(X)
#undef X
    cr_assert_eq(count, 0, "every operation is in the table");
    check(&(struct proto_message){.type = PROTO_REQUEST, .request.operation = (enum proto_operation)99}, 0,
          "an operation that there is not");
}

Test(role, who_has_no_admins_role_is_confined)
{
    cr_assert(role_is_confined(0) && role_is_confined(ROLE_SUBMIT) &&
              role_is_confined(ROLE_SUBMIT | ROLE_WORK));
    cr_assert(!role_is_confined(ROLE_ADMIN) && !role_is_confined(EVERYBODY));
}

Test(role, words_of_roles)
{
    static const char *const none[] = {
        "",       ",",    "submit,", ",submit",    "submit,,work", "submit,submit",
        "Submit", "admi", "admins",  "submit work"};
    unsigned roles = 77;

    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        cr_assert(!role_read(none[i], strlen(none[i]), &roles), "'%s'", none[i]);
        cr_assert_eq(roles, 77);
    }
    cr_assert(role_read("submit", 6, &roles) && roles == ROLE_SUBMIT);
    cr_assert(role_read("admin,work,submit", 17, &roles) && roles == EVERYBODY);
}
