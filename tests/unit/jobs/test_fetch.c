/* SPDX-License-Identifier: MIT
 *
 * Fetching, in fibers of a loop and where it blocks, from a server of this process that says what
 * it was asked to: fetches that wait together, one after the other, for ever, and in vain.
 * What servers do wrong: tests/integration/fetch.py.
 */
#include "base/clock.h"
#include "base/sanitize.h"
#include "jobs/fetch.h"
#include "jobs/loop.h"

#include "tests/support/check.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    MANY = SANITIZE_ADDRESS || SANITIZE_THREAD ? 50 : 200,
    IN_TURN = 500,
    LIMIT_MS = 60000,
};

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

static struct loop *loop;
static int listener;
static char url[64];

/* --- the server */

static void listen_on_loopback(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;

    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(listener, (struct sockaddr *)&address, size) == 0);
    CHECK(listen(listener, MANY) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&address, &size) == 0);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", (unsigned)ntohs(address.sin_port));
}

static int accept_one(void)
{
    struct pollfd item = {.fd = listener, .events = POLLIN};
    int connection;

    CHECK(poll(&item, 1, LIMIT_MS) == 1);
    connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    CHECK(connection >= 0);
    return connection;
}

/* Reads a request; false at the end of the connection. */
static bool read_request(int connection)
{
    char request[4096] = "";
    size_t size = 0;
    ssize_t got;

    while (!strstr(request, "\r\n\r\n")) {
        got = recv(connection, request + size, sizeof request - 1 - size, 0);
        if (got <= 0)
            return false;
        size += (size_t)got;
        request[size] = '\0';
    }
    return true;
}

static void send_answer(int connection)
{
    CHECK(send(connection, answer, sizeof answer - 1, MSG_NOSIGNAL) == (ssize_t)sizeof answer - 1);
}

/* Answers nobody before all have asked. */
static void *serve_all_together(void *context)
{
    int *connections = context;

    for (int i = 0; i < MANY; i++) {
        connections[i] = accept_one();
        CHECK(read_request(connections[i]));
    }
    for (int i = 0; i < MANY; i++) {
        send_answer(connections[i]);
        close(connections[i]);
    }
    return NULL;
}

/* Answers whoever comes on one connection, until it is closed. */
static void *serve_one_connection(void *context)
{
    int connection = accept_one(), *count = context;

    while (read_request(connection)) {
        send_answer(connection);
        ++*count;
    }
    close(connection);
    return NULL;
}

/* Serves two connections at once, one request each, then waits for their ends. */
static void *serve_two_connections(void *context)
{
    int connections[2];

    (void)context;
    for (int i = 0; i < 2; i++) {
        connections[i] = accept_one();
        CHECK(read_request(connections[i]));
        send_answer(connections[i]);
    }
    for (int i = 0; i < 2; i++) {
        CHECK(!read_request(connections[i]));
        close(connections[i]);
    }
    return NULL;
}

/* Takes a request, tells that through the pipe, and waits for the client to leave. */
static void *serve_nothing(void *context)
{
    int connection = accept_one(), *pipe_end = context;

    CHECK(read_request(connection));
    CHECK(write(*pipe_end, "", 1) == 1);
    CHECK(!read_request(connection));
    close(connection);
    return NULL;
}

/* --- fibers that fetch */

struct visitor {
    struct muster_fetch request;
    unsigned times;
    struct call_cancel cancel;
    struct call call;
    char body[16];
    size_t size;
    int code;
};

static int take(void *context, const void *bytes, size_t size)
{
    struct visitor *visitor = context;

    CHECK(visitor->size + size < sizeof visitor->body);
    memcpy(visitor->body + visitor->size, bytes, size);
    visitor->size += size;
    return 0;
}

static int refuse(void *context, const void *bytes, size_t size)
{
    (void)context;
    (void)bytes;
    (void)size;
    return -1;
}

static void run_visitor(struct fiber *fiber, void *context)
{
    struct visitor *visitor = context;

    loop_call_init(fiber, &visitor->call, NULL, &visitor->cancel, NULL);
    for (unsigned i = 0; i < visitor->times && visitor->code == 0; i++) {
        visitor->size = 0;
        visitor->request.status = 0;
        visitor->code = muster_call_fetch(&visitor->call.base, &visitor->request);
    }
}

static void start(struct visitor *visitor)
{
    visitor->request.context = visitor;
    if (!visitor->request.url)
        visitor->request.url = url;
    if (!visitor->request.on_body)
        visitor->request.on_body = take;
    if (visitor->times == 0)
        visitor->times = 1;
    CHECK(loop_start(loop, run_visitor, visitor) == 0);
}

static void finish(void)
{
    uint64_t limit_ns = clock_now_ns() + LIMIT_MS * CLOCK_NS_PER_MS;

    while (loop_fibers(loop) > 0) {
        CHECK(clock_now_ns() < limit_ns);
        loop_turn(loop, limit_ns);
    }
}

static void check_hello(const struct visitor *visitor)
{
    if (visitor->code != 0)
        fprintf(stderr, "%s\n", visitor->call.text);
    CHECK(visitor->code == 0);
    CHECK(visitor->request.status == 200);
    CHECK(visitor->size == 5 && memcmp(visitor->body, "hello", 5) == 0);
}

