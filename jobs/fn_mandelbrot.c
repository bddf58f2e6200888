/* SPDX-License-Identifier: MIT
 *
 * mandelbrot: one tile of a square picture of the Mandelbrot set, a byte a pixel. Tiles cost
 * very different times, which shows how a model balances load. Compiled without fused
 * multiply-add, so that every machine draws the same pixels.
 * docs/examples/mandelbrot.py maps tiles and assembles them into a PNG file.
 */
#include "jobs/argument.h"
#include "jobs/builtin.h"
#include "jobs/result.h"

#include "base/error.h"

#include <string.h>

enum {
    SIZE_MAX_PIXELS = 1 << 20,
    TILE_MAX_PIXELS = 4096, /* a side: a result of at most 16 MiB */
    ITERATIONS_MAX = 65535,
};

struct tile {
    int64_t x, y, width, height; /* pixels of the picture, from its upper left corner */
    int64_t size;                /* of the picture, which is square */
    int64_t iterations;
    double re, im, span; /* the picture's centre and width in the complex plane */
};

static bool read_tile(const msgpack_object *argument, struct tile *ret_tile)
{
    enum { X, Y, WIDTH, HEIGHT, SIZE, ITERATIONS, RE, IM, SPAN, MEMBERS };
    static const char *const names[MEMBERS] = {"x",          "y",  "width", "height", "size",
                                               "iterations", "re", "im",    "span"};
    const msgpack_object *members[MEMBERS];
    struct tile tile = {.iterations = 255, .re = -0.5, .im = 0, .span = 3};

    if (!argument_members(argument, MEMBERS, names, members) || !members[X] || !members[Y] ||
        !members[WIDTH] || !members[HEIGHT] || !members[SIZE])
        return false;
    if (!argument_integer(members[SIZE], 1, SIZE_MAX_PIXELS, &tile.size) ||
        !argument_integer(members[WIDTH], 1, TILE_MAX_PIXELS, &tile.width) ||
        !argument_integer(members[HEIGHT], 1, TILE_MAX_PIXELS, &tile.height) ||
        !argument_integer(members[X], 0, tile.size - tile.width, &tile.x) ||
        !argument_integer(members[Y], 0, tile.size - tile.height, &tile.y))
        return false;
    if ((members[ITERATIONS] &&
         !argument_integer(members[ITERATIONS], 1, ITERATIONS_MAX, &tile.iterations)) ||
        (members[RE] && !argument_number(members[RE], -4, 4, &tile.re)) ||
        (members[IM] && !argument_number(members[IM], -4, 4, &tile.im)) ||
        (members[SPAN] && !argument_number(members[SPAN], 1e-13, 16, &tile.span)))
        return false;
    *ret_tile = tile;
    return true;
}

/* 0 when the point stays bounded, else 1 + its iterations modulo 255. */
static char point(double re, double im, int64_t iterations)
{
    double x = 0, y = 0, x_squared = 0, y_squared = 0;
    int64_t i;

    for (i = 0; i < iterations; i++) {
        y = 2 * x * y + im;
        x = x_squared - y_squared + re;
        x_squared = x * x;
        y_squared = y * y;
        if (x_squared + y_squared > 4)
            return (char)(uint8_t)(1 + i % 255);
    }
    return 0;
}

/* False when cancelled. */
static bool draw(muster_call *call, const struct tile *tile, char *pixels)
{
    double step = tile->span / (double)tile->size, middle = (double)tile->size / 2;
    int64_t row, column;

    for (row = 0; row < tile->height; row++) {
        double im = tile->im - ((double)(tile->y + row) + 0.5 - middle) * step;

        if (muster_call_cancelled(call))
            return false;
        muster_call_progress(call, (double)row / (double)tile->height);
        for (column = 0; column < tile->width; column++)
            *pixels++ =
                point(tile->re + ((double)(tile->x + column) + 0.5 - middle) * step, im, tile->iterations);
    }
    return true;
}

static int mandelbrot(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    enum { MEMBERS = 5 };
    msgpack_object_kv *members;
    msgpack_object pixels = {.type = MSGPACK_OBJECT_BIN};
    struct tile tile;
    char *bytes;

    if (!read_tile(argument, &tile))
        return argument_refuse(call, &function_mandelbrot, argument);
    members = muster_call_alloc(call, MEMBERS * sizeof *members);
    bytes = muster_call_alloc(call, (size_t)(tile.width * tile.height));
    if (!members || !bytes)
        return muster_call_fail(call, "out of memory for a tile");
    if (!draw(call, &tile, bytes))
        return MUSTER_ECANCELLED;
    pixels.via.bin.ptr = bytes;
    pixels.via.bin.size = (uint32_t)(tile.width * tile.height);
    members[0] = (msgpack_object_kv){result_text("x"), result_integer((uint64_t)tile.x)};
    members[1] = (msgpack_object_kv){result_text("y"), result_integer((uint64_t)tile.y)};
    members[2] = (msgpack_object_kv){result_text("width"), result_integer((uint64_t)tile.width)};
    members[3] = (msgpack_object_kv){result_text("height"), result_integer((uint64_t)tile.height)};
    members[4] = (msgpack_object_kv){result_text("pixels"), pixels};
    ret_result->type = MSGPACK_OBJECT_MAP;
    ret_result->via.map.size = MEMBERS;
    ret_result->via.map.ptr = members;
    return 0;
}

const muster_function function_mandelbrot = {
    .name = "mandelbrot",
    .summary = "a tile of a picture of the Mandelbrot set",
    .argument =
        "{\"x\":X,\"y\":Y,\"width\":W,\"height\":H,\"size\":S}: the W x H pixels (each 1 to 4096) at X, Y "
        "of a picture of S x S (1 to 1048576); with, if you like, \"re\" and \"im\", the picture's centre "
        "(-4 to 4, default -0.5 and 0), \"span\", its width (to 16, default 3), and \"iterations\" "
        "(1 to 65535, default 255)",
    .result = "{\"x\",\"y\",\"width\",\"height\",\"pixels\"}: a byte a pixel, row by row, 0 inside the set, "
              "else 1 + the "
              "iterations until the point escaped, modulo 255",
    .example = "{\"x\":0,\"y\":0,\"width\":64,\"height\":64,\"size\":256}",
    .run = mandelbrot,
};
