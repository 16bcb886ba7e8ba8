/* A system that fails under the library: no thread can be started, the clock cannot be read. The library's own code
 * panics then, and what a program hears of it is a code; nothing is printed, nothing ends, and handles close.
 *
 *     failing_system HOSTS ROOT SESSION_TIMEOUT_MS [manual|loop]
 */

#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <sys/syscall.h>

#include "life.h"

/* --- the system --------------------------------------------------------------------------------------------- */

/* How many more threads can be started before one cannot; never, when negative. */
static int threads_before_failure = -1;

/* Whether the clock fails on this thread, and on the library's. */
static __thread int clock_fails_here;
static int clock_fails_on_io_thread;

/* The library calls these of the program, which come before those of the C library. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *ctx)
{
    int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    if (__atomic_load_n(&threads_before_failure, __ATOMIC_SEQ_CST) >= 0 &&
        __atomic_fetch_sub(&threads_before_failure, 1, __ATOMIC_SEQ_CST) == 0)
        return EAGAIN;
    return real(thread, attributes, run, ctx);
}

static int is_io_thread(void)
{
    char name[16];
    return pthread_getname_np(pthread_self(), name, sizeof name) == 0 && strcmp(name, "election-io") == 0;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    if (clock_fails_here || (__atomic_load_n(&clock_fails_on_io_thread, __ATOMIC_SEQ_CST) && is_io_thread())) {
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_clock_gettime, clock, now);
}

/* --- threads ------------------------------------------------------------------------------------------------ */

static int open_after(int threads, election_t **handle)
{
    election_options_t *options = election_options_new();
    int rc;
    CHECK_INT(ELECTION_OK, election_options_set_dispatch(options, dispatch_way()));
    __atomic_store_n(&threads_before_failure, threads, __ATOMIC_SEQ_CST);
    rc = election_open(hosts, options, handle);
    __atomic_store_n(&threads_before_failure, -1, __ATOMIC_SEQ_CST);
    election_options_free(options);
    return rc;
}

static void no_thread_can_be_started(void)
{
    election_t *const sentinel = (election_t *)(uintptr_t)0x5a5a;
    election_t *handle = sentinel;
    /* Once for the process, the I/O thread; for each handle, the one for callbacks. */
    int threads = is_loop ? 0 : is_manual ? 1 : 2;
    for (int before = 0; before < threads; before++)
        CHECK_INT(ELECTION_NO_RESOURCES, open_after(before, &handle));
    if (!is_manual)
        CHECK_INT(ELECTION_NO_RESOURCES, open_after(0, &handle));
    CHECK(handle == sentinel);
    CHECK_INT(ELECTION_OK, open_after(threads, &handle));
    CHECK_INT(ELECTION_OK, election_close(handle));
}

/* --- the clock of the caller's thread ----------------------------------------------------------------------- */

static void no_member(const election_member_t *member, void *ctx)
{
    (void)member;
    (void)ctx;
    CHECK(!"a member is shown without a clock");
}

/* What the call returns while the clock fails. */
#define WITHOUT_A_CLOCK(expected, call)   \
    do {                                  \
        long long said_;                  \
        clock_fails_here = 1;             \
        said_ = (long long)(call);        \
        clock_fails_here = 0;             \
        CHECK_INT(expected, said_);       \
    } while (0)

static void the_clock_fails_for_the_caller(void)
{
    struct path path = at("caller"), target = at("caller/target");
    election_t *handle = open_at(hosts), *other = NULL;
    election_options_t *options = election_options_new();
    struct record record;
    int64_t token = -7;
    record_init(&record, handle);
    CHECK_INT(ELECTION_OK, stand(&record, path.text, "v"));
    expect_master(&record, 0, path.text);
    CHECK_INT(1, election_is_master(handle, path.text));

    WITHOUT_A_CLOCK(0, election_is_master(handle, path.text));
    WITHOUT_A_CLOCK(0, election_lease(handle, path.text, &token, NULL));
    CHECK_INT(-7, token);
    WITHOUT_A_CLOCK(ELECTION_INTERNAL, election_wait(handle, path.text, ELECTION_SLAVE, 1000));
    WITHOUT_A_CLOCK(ELECTION_INTERNAL, election_members(handle, path.text, no_member, NULL, 1000));
    WITHOUT_A_CLOCK(ELECTION_INTERNAL, election_fenced_set(handle, path.text, target.text, "", 0, -1, 1000));
    CHECK_INT(ELECTION_OK, election_options_set_connect_timeout_ms(options, 1000));
    WITHOUT_A_CLOCK(ELECTION_INTERNAL, election_open(hosts, options, &other));
    CHECK(other == NULL);
    election_options_free(options);

    /* It was the clock's fault, and all is well with it. */
    CHECK_INT(1, election_lease(handle, path.text, &token, NULL));
    CHECK(token > 0);
    CHECK_INT(ELECTION_OK, election_wait(handle, path.text, ELECTION_MASTER, 1000));
    CHECK_INT(1, record_count(&record));
    CHECK_INT(ELECTION_OK, close_handle(handle));
    expect_end(&record, 1, path.text, ELECTION_REASON_CLOSED, ELECTION_CLOSING);
    record_done(&record);
}

