/* SPDX-License-Identifier: MIT
 *
 * That two messages are the same, field by field.
 */
#include "golden.h"

#include <criterion/criterion.h>
#include <string.h>

#define SAME(field) cr_assert_eq(a->field, b->field, "%s: " #field, name)

static void assert_same_text(const char *name, struct proto_text a, struct proto_text b)
{
    cr_assert_eq(a.size, b.size, "%s: size of a text", name);
    cr_assert(a.size == 0 || memcmp(a.bytes, b.bytes, a.size) == 0, "%s: text", name);
}

static void assert_same_outcome(const char *name, const struct proto_outcome *a,
                                const struct proto_outcome *b)
{
    SAME(first);
    SAME(count);
    SAME(attempt);
    SAME(arrived_ns);
    SAME(began_ns);
    SAME(reported_ns);
    SAME(split);
    SAME(decode_ns);
    SAME(execute_ns);
    SAME(encode_ns);
    SAME(cpu_ns);
    SAME(shared_bytes);
    SAME(failure_count);
    for (uint32_t i = 0; i < a->failure_count; i++) {
        SAME(failures[i].index);
        SAME(failures[i].code);
        SAME(failures[i].valued);
        assert_same_text(name, a->failures[i].text, b->failures[i].text);
    }
    cr_assert_eq(!a->timings, !b->timings, "%s: timings", name);
    for (uint32_t i = 0; a->timings && i < PROTO_TIMINGS * a->count; i++)
        SAME(timings[i]);
}

static void assert_same_ended(const char *name, const struct proto_ended *a, const struct proto_ended *b)
{
    SAME(ticket);
    SAME(code);
    SAME(succeeded);
    SAME(failed);
    SAME(cancelled);
    SAME(retried);
    SAME(crashes);
    SAME(late);
    SAME(chunks);
    SAME(bytes_in);
    SAME(bytes_out);
    SAME(execute_ns);
    SAME(cpu_ns);
    SAME(process_cpu_ns);
    SAME(voluntary);
    SAME(involuntary);
    assert_same_text(name, a->text, b->text);
}

static void assert_same_submit(const char *name, const struct proto_submit *a, const struct proto_submit *b)
{
    SAME(ticket);
    assert_same_text(name, a->function, b->function);
    SAME(kind);
    SAME(first);
    SAME(last);
    SAME(chunk_jobs);
    SAME(timeout_ms);
    SAME(retries);
    SAME(crash_limit);
    SAME(timings);
    SAME(shared);
    SAME(window_bytes);
    SAME(count);
    SAME(keep);
    SAME(hold);
    SAME(attach);
    SAME(ordered);
    assert_same_text(name, a->name, b->name);
    SAME(priority);
    SAME(most_running);
    SAME(cpus);
    SAME(memory_bytes);
    SAME(begin_ms);
    SAME(backoff_ms);
    SAME(after_count);
    for (uint32_t i = 0; i < a->after_count; i++) {
        SAME(after[i].batch);
        SAME(after[i].condition);
    }
    assert_same_text(name, a->common, b->common);
}

static void assert_same_chunk(const char *name, const struct proto_chunk *a, const struct proto_chunk *b)
{
    SAME(batch);
    SAME(chunk);
    assert_same_text(name, a->function, b->function);
    SAME(first);
    SAME(count);
    SAME(attempt);
    SAME(timeout_ms);
    SAME(timings);
    SAME(reader);
    SAME(shared_bytes);
    SAME(kind);
    SAME(argument);
    assert_same_text(name, a->common, b->common);
}

static void assert_same_greeting(const char *name, const struct proto_message *a,
                                 const struct proto_message *b)
{
    if (a->type == PROTO_WELCOME) {
        SAME(welcome.version);
        SAME(welcome.workers);
        SAME(welcome.host);
        SAME(welcome.keeps);
        SAME(welcome.epoch);
        return;
    }
    SAME(hello.version);
    SAME(hello.role);
    SAME(hello.pid);
    SAME(hello.credit);
    SAME(hello.concurrency);
    assert_same_text(name, a->hello.software, b->hello.software);
    assert_same_text(name, a->hello.user, b->hello.user);
    SAME(hello.standing);
}

static void assert_same_attachment(const char *name, const struct proto_message *a,
                                   const struct proto_message *b)
{
    if (a->type == PROTO_ATTACH) {
        SAME(attach.ticket);
        SAME(attach.batch);
        SAME(attach.first);
        SAME(attach.ordered);
        SAME(attach.follow);
        SAME(attach.arguments);
        SAME(attach.results);
        SAME(attach.window_bytes);
        return;
    }
    SAME(attached.ticket);
    SAME(attached.batch);
    assert_same_text(name, a->attached.function, b->attached.function);
    SAME(attached.kind);
    SAME(attached.first);
    SAME(attached.last);
    SAME(attached.total);
    SAME(attached.sealed);
}

static void assert_same_question(const char *name, const struct proto_message *a,
                                 const struct proto_message *b)
{
    if (a->type == PROTO_REQUEST) {
        SAME(request.ticket);
        SAME(request.operation);
        SAME(request.batch);
        SAME(request.number);
        assert_same_text(name, a->request.text, b->request.text);
        return;
    }
    SAME(answer.ticket);
    SAME(answer.code);
    SAME(answer.more);
    assert_same_text(name, a->answer.text, b->answer.text);
}