static void open_all(void)
{
    struct muster_error error;

    CHECK(loop_create(NULL, &loop, &error) == 0);
    listen_on_loopback();
}

static void close_all(void)
{
    loop_destroy(loop);
    close(listener);
}

static void fetches_wait_for_each_other(void)
{
    static struct visitor visitors[MANY];
    static int connections[MANY];
    pthread_t server;

    open_all();
    CHECK(pthread_create(&server, NULL, serve_all_together, connections) == 0);
    for (int i = 0; i < MANY; i++)
        start(&visitors[i]);
    finish();
    for (int i = 0; i < MANY; i++)
        check_hello(&visitors[i]);
    pthread_join(server, NULL);
    close_all();
}

static void fetch_does_not_use_the_connection_of_the_one_before(void)
{
    struct visitor visitor = {.times = IN_TURN};
    pthread_t server;
    int count = 0;

    open_all();
    CHECK(pthread_create(&server, NULL, serve_one_connection, &count) == 0);
    start(&visitor);
    finish();
    check_hello(&visitor);
    close_all(); /* and with it the connection */
    pthread_join(server, NULL);
    CHECK(count == IN_TURN);
}

static void cancelled_fetch_goes_on(void)
{
    struct visitor visitor = {.times = 1}, early = {.times = 1};
    pthread_t server;
    int ends[2];
    struct pollfd asked;

    open_all();
    CHECK(pipe(ends) == 0);
    asked = (struct pollfd){.fd = ends[0], .events = POLLIN};
    CHECK(pthread_create(&server, NULL, serve_nothing, &ends[1]) == 0);
    start(&visitor);
    while (poll(&asked, 1, 0) == 0)
        loop_turn(loop, clock_now_ns() + CLOCK_NS_PER_MS);
    CHECK(loop_fibers(loop) == 1);
    call_cancel_raise(&visitor.cancel);
    loop_cancelled(loop);
    call_cancel_raise(&early.cancel);
    start(&early);
    finish();
    CHECK(visitor.code == MUSTER_ECANCELLED);
    CHECK(early.code == MUSTER_ECANCELLED);
    pthread_join(server, NULL); /* the connection was closed */
    close(ends[0]);
    close(ends[1]);
    close_all();
}

static void time_limit_is_passed_over(void)
{
    struct visitor visitor = {.request = {.timeout_s = 0.1}};
    pthread_t server;
    int ends[2];

    open_all();
    CHECK(pipe(ends) == 0);
    CHECK(pthread_create(&server, NULL, serve_nothing, &ends[1]) == 0);
    start(&visitor);
    finish();
    CHECK(visitor.code == MUSTER_JOB_FAILED);
    CHECK(strstr(visitor.call.text, "no answer within 0.1 s"));
    pthread_join(server, NULL);
    close(ends[0]);
    close(ends[1]);
    close_all();
}

static void fetch_that_fails_takes_others_with_it(void)
{
    struct visitor refused = {.request = {.url = "http://127.0.0.1:1/"}},
                   wrong = {.request = {.url = "file:///etc/passwd"}},
                   unwilling = {.request = {.on_body = refuse}},
                   lost = {.request = {.url = "http://nohost.invalid/"}}, good = {.times = 1};
    pthread_t server;
    int count = 0;

    open_all();
    start(&refused);
    start(&wrong);
    start(&lost);
    finish();
    CHECK(pthread_create(&server, NULL, serve_one_connection, &count) == 0);
    start(&good);
    finish();
    start(&unwilling);
    finish();
    CHECK(refused.code == MUSTER_JOB_FAILED && strstr(refused.call.text, "Connection refused"));
    CHECK(wrong.code == MUSTER_JOB_FAILED && strstr(wrong.call.text, "not of \"file\""));
    CHECK(lost.code == MUSTER_JOB_FAILED && strstr(lost.call.text, "does not resolve"));
    CHECK(unwilling.code == MUSTER_JOB_FAILED && strstr(unwilling.call.text, "its body was refused"));
    check_hello(&good);
    close_all();
    pthread_join(server, NULL);
}

static void fetch_and_check(void)
{
    struct call_cancel cancel = {0};
    struct visitor visitor = {.request = {.url = url, .on_body = take, .context = &visitor}};

    call_init(&visitor.call, NULL, &cancel, NULL);
    visitor.code = fetch_blocking(&visitor.call.base, &visitor.request);
    check_hello(&visitor);
}

static void *fetch_fork_and_fetch(void *context)
{
    pid_t child;
    int status;

    (void)context;
    fetch_and_check();
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        fetch_and_check();
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return NULL;
}

/* On a thread: its connection is closed when it ends, which the server waits for. */
static void forked_child_uses_the_connection_of_its_parent(void)
{
    pthread_t server, client;

    listen_on_loopback();
    CHECK(pthread_create(&server, NULL, serve_two_connections, NULL) == 0);
    CHECK(pthread_create(&client, NULL, fetch_fork_and_fetch, NULL) == 0);
    pthread_join(client, NULL);
    pthread_join(server, NULL);
    close(listener);
}

int main(void)
{
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
    fetches_wait_for_each_other();
    fetch_does_not_use_the_connection_of_the_one_before();
    cancelled_fetch_goes_on();
    time_limit_is_passed_over();
    fetch_that_fails_takes_others_with_it();
    forked_child_uses_the_connection_of_its_parent();
    return 0;
}