/* A dispatcher without a clock runs the callbacks that wait, and cannot wait for one. */
static void the_clock_fails_for_the_dispatcher(void)
{
    struct path path = at("dispatcher");
    election_options_t *options = election_options_new();
    election_t *handle = NULL;
    struct record record;
    CHECK_INT(ELECTION_OK, election_options_set_dispatch(options, ELECTION_DISPATCH_MANUAL));
    CHECK_INT(ELECTION_OK, election_open(hosts, options, &handle));
    election_options_free(options);
    record_init(&record, handle);
    CHECK_INT(ELECTION_OK, stand(&record, path.text, "v"));
    CHECK_INT(ELECTION_OK, election_wait(handle, path.text, ELECTION_MASTER, PATIENCE_MS));
    CHECK_INT(1, election_dispatch(handle, 1000));
    WITHOUT_A_CLOCK(ELECTION_INTERNAL, election_dispatch(handle, 1000));
    CHECK_INT(1, record_count(&record));
    CHECK_INT(ELECTION_OK, election_resign(handle, path.text));
    while (record_count(&record) < 2)
        CHECK(election_dispatch(handle, 1000) > 0);
    CHECK_INT(ELECTION_OK, election_close(handle));
    CHECK_INT(1, record_freed(&record));
    record_done(&record);
}

/* In loop mode the caller does the work of the session. Without a clock that fails, and everybody hears so. */
static void the_clock_fails_for_the_loop(void)
{
    struct path path = at("loop");
    election_options_t *options = election_options_new();
    election_t *handle = NULL;
    struct record record;
    int told;
    CHECK_INT(ELECTION_OK, election_options_set_dispatch(options, ELECTION_DISPATCH_LOOP));
    CHECK_INT(ELECTION_OK, election_open(hosts, options, &handle));
    election_options_free(options);
    record_init(&record, handle);
    CHECK_INT(ELECTION_OK, stand(&record, path.text, "v"));
    CHECK_INT(ELECTION_OK, election_wait(handle, path.text, ELECTION_MASTER, PATIENCE_MS));
    clock_fails_here = 1;
    told = election_dispatch(handle, 0);
    clock_fails_here = 0;
    CHECK(told > 0);
    CHECK_INT(2, record_count(&record));
    CHECK_INT(ELECTION_REASON_FAILED, record.heard[1].reason);
    CHECK_INT(1, record_freed(&record));
    CHECK_INT(0, election_is_master(handle, path.text));
    CHECK_INT(ELECTION_INTERNAL, go_to_election(handle, path.text, "", 0, NULL, NULL, NULL));
    CHECK_INT(0, election_dispatch(handle, 20));
    CHECK_INT(ELECTION_CONNECTIONLOSS, election_close(handle));
    record_done(&record);
}

/* --- the clock of the thread for callbacks ------------------------------------------------------------------- */

static void fail_for_a_time(struct record *record, const struct heard *heard)
{
    (void)record;
    clock_fails_here = heard->role == ELECTION_MASTER;
}

/* From the middle of one callback to the middle of the next one: nobody is forgotten. */
static void the_clock_fails_for_callbacks(void)
{
    struct path path = at("callbacks");
    election_t *handle = open_at(hosts);
    struct record record;
    record_init(&record, handle);
    record.then = fail_for_a_time;
    CHECK_INT(ELECTION_OK, stand(&record, path.text, "v"));
    expect_master(&record, 0, path.text);
    CHECK_INT(ELECTION_OK, election_resign(handle, path.text));
    expect_end(&record, 1, path.text, ELECTION_REASON_RESIGNED, ELECTION_RESIGNED);
    CHECK_INT(ELECTION_OK, close_handle(handle));
    record_done(&record);
}

/* --- the clock of the I/O thread ---------------------------------------------------------------------------- */

/* Who watches the members, or the connection: what came last, and how often its ctx was freed. */
struct rest {
    int count;
    int rc;
    int freed;
};

static void hear_rest(struct rest *rest, int rc)
{
    CHECK_INT(0, __atomic_load_n(&rest->freed, __ATOMIC_SEQ_CST));
    __atomic_store_n(&rest->rc, rc, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&rest->count, 1, __ATOMIC_SEQ_CST);
}

static void hear_members(const election_members_t *members, void *ctx)
{
    hear_rest(ctx, members->rc);
}

static void hear_connection(const election_connection_t *connection, void *ctx)
{
    CHECK_INT(connection->rc == ELECTION_INTERNAL, connection->state == ELECTION_CLOSED);
    hear_rest(ctx, connection->rc);
}

static void free_rest(void *ctx)
{
    struct rest *rest = ctx;
    __atomic_add_fetch(&rest->freed, 1, __ATOMIC_SEQ_CST);
}

