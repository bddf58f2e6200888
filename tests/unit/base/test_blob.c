/* SPDX-License-Identifier: MIT
 *
 * Reference counts of blobs, also from several threads: the last owner frees, once. A plain
 * executable, so that the thread sanitizer sees it; the address sanitizer sees the leaks.
 */
#include "base/blob.h"

#include "tests/support/check.h"

#include <pthread.h>
#include <string.h>

enum { THREADS = 4, ROUNDS = 20000 };

static _Atomic unsigned freed;

static void count_free(struct blob *blob)
{
    (void)blob;
    freed++;
}

static void *use(void *context)
{
    struct blob *blob = context;
    unsigned sum = 0;

    for (int i = 0; i < ROUNDS; i++) {
        struct blob *mine = blob_ref(blob);

        sum += mine->bytes[i % mine->size];
        blob_unref(mine);
    }
    blob_unref(blob);
    return sum ? NULL : context;
}

static void last_of_many_threads_frees_once(void)
{
    static const char bytes[] = "shared";
    struct blob blob;
    pthread_t threads[THREADS];

    freed = 0;
    blob_init(&blob, bytes, sizeof bytes, count_free);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, use, blob_ref(&blob)) == 0);
    blob_unref(&blob);
    for (int i = 0; i < THREADS; i++) {
        void *wrong;

        CHECK(pthread_join(threads[i], &wrong) == 0);
        CHECK(!wrong);
    }
    CHECK(freed == 1);
}

static void writes_before_the_last_unref_are_seen_by_whoever_frees(void)
{
    for (int i = 0; i < 200; i++) {
        struct blob *blob = blob_copy("abc", 3);
        pthread_t thread;

        CHECK(blob);
        CHECK(pthread_create(&thread, NULL, use, blob_ref(blob)) == 0);
        CHECK(memcmp(blob->bytes, "abc", 3) == 0);
        blob_unref(blob);
        CHECK(pthread_join(thread, NULL) == 0);
    }
}

static void reference_keeps_the_bytes(void)
{
    struct blob blob;

    freed = 0;
    blob_init(&blob, "x", 1, count_free);
    CHECK(blob_ref(&blob) == &blob);
    blob_unref(&blob);
    CHECK(freed == 0);
    blob_unref(&blob);
    CHECK(freed == 1);
}

static void copy_does_not_follow_its_origin(void)
{
    char origin[] = "abc";
    struct blob *blob = blob_copy(origin, sizeof origin);

    CHECK(blob);
    origin[0] = 'z';
    CHECK(blob->size == sizeof origin);
    CHECK(memcmp(blob->bytes, "abc", sizeof origin) == 0);
    blob_unref(blob);
}

static void taken_bytes_are_not_copied(void)
{
    char *bytes = strdup("mine");
    struct blob *blob;

    CHECK(bytes);
    blob = blob_take(bytes, 4);
    CHECK(blob && (const char *)blob->bytes == bytes && blob->size == 4);
    blob_unref(blob);
}

static void empty_blobs_live_and_die(void)
{
    struct blob *taken = blob_take(NULL, 0), *copied = blob_copy(NULL, 0);

    CHECK(taken && taken->size == 0);
    CHECK(copied && copied->size == 0);
    blob_unref(taken);
    blob_unref(copied);
    blob_unref(NULL);
}

static void slice_starts_at_its_offset_and_an_empty_one_nowhere(void)
{
    struct blob *blob = blob_copy("0123", 4);
    struct slice part = {.blob = blob, .offset = 2, .size = 2}, none = {0};

    CHECK(blob);
    CHECK(memcmp(slice_bytes(&part), "23", 2) == 0);
    CHECK(slice_bytes(&none) == NULL);
    blob_unref(blob);
}

int main(void)
{
    reference_keeps_the_bytes();
    copy_does_not_follow_its_origin();
    taken_bytes_are_not_copied();
    empty_blobs_live_and_die();
    slice_starts_at_its_offset_and_an_empty_one_nowhere();
    last_of_many_threads_frees_once();
    writes_before_the_last_unref_are_seen_by_whoever_frees();
    return 0;
}
