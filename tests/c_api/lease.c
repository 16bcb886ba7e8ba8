/* election_lease: the token, and the time that is left.
 *
 *     lease HOSTS ROOT SESSION_TIMEOUT_MS [manual|loop] [instrumented]
 */

#define _POSIX_C_SOURCE 200809L

#include "life.h"

static int64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void refuse(election_t *handle, const char *path)
{
    int64_t token = 0x5a5a, left_ns = 0x5a5a;
    CHECK_INT(0, election_lease(handle, path, &token, &left_ns));
    CHECK_INT(0, election_lease(handle, path, &token, NULL));
    CHECK_INT(0, election_lease(handle, path, NULL, &left_ns));
    CHECK_INT(0, election_lease(handle, path, NULL, NULL));
    CHECK_INT(0x5a5a, token);
    CHECK_INT(0x5a5a, left_ns);
}

#define refuse(...) FROM_HERE((refuse)(__VA_ARGS__))

static void answers(void)
{
    struct path path = at("answers");
    election_t *first = open_at(hosts), *second = open_at(hosts);
    struct record a, b;
    int64_t token = 0, left_ns = 0;
    record_init(&a, first);
    record_init(&b, second);
    refuse(first, path.text);
    CHECK_INT(ELECTION_OK, stand(&a, path.text, "a"));
    expect_master(&a, 0, path.text);
    CHECK_INT(1, election_lease(first, path.text, &token, &left_ns));
    CHECK_INT(a.heard[0].token, token);
    CHECK(left_ns > 0 && left_ns <= (int64_t)session_timeout_ms * 1000000);
    token = left_ns = 0;
    CHECK_INT(1, election_lease(first, path.text, &token, NULL));
    CHECK_INT(a.heard[0].token, token);
    CHECK_INT(1, election_lease(first, path.text, NULL, &left_ns));
    CHECK(left_ns > 0);
    CHECK_INT(1, election_lease(first, path.text, NULL, NULL));

    CHECK_INT(ELECTION_OK, stand(&b, path.text, "b"));
    expect_slave(&b, 0, path.text);
    refuse(second, path.text);
    CHECK_INT(ELECTION_OK, election_resign(first, path.text));
    refuse(first, path.text);
    expect_master(&b, 1, path.text);
    CHECK_INT(1, election_lease(second, path.text, &token, NULL));
    CHECK_INT(b.heard[1].token, token);
    CHECK(token > a.heard[0].token);
    CHECK_INT(ELECTION_OK, close_handle(first));
    CHECK_INT(ELECTION_OK, close_handle(second));
    refuse(second, path.text);
    record_done(&a);
    record_done(&b);
}

/* The end of the lease, on the clock, moves forward only: between two proofs it stands still, so that what is left grows
 * less; with a proof it jumps. */
static void what_is_left(int lease_mode, const char *name)
{
    struct path path = at(name);
    struct setup setup = {0, 0, 0, 0, 0, 0};
    election_t *handle;
    int64_t end = 0, last_left_ns = INT64_MAX, started_at, timeout_ns = (int64_t)session_timeout_ms / 2 * 1000000;
    int64_t step_ns = timeout_ns / 100;
    int renewed = 0, decreased = 0;
    setup.timeout_ms = session_timeout_ms / 2;
    setup.lease_mode = lease_mode;
    handle = open_as(hosts, setup);
    CHECK_INT(ELECTION_OK, go_to_election(handle, path.text, "", 0, NULL, NULL, NULL));
    CHECK_INT(ELECTION_OK, election_wait(handle, path.text, ELECTION_MASTER, PATIENCE_MS));
    started_at = clock_ns();
    while (renewed < 3 || decreased <= renewed) {
        int64_t left_ns, before = clock_ns(), after;
        CHECK(before - started_at < 4 * timeout_ns);
        CHECK_INT(1, election_lease(handle, path.text, NULL, &left_ns));
        after = clock_ns();
        CHECK(left_ns > 0 && left_ns < timeout_ns);
        /* It never ends sooner than was said before. */
        CHECK(after + left_ns >= end);
        if (before + left_ns > end + step_ns) {
            renewed += end != 0;
            end = before + left_ns;
        } else {
            decreased += left_ns < last_left_ns;
        }
        last_left_ns = left_ns;
        sleep_ms(5);
    }
    CHECK_INT(ELECTION_OK, close_handle(handle));
}

/* A margin makes leases shorter, so much so that there may be none at all. */
static void margin_and_tick(void)
{
    struct path path = at("margin");
    struct setup setup = {0, 0, 0, 0, 0, 0};
    election_t *handle;
    int64_t left_ns, most_ns = (int64_t)session_timeout_ms * 1000000 * 3 / 4;
    setup.lease_margin_ms = session_timeout_ms / 4;
    setup.tick_ms = 500;
    handle = open_as(hosts, setup);
    CHECK_INT(ELECTION_OK, go_to_election(handle, path.text, "", 0, NULL, NULL, NULL));
    CHECK_INT(ELECTION_OK, election_wait(handle, path.text, ELECTION_MASTER, PATIENCE_MS));
    for (int i = 0; i < 100; i++) {
        CHECK_INT(1, election_lease(handle, path.text, NULL, &left_ns));
        CHECK(left_ns > 0 && left_ns <= most_ns);
        sleep_ms(5);
    }
    CHECK_INT(ELECTION_OK, close_handle(handle));

    setup.lease_margin_ms = session_timeout_ms;
    setup.tick_ms = 0;
    handle = open_as(hosts, setup);
    CHECK_INT(ELECTION_OK, go_to_election(handle, path.text, "", 0, NULL, NULL, NULL));
    CHECK_INT(ELECTION_OPERATIONTIMEOUT, election_wait(handle, path.text, ELECTION_MASTER, 1000));
    refuse(handle, path.text);
    CHECK_INT(ELECTION_OK, close_handle(handle));
}

int main(int argc, char **argv)
{
    read_arguments(argc, argv);
    answers();
    what_is_left(ELECTION_LEASE_COMMITTED, "committed");
    what_is_left(ELECTION_LEASE_ANSWERED, "answered");
    margin_and_tick();
    return 0;
}