/* Messages of a few numbers. */
static void assert_same_small(const char *name, const struct proto_message *a, const struct proto_message *b)
{
    if (a->type == PROTO_ACCEPTED) {
        SAME(accepted.ticket);
        SAME(accepted.batch);
    } else if (a->type == PROTO_ARGUMENTS) {
        SAME(arguments.ticket);
        SAME(arguments.first);
        SAME(arguments.count);
        SAME(arguments.shared_bytes);
    } else if (a->type == PROTO_SEAL) {
        SAME(seal.ticket);
        SAME(seal.total);
    } else if (a->type == PROTO_GRANT) {
        SAME(grant.ticket);
        SAME(grant.bytes);
    } else if (a->type == PROTO_CONSUMED) {
        SAME(consumed.ticket);
        SAME(consumed.bytes);
    } else if (a->type == PROTO_CANCEL) {
        SAME(cancel.id);
        SAME(cancel.mode);
        SAME(cancel.first);
        SAME(cancel.count);
    } else if (a->type == PROTO_RETURNED) {
        SAME(returned.batch);
        SAME(returned.chunk);
        SAME(returned.first);
        SAME(returned.count);
    } else if (a->type == PROTO_DETACH) {
        SAME(detach.ticket);
    } else if (a->type == PROTO_STANDING) {
        SAME(standing.batch);
        SAME(standing.chunk);
        SAME(standing.first);
        SAME(standing.count);
        SAME(standing.attempt);
    } else if (a->type == PROTO_KEPT) {
        SAME(kept.number);
    } else if (a->type != PROTO_STOP) {
        SAME(ping.nonce);
    }
}

static void assert_same_host(const char *name, const struct proto_message *a, const struct proto_message *b)
{
    if (a->type == PROTO_JOIN) {
        SAME(join.version);
        SAME(join.pid);
        SAME(join.session);
        SAME(join.state);
        SAME(join.epoch);
        SAME(join.connection);
        SAME(join.workers);
        assert_same_text(name, a->join.host, b->join.host);
        assert_same_text(name, a->join.software, b->join.software);
        assert_same_text(name, a->join.sandbox, b->join.sandbox);
        SAME(join.plugin_count);
        for (uint32_t i = 0; i < a->join.plugin_count; i++) {
            assert_same_text(name, a->join.plugins[i].name, b->join.plugins[i].name);
            assert_same_text(name, a->join.plugins[i].digest, b->join.plugins[i].digest);
        }
        SAME(join.resident_count);
        for (uint32_t i = 0; i < a->join.resident_count; i++) {
            SAME(join.residents[i].place);
            assert_same_text(name, a->join.residents[i].name, b->join.residents[i].name);
        }
    } else if (a->type == PROTO_JOINED) {
        SAME(joined.version);
        SAME(joined.beat_ms);
        SAME(joined.state);
        SAME(joined.epoch);
        SAME(joined.hold_ms);
    } else if (a->type == PROTO_SPAWN) {
        SAME(spawn.place);
        assert_same_text(name, a->spawn.name, b->spawn.name);
    } else if (a->type == PROTO_KILL) {
        SAME(kill.place);
    } else if (a->type == PROTO_EXITED) {
        SAME(exited.place);
        SAME(exited.killed);
        SAME(exited.batch);
        SAME(exited.attempt);
        SAME(exited.executing);
        SAME(exited.timed_out);
        SAME(exited.progress);
        SAME(exited.chunk);
        SAME(exited.index);
        assert_same_text(name, a->exited.reason, b->exited.reason);
    } else {
        SAME(beat.nonce);
        SAME(beat.clock_ns);
    }
}

void assert_same(const char *name, const struct proto_message *a, const struct proto_message *b)
{
    SAME(type);
    switch (a->type) {
    case PROTO_HELLO:
    case PROTO_WELCOME:
        assert_same_greeting(name, a, b);
        return;
    case PROTO_ERROR:
        SAME(error.ticket);
        SAME(error.code);
        assert_same_text(name, a->error.text, b->error.text);
        return;
    case PROTO_SUBMIT:
        assert_same_submit(name, &a->submit, &b->submit);
        return;
    case PROTO_RESULTS:
        SAME(results.ticket);
        SAME(results.worker);
        SAME(results.queued_ns);
        SAME(results.assigned_ns);
        assert_same_outcome(name, &a->results.outcome, &b->results.outcome);
        return;
    case PROTO_ENDED:
        assert_same_ended(name, &a->ended, &b->ended);
        return;
    case PROTO_CHUNK:
        assert_same_chunk(name, &a->chunk, &b->chunk);
        return;
    case PROTO_RESULT:
        SAME(result.batch);
        SAME(result.chunk);
        SAME(result.number);
        SAME(result.final);
        SAME(result.process_cpu_ns);
        SAME(result.process_voluntary);
        SAME(result.process_involuntary);
        assert_same_outcome(name, &a->result.outcome, &b->result.outcome);
        return;
    case PROTO_ATTACH:
    case PROTO_ATTACHED:
        assert_same_attachment(name, a, b);
        return;
    case PROTO_REQUEST:
    case PROTO_ANSWER:
        assert_same_question(name, a, b);
        return;
    case PROTO_DETACH:
    case PROTO_STANDING:
    case PROTO_KEPT:
    case PROTO_ACCEPTED:
    case PROTO_ARGUMENTS:
    case PROTO_SEAL:
    case PROTO_GRANT:
    case PROTO_CONSUMED:
    case PROTO_CANCEL:
    case PROTO_PING:
    case PROTO_PONG:
    case PROTO_STOP:
    case PROTO_RETURNED:
        assert_same_small(name, a, b);
        return;
    case PROTO_JOIN:
    case PROTO_JOINED:
    case PROTO_SPAWN:
    case PROTO_KILL:
    case PROTO_EXITED:
    case PROTO_BEAT:
        assert_same_host(name, a, b);
        return;
    }
    cr_assert_fail("%s: unknown type %d", name, (int)a->type);
}
