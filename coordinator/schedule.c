/* SPDX-License-Identifier: MIT
 *
 * Levels of priority, users in them, and their batches, each list in order of tags. See schedule.h.
 *
 * Who is served goes to about the end of its list, and is looked for a place from there; what is
 * corrected moves by little. So lists are long only in memory.
 */
#include "coordinator/schedule.h"

#include "base/error.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

static double later(double a, double b)
{
    return a > b ? a : b;
}

/* --- lists in order of tags */

/* Puts it behind all that are not later, which are looked for from `before` backwards. */
static void insert_behind(struct place **list, struct place *before, struct place *place)
{
    while (before && before->tag_ns > place->tag_ns)
        before = before == *list ? NULL : before->prev;
    if (before)
        DL_APPEND_ELEM(*list, before, place);
    else
        DL_PREPEND(*list, place);
}

static void insert(struct place **list, struct place *place)
{
    insert_behind(list, *list ? (*list)->prev : NULL, place);
}

/* Gives it another tag, and the place that goes with it. */
static void move(struct place **list, struct place *place, double tag_ns)
{
    struct place *before = place == *list ? NULL : place->prev, *next = place->next;

    place->tag_ns = tag_ns;
    if (before && before->tag_ns > tag_ns) {
        DL_DELETE(*list, place); /* NOLINT: it is not the first, for which this follows `next` */
        insert_behind(list, before, place);
    } else if (next && next->tag_ns < tag_ns) {
        DL_DELETE(*list, place);
        insert(list, place);
    }
}

/* --- levels and users */

static void forget(struct level *level, struct sharer *user)
{
    if (user->idle) {
        DL_DELETE(level->idle, &user->place);
        level->idle_count--;
    }
    HASH_DEL(level->by_name, user); /* NOLINT: it is in the table */
    free(user);
}

static void destroy_level(struct schedule *schedule, struct level *level)
{
    struct sharer *user, *next;

    HASH_ITER(hh, level->by_name, user, next)
        forget(level, user);
    DL_DELETE(schedule->levels, level);
    free(level);
}

void schedule_fini(struct schedule *schedule)
{
    while (schedule->levels)
        destroy_level(schedule, schedule->levels);
}

static struct level *find_level(struct schedule *schedule, int priority)
{
    struct level *before = NULL, *level = schedule->levels;

    for (; level && level->priority >= priority; level = level->next) {
        if (level->priority == priority)
            return level;
        before = level;
    }
    level = calloc(1, sizeof *level);
    if (!level)
        return NULL;
    level->priority = priority;
    if (before)
        DL_APPEND_ELEM(schedule->levels, before, level);
    else
        DL_PREPEND(schedule->levels, level);
    return level;
}

static struct sharer *find_user(struct level *level, const char *name)
{
    size_t length = strnlen(name, PROTO_USER_MAX);
    struct sharer *user;

    HASH_FIND(hh, level->by_name, name, length, user);
    if (user)
        return user;
    user = calloc(1, sizeof *user);
    if (!user)
        return NULL;
    user->level = level;
    memcpy(user->name, name, length);
    HASH_ADD_KEYPTR(hh, level->by_name, user->name, length, user);
    if (!user->hh.tbl) {
        free(user);
        return NULL;
    }
    return user;
}

/* Those that the others have caught up with are as good as new, and so is the one that is the least
 * ahead of too many. */
static void forget_idle(struct level *level)
{
    while (level->idle && (level->idle->tag_ns <= level->now_ns || level->idle_count > SCHEDULE_IDLE_MAX)) {
        struct sharer *user = (struct sharer *)level->idle;

        assert(user->idle);
        forget(level, user);
    }
}

int schedule_join(struct schedule *schedule, int priority, const char *name, unsigned kind, struct turn *turn)
{
    struct level *level = find_level(schedule, priority);
    struct sharer *user = level ? find_user(level, name) : NULL;

    if (!user) {
        if (level && level->joined == 0)
            destroy_level(schedule, level);
        return MUSTER_ENOMEM;
    }
    if (user->idle) {
        DL_DELETE(level->idle, &user->place);
        level->idle_count--;
        user->idle = false;
    }
    forget_idle(level);
    level->joined++;
    user->joined++;
    *turn = (struct turn){.user = user, .kind = kind};
    return 0;
}

