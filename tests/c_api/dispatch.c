/* Callbacks that the program dispatches run inside election_dispatch and nowhere else.
 *
 *     dispatch HOSTS ROOT SESSION_TIMEOUT_MS manual|loop [instrumented]
 */

#define _POSIX_C_SOURCE 200809L

#include "life.h"

/* --- what there is to look at ------------------------------------------------------------------------------- */

/* A handle that nobody's loop dispatches. */
static election_t *open_as_way(int dispatch)
{
    election_options_t *options = election_options_new();
    election_t *handle = NULL;
    CHECK(options != NULL);
    CHECK_INT(ELECTION_OK, election_options_set_session_timeout_ms(options, session_timeout_ms));
    CHECK_INT(ELECTION_OK, election_options_set_connect_timeout_ms(options, PATIENCE_MS));
    CHECK_INT(ELECTION_OK, election_options_set_dispatch(options, dispatch));
    CHECK_INT(ELECTION_OK, election_open(hosts, options, &handle));
    election_options_free(options);
    return handle;
}

static election_t *open_bare(void)
{
    return open_as_way(dispatch_way());
}

static int is_readable(int fd, int timeout_ms)
{
    struct pollfd waiting = {fd, POLLIN, 0};
    int ready = poll(&waiting, 1, timeout_ms);
    CHECK(ready == 0 || (ready == 1 && waiting.revents == POLLIN));
    return ready;
}

/* The loop that a program has, until so many callbacks were heard and so many ctx freed. */
static int dispatch_until(election_t *handle, struct record *record, int count, int freed)
{
    int told = 0, fd = election_fd(handle);
    int64_t until = clock_ms() + PATIENCE_MS;
    while (record_count(record) < count || record_freed(record) < freed) {
        int now;
        CHECK(clock_ms() < until);
        if (!is_readable(fd, 1000))
            continue;
        now = election_dispatch(handle, 0);
        CHECK(now >= 0);
        told += now;
    }
    return told;
}

/* --- one thread --------------------------------------------------------------------------------------------- */

static void no_thread_runs_callbacks(void)
{
    struct path path = at("threads");
    election_t *threaded, *manual = open_bare();
    struct record record;
    int64_t until = clock_ms() + PATIENCE_MS;
    record_init(&record, manual);
    CHECK_INT(ELECTION_OK, stand(&record, path.text, "me"));
    dispatch_until(manual, &record, 1, 0);
    CHECK(pthread_equal(pthread_self(), record.heard[0].thread));
    CHECK_INT(0, count_threads_named("election-cb"));
    CHECK_INT(1, count_threads_named("election-io"));

    /* The name is the one that there is otherwise. */
    threaded = open_as_way(ELECTION_DISPATCH_THREAD);
    while (count_threads_named("election-cb") != 1)
        CHECK(clock_ms() < until);
    CHECK_INT(ELECTION_NOT_MANUAL, election_fd(threaded));
    CHECK_INT(ELECTION_NOT_MANUAL, election_dispatch(threaded, 0));
    CHECK_INT(ELECTION_NOT_MANUAL, election_dispatch(threaded, 1000));
    CHECK_INT(ELECTION_OK, election_close(threaded));
    while (count_threads_named("election-cb") != 0)
        CHECK(clock_ms() < until);

    CHECK_INT(ELECTION_OK, election_close(manual));
    CHECK(pthread_equal(pthread_self(), record.freeing_thread));
    record_done(&record);
}

static void the_descriptor_tells_what_waits(void)
{
    struct path path = at("descriptor");
    election_t *handle = open_bare();
    struct record role, master;
    int fd = election_fd(handle);
    record_init(&role, handle);
    record_init(&master, handle);
    CHECK(fd >= 0);
    CHECK_INT(fd, election_fd(handle));
    CHECK_INT(0, is_readable(fd, 0));
    CHECK_INT(0, election_dispatch(handle, 0));

    CHECK_INT(ELECTION_OK, stand(&role, path.text, "v"));
    CHECK_INT(1, is_readable(fd, PATIENCE_MS));
    /* For as long as it waits, and nobody hears of it but who asks. */
    CHECK_INT(ELECTION_OK, election_wait(handle, path.text, ELECTION_MASTER, PATIENCE_MS));
    CHECK_INT(1, election_is_master(handle, path.text));
    sleep_ms(100);
    CHECK_INT(1, is_readable(fd, 0));
    CHECK_INT(0, record_count(&role));
    CHECK_INT(1, election_dispatch(handle, 0));
    CHECK_INT(1, record_count(&role));
    CHECK_INT(ELECTION_MASTER, role.heard[0].role);
    CHECK_INT(0, is_readable(fd, 0));
    CHECK_INT(0, election_dispatch(handle, 0));

    /* The end of the events of one is passed on, too. */
    CHECK_INT(ELECTION_OK, watch(&master, path.text));
    CHECK_INT(1, dispatch_until(handle, &master, 1, 0));
    CHECK_INT(ELECTION_OK, election_unwatch_master(handle, path.text));
    CHECK_INT(1, dispatch_until(handle, &master, 1, 1));
    CHECK_INT(ELECTION_OK, election_resign(handle, path.text));
    CHECK_INT(2, dispatch_until(handle, &role, 2, 1));
    CHECK_INT(ELECTION_REASON_RESIGNED, role.heard[1].reason);
    /* The last one may have been fetched before it rang: then it rings for nothing, once. */
    if (is_readable(fd, 100))
        CHECK_INT(0, election_dispatch(handle, 0));
    CHECK_INT(0, is_readable(fd, 100));
    CHECK_INT(ELECTION_OK, election_close(handle));
    record_done(&role);
    record_done(&master);
}

