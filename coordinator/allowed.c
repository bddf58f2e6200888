/* SPDX-License-Identifier: MIT
 *
 * The list of keys that are let in. See allowed.h.
 */
#include "coordinator/allowed.h"

#include "coordinator/role.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

struct entry {
    struct allowed_key key;
    unsigned line;
    UT_hash_handle hh; /* by key.key */
};

struct allowed {
    struct entry *entries; /* owned */
};

/* --- lines */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next word of *text, which goes behind it. */
static size_t next_word(const char **text, size_t *size, const char **ret_word)
{
    size_t length = 0;

    while (*size > 0 && is_blank(**text)) {
        ++*text;
        --*size;
    }
    *ret_word = *text;
    while (length < *size && !is_blank((*text)[length]))
        length++;
    *text += length;
    *size -= length;
    return length;
}

/* It is shown in tables, and a word of a filter: letters, digits and . _ - @ + alone. */
static bool is_name(const char *word, size_t size)
{
    static const char signs[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@+";

    for (size_t i = 0; i < size; i++)
        if (!memchr(signs, word[i], sizeof signs - 1))
            return false;
    return size > 0 && size <= PROTO_USER_MAX;
}

const char *allowed_read_line(const char *text, size_t size, struct allowed_key *ret_key)
{
    struct allowed_key key = {.roles = 0};
    const char *word;
    size_t length = next_word(&text, &size, &word);

    if (!curve_read(word, length, &key.key))
        return "it does not begin with a key, 64 hexadecimal digits";
    length = next_word(&text, &size, &word);
    if (!role_read(word, length, &key.roles))
        return "behind the key stand its roles, joined by commas: submit, work, admin";
    length = next_word(&text, &size, &word);
    if (!is_name(word, length))
        return "behind the roles stands a name, of up to 64 letters, digits and . _ - @ +";
    memcpy(key.name, word, length);
    length = next_word(&text, &size, &word);
    if (length > 0 && word[0] != '#')
        return "behind the name stands nothing but a comment, which begins with #";
    *ret_key = key;
    return NULL;
}

/* --- the list */

static struct entry *find(const struct allowed *allowed, const struct curve_key *key)
{
    struct entry *entry;

    HASH_FIND(hh, allowed->entries, key->bytes, sizeof key->bytes, entry);
    return entry;
}

/* 0 or MUSTER_ENOMEM. */
static int add(struct allowed *allowed, const struct allowed_key *key, unsigned line)
{
    struct entry *entry = calloc(1, sizeof *entry);

    if (!entry)
        return MUSTER_ENOMEM;
    entry->key = *key;
    entry->line = line;
    HASH_ADD_KEYPTR(hh, allowed->entries, entry->key.key.bytes, sizeof entry->key.key.bytes, entry);
    if (entry->hh.tbl)
        return 0;
    free(entry);
    return MUSTER_ENOMEM;
}

/* 0 or MUSTER_ENOMEM. */
static int take_line(struct allowed *allowed, const char *text, size_t size, unsigned line,
                     allowed_note *note, void *context)
{
    const char *rest = text, *word, *why;
    size_t left = size, length = next_word(&rest, &left, &word);
    const struct entry *before;
    struct allowed_key key;
    char twice[64];

    if (length == 0 || word[0] == '#')
        return 0;
    why = allowed_read_line(text, size, &key);
    before = why ? NULL : find(allowed, &key.key);
    if (before) {
        snprintf(twice, sizeof twice, "its key stands in line %u already", before->line);
        why = twice;
    } else if (!why && HASH_COUNT(allowed->entries) == ALLOWED_KEYS_MAX) {
        why = "there are too many keys: 4096 at most";
    }
    if (!why)
        return add(allowed, &key, line);
    note(context, line, why);
    return 0;
}

int allowed_parse(const char *text, size_t size, allowed_note *note, void *context,
                  struct allowed **ret_allowed)
{
    struct allowed *allowed = calloc(1, sizeof *allowed);
    int result = allowed ? 0 : MUSTER_ENOMEM;

    for (unsigned line = 1; result == 0 && size > 0; line++) {
        const char *end = memchr(text, '\n', size);
        size_t length = end ? (size_t)(end - text) : size;

        result = take_line(allowed, text, length, line, note, context);
        text += length + (end != NULL);
        size -= length + (end != NULL);
    }
    if (result != 0)
        allowed_destroy(allowed);
    else
        *ret_allowed = allowed;
    return result;
}

const struct allowed_key *allowed_find(const struct allowed *allowed, const struct curve_key *key)
{
    const struct entry *entry = find(allowed, key);

    return entry ? &entry->key : NULL;
}

unsigned allowed_count(const struct allowed *allowed)
{
    return HASH_COUNT(allowed->entries);
}

void allowed_destroy(struct allowed *allowed)
{
    struct entry *entry, *next;

    if (!allowed)
        return;
    HASH_ITER(hh, allowed->entries, entry, next) {
        HASH_DEL(allowed->entries, entry);
        free(entry);
    }
    free(allowed);
}
