/* SPDX-License-Identifier: MIT
 *
 * The list of keys that are let in: what a line may be, and what is said of one that is none.
 */
#include "coordinator/allowed.h"

#include "coordinator/role.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_A "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define KEY_B "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"

struct notes {
    unsigned count, line;
    char why[200];
};

static void note(void *context, unsigned line, const char *why)
{
    struct notes *notes = context;

    notes->count++;
    notes->line = line;
    snprintf(notes->why, sizeof notes->why, "%s", why);
}

static struct allowed *parse(const char *text, struct notes *notes)
{
    struct allowed *allowed;

    *notes = (struct notes){.count = 0};
    cr_assert_eq(allowed_parse(text, strlen(text), note, notes, &allowed), 0);
    return allowed;
}

static struct curve_key key_of(const char *text)
{
    struct curve_key key;

    cr_assert(curve_read(text, strlen(text), &key));
    return key;
}

Test(allowed, lines_comments_and_blanks)
{
    struct curve_key a = key_of(KEY_A), b = key_of(KEY_B);
    const struct allowed_key *found;
    struct notes notes;
    struct allowed *allowed = parse(
        "# keys\n\n \t\r\n  " KEY_A "\tsubmit,work  alice # since May\r\n" KEY_B " admin b.o-b_@x+1", &notes);

    cr_assert_eq(notes.count, 0, "%s", notes.why);
    cr_assert_eq(allowed_count(allowed), 2);
    found = allowed_find(allowed, &a);
    cr_assert(found && found->roles == (ROLE_SUBMIT | ROLE_WORK) && strcmp(found->name, "alice") == 0);
    found = allowed_find(allowed, &b);
    cr_assert(found && found->roles == ROLE_ADMIN && strcmp(found->name, "b.o-b_@x+1") == 0);
    a.bytes[31] ^= 1;
    cr_assert_null(allowed_find(allowed, &a));
    allowed_destroy(allowed);
}

/* One that is wrong lets nobody in, and takes no other with it. */
Test(allowed, line_that_is_none_is_told_and_lets_nobody_in)
{
    static const struct {
        const char *line, *why;
    } wrong[] = {
        {"x", "64 hexadecimal digits"},
        {KEY_A "0 submit alice", "64 hexadecimal digits"},
        {"0011 submit alice", "64 hexadecimal digits"},
        {KEY_A, "its roles"},
        {KEY_A " alice", "its roles"},
        {KEY_A " submit,alice x", "its roles"},
        {KEY_A " submit", "a name"},
        {KEY_A " submit # alice", "a name"},
        {KEY_A " submit al/ice", "a name"},
        {KEY_A " submit 12345678901234567890123456789012345678901234567890123456789012345", "a name"},
        {KEY_A " submit alice admin", "nothing but a comment"},
        {KEY_B " admin bob", "line 1 already"},
    };

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct curve_key a = key_of(KEY_A);
        struct allowed *allowed;
        struct notes notes;
        char text[400];

        snprintf(text, sizeof text, KEY_B " submit bob\n%s\n", wrong[i].line);
        allowed = parse(text, &notes);
        cr_assert_eq(notes.count, 1, "%s", wrong[i].line);
        cr_assert_eq(notes.line, 2);
        cr_assert(strstr(notes.why, wrong[i].why), "'%s': %s", wrong[i].line, notes.why);
        cr_assert_eq(allowed_count(allowed), 1);
        cr_assert_null(allowed_find(allowed, &a));
        allowed_destroy(allowed);
    }
}

Test(allowed, bytes_that_are_no_text)
{
    static const char zeros[] = KEY_A "\0submit alice\n\0\0\n" KEY_B " submit\0 bob";
    struct notes notes = {.count = 0};
    struct allowed *allowed;

    cr_assert_eq(allowed_parse(zeros, sizeof zeros - 1, note, &notes, &allowed), 0);
    cr_assert_eq(notes.count, 3);
    cr_assert_eq(allowed_count(allowed), 0);
    allowed_destroy(allowed);
    allowed_destroy(NULL);
}

Test(allowed, keys_beyond_the_limit_are_not_taken)
{
    enum { MORE = ALLOWED_KEYS_MAX + 2, LINE = 80 };
    char *text = malloc(MORE * LINE);
    struct allowed *allowed;
    struct notes notes;
    size_t used = 0;

    for (unsigned i = 0; i < MORE; i++)
        used += (size_t)snprintf(text + used, LINE, "%064x submit n\n", i);
    allowed = parse(text, &notes);
    cr_assert_eq(allowed_count(allowed), ALLOWED_KEYS_MAX);
    cr_assert_eq(notes.count, 2);
    cr_assert(strstr(notes.why, "too many"));
    allowed_destroy(allowed);
    free(text);
}