void schedule_leave(struct schedule *schedule, struct turn *turn)
{
    struct sharer *user = turn->user;
    struct level *level;

    if (!user)
        return;
    level = user->level;
    schedule_park(turn);
    *turn = (struct turn){.user = NULL};
    user->joined--;
    level->joined--;
    if (level->joined == 0) {
        destroy_level(schedule, level); /* nobody is left to be ahead of */
    } else if (user->joined == 0) {
        user->idle = true;
        insert(&level->idle, &user->place);
        level->idle_count++;
        forget_idle(level);
    }
}

/* --- turns */

static bool has_turns(const struct sharer *user)
{
    for (unsigned kind = 0; kind < SCHEDULE_KINDS; kind++)
        if (user->turns[kind])
            return true;
    return false;
}

void schedule_wake(struct turn *turn)
{
    struct sharer *user = turn->user;

    if (!user || turn->waits)
        return;
    if (!has_turns(user)) {
        user->place.tag_ns = later(user->place.tag_ns, user->level->now_ns);
        insert(&user->level->users, &user->place);
    }
    turn->waits = true;
    turn->placed = ++user->placed;
    turn->place.tag_ns = later(turn->place.tag_ns, user->now_ns);
    insert(&user->turns[turn->kind], &turn->place);
}

void schedule_park(struct turn *turn)
{
    struct sharer *user = turn->user;

    if (!user || !turn->waits)
        return;
    turn->waits = false;
    DL_DELETE(user->turns[turn->kind], &turn->place);
    if (!has_turns(user))
        DL_DELETE(user->level->users, &user->place);
}

void schedule_begin(struct schedule *schedule)
{
    schedule->pass++;
    memset(schedule->over, 0, sizeof schedule->over);
}

void schedule_pass_over_all(struct schedule *schedule, unsigned kind)
{
    schedule->over[kind] = true;
}

/* The first of the kind that was not passed over. */
static struct turn *first_of(const struct schedule *schedule, const struct sharer *user, unsigned kind)
{
    struct place *place;

    DL_FOREACH(user->turns[kind], place)
        if (((struct turn *)place)->passed != schedule->pass)
            return (struct turn *)place;
    return NULL;
}

static bool is_ahead(const struct turn *a, const struct turn *b)
{
    if (a->place.tag_ns != b->place.tag_ns)
        return a->place.tag_ns < b->place.tag_ns;
    return a->placed < b->placed;
}

static struct turn *pick_of(const struct schedule *schedule, const struct sharer *user)
{
    struct turn *best = NULL, *turn;

    for (unsigned kind = 0; kind < SCHEDULE_KINDS; kind++) {
        turn = schedule->over[kind] ? NULL : first_of(schedule, user, kind);
        if (turn && (!best || is_ahead(turn, best)))
            best = turn;
    }
    return best;
}

struct turn *schedule_pick(const struct schedule *schedule)
{
    const struct level *level;
    const struct place *user;
    struct turn *turn;

    DL_FOREACH(schedule->levels, level)
        DL_FOREACH(level->users, user)
            if ((turn = pick_of(schedule, (const struct sharer *)user)) != NULL)
                return turn;
    return NULL;
}

void schedule_pass_over(struct schedule *schedule, struct turn *turn)
{
    turn->passed = schedule->pass;
}

void schedule_serve(struct turn *turn, double expected_ns)
{
    struct sharer *user = turn->user;

    user->level->now_ns = later(user->level->now_ns, user->place.tag_ns);
    user->now_ns = later(user->now_ns, turn->place.tag_ns);
    schedule_correct(turn, expected_ns);
}

void schedule_correct(struct turn *turn, double more_ns)
{
    struct sharer *user = turn->user;

    if (!user)
        return;
    if (has_turns(user))
        move(&user->level->users, &user->place, user->place.tag_ns + more_ns);
    else
        user->place.tag_ns += more_ns;
    turn->placed = ++user->placed;
    if (turn->waits)
        move(&user->turns[turn->kind], &turn->place, turn->place.tag_ns + more_ns);
    else
        turn->place.tag_ns += more_ns;
}