static void times_are_kept(void)
{
    struct path path = at("times");
    election_t *handle = open_bare();
    struct record record;
    int64_t from = clock_ms(), took;
    CHECK_INT(0, election_dispatch(handle, 0));
    CHECK(clock_ms() - from < 1000);
    from = clock_ms();
    CHECK_INT(0, election_dispatch(handle, 300));
    took = clock_ms() - from;
    CHECK(took >= 299 && took < 5000);

    /* What comes ends the wait. */
    record_init(&record, handle);
    CHECK_INT(ELECTION_OK, stand(&record, path.text, "v"));
    from = clock_ms();
    CHECK_INT(1, election_dispatch(handle, 4 * PATIENCE_MS));
    CHECK(clock_ms() - from < PATIENCE_MS);
    CHECK_INT(ELECTION_MASTER, record.heard[0].role);
    CHECK_INT(ELECTION_OK, election_close(handle));
    record_done(&record);
}

/* A wait for news that ends without any has lasted as long as it was to, also right after there were some. */
static void no_wait_ends_for_nothing(void)
{
    struct path path = at("nothing");
    election_t *handle = open_bare();
    static struct record records[HEARD_MAX];
    for (int i = 0; i < HEARD_MAX; i++) {
        int64_t from;
        int told;
        record_init(&records[i], handle);
        CHECK_INT(ELECTION_OK, stand(&records[i], path.text, "v"));
        if (i % 2 == 0)
            CHECK_INT(ELECTION_OK, election_wait(handle, path.text, ELECTION_MASTER, PATIENCE_MS));
        CHECK_INT(ELECTION_OK, election_resign(handle, path.text));
        while (!record_freed(&records[i])) {
            from = clock_ms();
            told = election_dispatch(handle, PATIENCE_MS);
            CHECK(told > 0 || clock_ms() - from >= PATIENCE_MS - 1);
        }
        from = clock_ms();
        told = election_dispatch(handle, 20);
        CHECK_INT(0, told);
        CHECK(clock_ms() - from >= 19);
        record_done(&records[i]);
    }
    CHECK_INT(ELECTION_OK, election_close(handle));
}

/* --- the end ------------------------------------------------------------------------------------------------ */

static void close_dispatches_what_is_left(void)
{
    struct path path = at("left");
    election_t *handle = open_bare();
    struct record role, master;
    int index;
    record_init(&role, handle);
    record_init(&master, handle);
    CHECK_INT(ELECTION_OK, stand(&role, path.text, "v"));
    CHECK_INT(ELECTION_OK, election_wait(handle, path.text, ELECTION_MASTER, PATIENCE_MS));
    CHECK_INT(ELECTION_OK, watch(&master, path.text));
    CHECK_INT(1, is_readable(election_fd(handle), PATIENCE_MS));
    CHECK_INT(0, record_count(&role));
    CHECK_INT(ELECTION_OK, election_close(handle));
    CHECK_INT(2, record_count(&role));
    CHECK_INT(ELECTION_MASTER, role.heard[0].role);
    /* That was true when it happened, and is not any more. */
    CHECK_INT(0, role.heard[0].is_master);
    CHECK_INT(ELECTION_REASON_CLOSED, role.heard[1].reason);
    CHECK(pthread_equal(pthread_self(), role.heard[1].thread));
    CHECK(pthread_equal(pthread_self(), role.freeing_thread));
    CHECK_INT(1, role.freed);
    index = record_count(&master) - 1;
    CHECK_INT(ELECTION_CLOSING, master.heard[index].rc);
    CHECK_INT(1, master.freed);
    CHECK_INT(ELECTION_BAD_HANDLE, election_fd(handle));
    CHECK_INT(ELECTION_BAD_HANDLE, election_dispatch(handle, 0));
    record_done(&role);
    record_done(&master);
}

static void *dispatch_for_long(void *handle)
{
    int told = election_dispatch(handle, 10 * PATIENCE_MS);
    CHECK(told >= 0 || told == ELECTION_BAD_HANDLE);
    return NULL;
}

/* A thread that waits for callbacks is woken by the last ones. */
static void close_ends_a_wait(void)
{
    struct path path = at("close-ends-a-wait");
    election_t *handle = open_bare();
    struct record record;
    pthread_t thread;
    int64_t from;
    record_init(&record, handle);
    CHECK_INT(ELECTION_OK, stand(&record, path.text, "v"));
    dispatch_until(handle, &record, 1, 0);
    CHECK_INT(0, pthread_create(&thread, NULL, dispatch_for_long, handle));
    sleep_ms(200);
    from = clock_ms();
    CHECK_INT(ELECTION_OK, election_close(handle));
    CHECK(clock_ms() - from < PATIENCE_MS);
    CHECK_INT(2, record_count(&record));
    CHECK_INT(1, record_freed(&record));
    CHECK_INT(0, pthread_join(thread, NULL));
    record_done(&record);
}

