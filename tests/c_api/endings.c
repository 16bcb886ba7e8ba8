/* What waits for the end of callbacks: election_wait_finished, and two handles that close each other.
 *
 *     endings HOSTS ROOT SESSION_TIMEOUT_MS [manual|loop] [instrumented]
 */

#define _POSIX_C_SOURCE 200809L

#include "life.h"

/* --- the end of what was resigned or unwatched --------------------------------------------------------------- */

static void be_slow(struct record *record)
{
    (void)record;
    sleep_ms(100);
}

static void free_ctx_has_run(void)
{
    struct path path = at("finished");
    election_t *handle = open_at(hosts);
    for (int i = 0; i < 5; i++) {
        struct record candidate, observer;
        record_init(&candidate, handle);
        record_init(&observer, handle);
        candidate.at_free = observer.at_free = be_slow;
        CHECK_INT(ELECTION_OK, stand(&candidate, path.text, "v"));
        expect_master(&candidate, 0, path.text);
        CHECK_INT(ELECTION_OK, watch(&observer, path.text));
        CHECK_INT(ELECTION_OK, election_resign(handle, path.text));
        CHECK_INT(ELECTION_OK, election_wait_finished(handle, PATIENCE_MS));
        CHECK_INT(1, record_freed(&candidate));
        CHECK_INT(2, record_count(&candidate));
        CHECK_INT(ELECTION_OK, election_unwatch_master(handle, path.text));
        CHECK_INT(ELECTION_OK, election_wait_finished(handle, PATIENCE_MS));
        CHECK_INT(1, record_freed(&observer));
        record_done(&candidate);
        record_done(&observer);
    }
    CHECK_INT(ELECTION_OK, close_handle(handle));
    CHECK_INT(ELECTION_BAD_HANDLE, election_wait_finished(handle, PATIENCE_MS));
}

static void a_loop_of_one_thread(void)
{
    election_options_t *options = election_options_new();
    struct path path = at("loop");
    struct record record;
    election_t *handle = NULL;
    CHECK_INT(ELECTION_OK, election_options_set_dispatch(options, is_loop ? ELECTION_DISPATCH_LOOP : ELECTION_DISPATCH_MANUAL));
    CHECK_INT(ELECTION_OK, election_open(hosts, options, &handle));
    election_options_free(options);
    record_init(&record, handle);
    CHECK_INT(ELECTION_OK, stand(&record, path.text, "v"));
    CHECK_INT(ELECTION_OK, election_resign(handle, path.text));
    CHECK_INT(ELECTION_OK, election_wait_finished(handle, PATIENCE_MS));
    CHECK_INT(1, record_freed(&record));
    CHECK(pthread_equal(record.freeing_thread, pthread_self()));
    CHECK_INT(ELECTION_OK, election_close(handle));
    record_done(&record);
}

/* --- two handles that close each other ----------------------------------------------------------------------- */

struct closer {
    election_t *ours, *other;
    int rc;
};

static pthread_barrier_t both;

static void close_the_other(const election_event_t *event, void *ctx)
{
    struct closer *closer = ctx;
    if (event->role != ELECTION_MASTER)
        return;
    pthread_barrier_wait(&both);
    __atomic_store_n(&closer->rc, election_close(closer->other), __ATOMIC_RELEASE);
}

static void close_each_other(void)
{
    struct closer closers[2];
    struct path paths[2];
    election_t *handles[2];
    int refused = 0;
    CHECK_INT(0, pthread_barrier_init(&both, NULL, 2));
    for (int i = 0; i < 2; i++) {
        handles[i] = open_at(hosts);
        paths[i] = at(i == 0 ? "one" : "two");
    }
    for (int i = 0; i < 2; i++) {
        closers[i].ours = handles[i];
        closers[i].other = handles[!i];
        closers[i].rc = 1;
        CHECK_INT(ELECTION_OK,
                  go_to_election(handles[i], paths[i].text, "", 0, close_the_other, &closers[i], NULL));
    }
    for (int i = 0; i < 2; i++) {
        int64_t until = clock_ms() + PATIENCE_MS;
        while (__atomic_load_n(&closers[i].rc, __ATOMIC_ACQUIRE) == 1) {
            CHECK(clock_ms() < until);
            sleep_ms(1);
        }
    }
    for (int i = 0; i < 2; i++) {
        int rc = close_handle(handles[i]);
        CHECK(rc == ELECTION_OK || rc == ELECTION_BAD_HANDLE);
    }
    /* One has closed the other, and was not closed by it. */
    for (int i = 0; i < 2; i++) {
        CHECK(closers[i].rc == ELECTION_OK || closers[i].rc == ELECTION_DEADLOCK);
        refused += closers[i].rc == ELECTION_DEADLOCK;
    }
    CHECK_INT(1, refused);
    CHECK_INT(0, pthread_barrier_destroy(&both));
}

int main(int argc, char **argv)
{
    read_arguments(argc, argv);
    free_ctx_has_run();
    a_loop_of_one_thread();
    close_each_other();
    return 0;
}