static void wait_until(const int *what)
{
    int64_t until = clock_ms() + PATIENCE_MS;
    while (__atomic_load_n(what, __ATOMIC_SEQ_CST) == 0) {
        CHECK(clock_ms() < until);
        sleep_ms(2);
    }
}

#define wait_until(...) FROM_HERE((wait_until)(__VA_ARGS__))

/* A session fails by itself; when the thread does, no handle of this process goes on. The library has one more thread, which at
 * times waits for the sockets in its place: then only the session fails, and the next one is another chance. */
static void the_io_thread_fails(void)
{
    election_options_t *options = election_options_new();
    int64_t until = clock_ms() + PATIENCE_MS;
    election_t *late = NULL;
    int rc;
    CHECK_INT(ELECTION_OK, election_options_set_connect_timeout_ms(options, PATIENCE_MS));
    for (;;) {
        struct rest connection = {0, 0, 0};
        __atomic_store_n(&clock_fails_on_io_thread, 0, __ATOMIC_SEQ_CST);
        if ((rc = election_open(hosts, options, &late)) != ELECTION_OK)
            break;
        CHECK(clock_ms() < until);
        rc = election_watch_connection(late, hear_connection, &connection, free_rest);
        __atomic_store_n(&clock_fails_on_io_thread, 1, __ATOMIC_SEQ_CST);
        CHECK(rc == ELECTION_OK || rc == ELECTION_INTERNAL);
        if (rc == ELECTION_OK)
            wait_until(&connection.freed);
        CHECK_INT(ELECTION_CONNECTIONLOSS, election_close(late));
    }
    CHECK_INT(ELECTION_INTERNAL, rc);
    election_options_free(options);
}

/* Everybody hears that the library failed, as the last thing, and every handle closes. */
static void the_clock_fails_for_the_io_thread(void)
{
    struct path path = at("io"), other_path = at("io/other");
    election_t *handle = open_at(hosts), *idle = open_at(hosts), *late = NULL;
    struct record role, master;
    struct rest members = {0, 0, 0}, connection = {0, 0, 0};
    int64_t from;
    int last;
    record_init(&role, handle);
    record_init(&master, handle);
    CHECK_INT(ELECTION_OK, stand(&role, path.text, "v"));
    expect_master(&role, 0, path.text);
    CHECK_INT(ELECTION_OK, watch(&master, path.text));
    CHECK(record_wait(&master, 1, 0));
    CHECK_INT(ELECTION_OK, election_watch_members(handle, path.text, 0, hear_members, &members, free_rest));
    CHECK_INT(ELECTION_OK, election_watch_connection(handle, hear_connection, &connection, free_rest));
    wait_until(&members.count);
    wait_until(&connection.count);

    __atomic_store_n(&clock_fails_on_io_thread, 1, __ATOMIC_SEQ_CST);
    CHECK(record_wait(&role, 2, 1));
    CHECK(record_wait(&master, 2, 1));
    wait_until(&members.freed);
    wait_until(&connection.freed);
    the_io_thread_fails();
    expect_end(&role, 1, path.text, ELECTION_REASON_FAILED, ELECTION_INTERNAL);
    last = record_count(&master) - 1;
    CHECK_INT(ELECTION_INTERNAL, master.heard[last].rc);
    CHECK_INT(1, record_freed(&master));
    CHECK_INT(ELECTION_INTERNAL, members.rc);
    CHECK_INT(ELECTION_INTERNAL, connection.rc);
    CHECK_INT(0, election_is_master(handle, path.text));

    CHECK_INT(ELECTION_INTERNAL, go_to_election(handle, other_path.text, "", 0, NULL, NULL, NULL));
    CHECK_INT(ELECTION_INTERNAL, watch_master(handle, other_path.text, hear_master, NULL, NULL));
    CHECK_INT(ELECTION_INTERNAL, election_members(handle, path.text, no_member, NULL, 1000));
    CHECK_INT(ELECTION_INTERNAL, election_open(hosts, NULL, &late));
    from = clock_ms();
    CHECK_INT(ELECTION_CONNECTIONLOSS, close_handle(handle));
    CHECK_INT(ELECTION_CONNECTIONLOSS, close_handle(idle));
    CHECK(clock_ms() - from < PATIENCE_MS);
    CHECK_INT(2, record_count(&role));
    CHECK_INT(1, members.freed);
    CHECK_INT(1, connection.freed);
    record_done(&role);
    record_done(&master);
}

int main(int argc, char **argv)
{
    read_arguments(argc, argv);
    no_thread_can_be_started();
    the_clock_fails_for_the_caller();
    the_clock_fails_for_the_dispatcher();
    if (!is_manual)
        the_clock_fails_for_callbacks();
    if (is_loop)
        the_clock_fails_for_the_loop();
    else
        the_clock_fails_for_the_io_thread();
    return 0;
}
