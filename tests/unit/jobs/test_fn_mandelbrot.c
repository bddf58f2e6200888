/* SPDX-License-Identifier: MIT
 *
 * mandelbrot: known points, tiles that fit together, and tiles that are not in the picture.
 */
#include "rig.h"

#include <criterion/criterion.h>
#include <string.h>

enum { SIZE = 48, TILE = 16 };

TestSuite(mandelbrot, .init = rig_init, .fini = rig_fini);

static msgpack_object_kv members[6];

static msgpack_object tile(int64_t x, int64_t y, int64_t width, int64_t height, int64_t size)
{
    members[0] = (msgpack_object_kv)MEMBER("x", integer(x));
    members[1] = (msgpack_object_kv)MEMBER("y", integer(y));
    members[2] = (msgpack_object_kv)MEMBER("width", integer(width));
    members[3] = (msgpack_object_kv)MEMBER("height", integer(height));
    members[4] = (msgpack_object_kv)MEMBER("size", integer(size));
    return map(5, members);
}

static msgpack_object with(msgpack_object argument, const char *name, msgpack_object value)
{
    members[argument.via.map.size++] = (msgpack_object_kv)MEMBER(name, value);
    return argument;
}

static const uint8_t *draw(msgpack_object argument, size_t pixels)
{
    const msgpack_object_kv *member;

    cr_assert_eq(run("mandelbrot", argument), 0, "%s", rig.call.text);
    cr_assert_eq((int)rig.result.type, (int)MSGPACK_OBJECT_MAP);
    cr_assert_eq(rig.result.via.map.size, 5);
    member = &rig.result.via.map.ptr[4];
    cr_assert_eq(memcmp(member->key.via.str.ptr, "pixels", 6), 0);
    cr_assert_eq(member->val.via.bin.size, pixels);
    return (const uint8_t *)member->val.via.bin.ptr;
}

/* The one pixel of a picture around a point. */
static uint8_t point(double re, double im)
{
    msgpack_object argument = tile(0, 0, 1, 1, 1);
    msgpack_object_kv all[7];

    memcpy(all, members, 5 * sizeof *all);
    all[5] = (msgpack_object_kv)MEMBER("re", number(re));
    all[6] = (msgpack_object_kv)MEMBER("im", number(im));
    argument.via.map.ptr = all;
    argument.via.map.size = 7;
    return draw(argument, 1)[0];
}

Test(mandelbrot, known_point_on_the_wrong_side)
{
    cr_assert_eq(point(0, 0), 0);
    cr_assert_eq(point(-1, 0), 0);
    cr_assert_eq(point(-2, 0), 0); /* the tip: stays at 2 for ever */
    cr_assert_eq(point(0, 1), 0);
    cr_assert_eq(point(2.5, 0), 1); /* escapes at once */
    cr_assert_eq(point(1, 0), 3);   /* 1, 2, 5 */
    cr_assert_eq(point(0, 1.5), 2); /* 1.5i, -2.25 + 1.5i */
}

Test(mandelbrot, tiles_do_not_fit_together)
{
    uint8_t whole[SIZE * SIZE];
    const uint8_t *part;
    int x, y, row;

    memcpy(whole, draw(tile(0, 0, SIZE, SIZE, SIZE), SIZE * SIZE), sizeof whole);
    for (y = 0; y < SIZE; y += TILE)
        for (x = 0; x < SIZE; x += TILE) {
            part = draw(tile(x, y, TILE, TILE, SIZE), TILE * TILE);
            for (row = 0; row < TILE; row++)
                cr_assert_eq(memcmp(part + row * TILE, whole + (y + row) * SIZE + x, TILE), 0);
        }
}

Test(mandelbrot, upper_half_is_not_the_mirror_of_the_lower)
{
    const uint8_t *pixels = draw(tile(0, 0, SIZE, SIZE, SIZE), SIZE * SIZE);
    int row;

    for (row = 0; row < SIZE / 2; row++)
        cr_assert_eq(memcmp(pixels + row * SIZE, pixels + (SIZE - 1 - row) * SIZE, SIZE), 0);
}

Test(mandelbrot, tile_says_another_place_than_it_was_asked_for)
{
    static const char *const names[] = {"x", "y", "width", "height"};
    static const uint64_t values[] = {3, 4, 5, 6};
    size_t i;

    draw(tile(3, 4, 5, 6, SIZE), 30);
    for (i = 0; i < 4; i++) {
        cr_assert_eq(memcmp(rig.result.via.map.ptr[i].key.via.str.ptr, names[i], strlen(names[i])), 0);
        cr_assert_eq(rig.result.via.map.ptr[i].val.via.u64, values[i]);
    }
}

Test(mandelbrot, iterations_have_no_effect)
{
    cr_assert_eq(draw(with(tile(0, 0, 1, 1, 1), "iterations", integer(1)), 1)[0], 0);
    cr_assert_eq(point(1, 0), 3);
}

Test(mandelbrot, tile_outside_its_picture_is_refused)
{
    cr_assert_eq(run("mandelbrot", tile(SIZE - TILE, 0, TILE, TILE, SIZE)), 0);
    refuse("mandelbrot", tile(SIZE - TILE + 1, 0, TILE, TILE, SIZE), "mandelbrot takes {\"x\":X");
    refuse("mandelbrot", tile(0, SIZE - TILE + 1, TILE, TILE, SIZE), "not {\"x\":0,\"y\":33");
    refuse("mandelbrot", tile(-1, 0, TILE, TILE, SIZE), "\"x\":-1");
    refuse("mandelbrot", tile(0, 0, SIZE + 1, TILE, SIZE), "\"width\":49");
}

Test(mandelbrot, number_out_of_range_or_missing_is_refused)
{
    msgpack_object incomplete = tile(0, 0, 8, 8, 8);

    incomplete.via.map.size = 4;
    refuse("mandelbrot", incomplete, "not {\"x\":0,\"y\":0,\"width\":8,\"height\":8}");
    refuse("mandelbrot", tile(0, 0, 0, 8, 8), "\"width\":0");
    refuse("mandelbrot", tile(0, 0, 4097, 8, 5000), "\"width\":4097");
    refuse("mandelbrot", tile(0, 0, 8, 8, (1 << 20) + 1), "\"size\":1048577");
    refuse("mandelbrot", with(tile(0, 0, 8, 8, 8), "iterations", integer(0)), "\"iterations\":0");
    refuse("mandelbrot", with(tile(0, 0, 8, 8, 8), "span", number(0)), "\"span\":0.0");
    refuse("mandelbrot", with(tile(0, 0, 8, 8, 8), "colour", integer(1)), "\"colour\":1");
    refuse("mandelbrot", integer(1), "not 1");
}