/* --- inside a callback, and with many threads --------------------------------------------------------------- */

static void dispatch_again(struct record *record, const struct heard *heard)
{
    (void)heard;
    CHECK_INT(ELECTION_IN_CALLBACK, election_dispatch(record->handle, 0));
    CHECK_INT(ELECTION_IN_CALLBACK, election_dispatch(record->handle, 1000));
    CHECK_INT(ELECTION_IN_CALLBACK, election_close(record->handle));
    CHECK(election_fd(record->handle) >= 0);
}

static void inside_a_callback(void)
{
    struct path path = at("inside");
    election_t *handle = open_bare();
    struct record record;
    record_init(&record, handle);
    record.then = dispatch_again;
    CHECK_INT(ELECTION_OK, stand(&record, path.text, "v"));
    dispatch_until(handle, &record, 1, 0);
    CHECK_INT(ELECTION_OK, election_resign(handle, path.text));
    dispatch_until(handle, &record, 2, 1);
    CHECK_INT(ELECTION_OK, election_close(handle));
    record_done(&record);
}

struct crowd {
    pthread_mutex_t lock;
    election_t *handle;
    int inside;
    int told;
    int heard;
    int freed;
    int is_over;
};

static void change(struct crowd *crowd, int *what, int by)
{
    pthread_mutex_lock(&crowd->lock);
    *what += by;
    pthread_mutex_unlock(&crowd->lock);
}

static int look(struct crowd *crowd, const int *what)
{
    int now;
    pthread_mutex_lock(&crowd->lock);
    now = *what;
    pthread_mutex_unlock(&crowd->lock);
    return now;
}

static void hear_alone(const election_event_t *event, void *ctx)
{
    struct crowd *crowd = ctx;
    (void)event;
    CHECK_INT(0, look(crowd, &crowd->inside));
    change(crowd, &crowd->inside, 1);
    sleep_ms(1);
    CHECK_INT(1, look(crowd, &crowd->inside));
    change(crowd, &crowd->inside, -1);
    change(crowd, &crowd->heard, 1);
}

static void free_alone(void *ctx)
{
    struct crowd *crowd = ctx;
    CHECK_INT(0, look(crowd, &crowd->inside));
    change(crowd, &crowd->freed, 1);
}

static void *dispatch_on_and_on(void *ctx)
{
    struct crowd *crowd = ctx;
    while (!look(crowd, &crowd->is_over)) {
        int told = election_dispatch(crowd->handle, 20);
        CHECK(told >= 0);
        change(crowd, &crowd->told, told);
        if (told == 0)
            sleep_ms(1);
    }
    return NULL;
}

#define ROUNDS 60

static void many_threads_take_turns(void)
{
    struct path path = at("crowd");
    struct crowd crowd = {PTHREAD_MUTEX_INITIALIZER, NULL, 0, 0, 0, 0, 0};
    pthread_t threads[3];
    int64_t until = clock_ms() + PATIENCE_MS;
    crowd.handle = open_bare();
    for (int i = 0; i < 3; i++)
        CHECK_INT(0, pthread_create(&threads[i], NULL, dispatch_on_and_on, &crowd));
    for (int i = 0; i < ROUNDS; i++) {
        CHECK_INT(ELECTION_OK, go_to_election(crowd.handle, path.text, "", 0, hear_alone, &crowd, free_alone));
        if (i % 8 == 0)
            CHECK_INT(ELECTION_OK, election_wait(crowd.handle, path.text, ELECTION_MASTER, PATIENCE_MS));
        CHECK_INT(ELECTION_OK, election_resign(crowd.handle, path.text));
    }
    while (look(&crowd, &crowd.freed) < ROUNDS) {
        CHECK(clock_ms() < until);
        sleep_ms(5);
    }
    change(&crowd, &crowd.is_over, 1);
    for (int i = 0; i < 3; i++)
        CHECK_INT(0, pthread_join(threads[i], NULL));
    /* Each event and each end was passed on once, by one of them. */
    CHECK_INT(crowd.heard + crowd.freed, crowd.told);
    CHECK(crowd.heard >= ROUNDS);
    CHECK_INT(ELECTION_OK, election_close(crowd.handle));
}

int main(int argc, char **argv)
{
    read_arguments(argc, argv);
    CHECK(is_manual);
    /* In loop mode the descriptor tells more: see program_loop.c. */
    if (!is_instrumented && !is_loop)
        no_thread_runs_callbacks();
    if (!is_loop)
        the_descriptor_tells_what_waits();
    times_are_kept();
    no_wait_ends_for_nothing();
    close_dispatches_what_is_left();
    close_ends_a_wait();
    inside_a_callback();
    many_threads_take_turns();
    return 0;
}
