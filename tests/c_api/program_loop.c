/* Loop mode: the handle has no thread, and one descriptor for poll. A program that stays away from its loop loses the lease,
 * and hears no from election_is_master at once.
 *
 *     program_loop HOSTS ROOT SESSION_TIMEOUT_MS loop [instrumented]
 */

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "life.h"

static election_t *open_as_way(const char *where, int dispatch, int connect_timeout_ms)
{
    election_options_t *options = election_options_new();
    election_t *handle = NULL;
    CHECK(options != NULL);
    CHECK_INT(ELECTION_OK, election_options_set_session_timeout_ms(options, session_timeout_ms));
    CHECK_INT(ELECTION_OK, election_options_set_connect_timeout_ms(options, connect_timeout_ms));
    CHECK_INT(ELECTION_OK, election_options_set_dispatch(options, dispatch));
    CHECK_INT(ELECTION_OK, election_open(where, options, &handle));
    election_options_free(options);
    return handle;
}

static int count_threads(void)
{
    int count = 0;
    struct dirent *entry;
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks != NULL);
    while ((entry = readdir(tasks)) != NULL)
        count += entry->d_name[0] != '.';
    closedir(tasks);
    return count;
}

static int count_descriptors(void)
{
    int count = 0;
    struct dirent *entry;
    DIR *descriptors = opendir("/proc/self/fd");
    CHECK(descriptors != NULL);
    while ((entry = readdir(descriptors)) != NULL)
        count += entry->d_name[0] != '.';
    closedir(descriptors);
    return count;
}

/* A turn of the program's loop: it does nothing but wait on the descriptor, and dispatch when that is readable. */
static void turn(election_t *handle, int fd)
{
    struct pollfd waiting = {fd, POLLIN, 0};
    CHECK_INT(fd, election_fd(handle));
    if (poll(&waiting, 1, 1000) > 0) {
        CHECK_INT(POLLIN, waiting.revents);
        CHECK(election_dispatch(handle, 0) >= 0);
    }
}

static void turn_until(election_t *handle, struct record *record, int count, int freed)
{
    int64_t until = clock_ms() + PATIENCE_MS;
    while (record_count(record) < count || record_freed(record) < freed) {
        CHECK(clock_ms() < until);
        turn(handle, election_fd(handle));
    }
}

#define turn_until(...) FROM_HERE((turn_until)(__VA_ARGS__))

static void turn_for(election_t *handle, int ms)
{
    int64_t until = clock_ms() + ms;
    while (clock_ms() < until)
        turn(handle, election_fd(handle));
}

static void count_member(const election_member_t *member, void *ctx)
{
    (void)member;
    ++*(int *)ctx;
}

/* --- one thread ---------------------------------------------------------------------------------------------- */

static void there_is_no_thread(void)
{
    struct path path = at("alone"), target = at("alone/target"), other = at("alone/other");
    int threads = count_threads(), members = 0, descriptors = count_descriptors();
    char *dump = NULL;
    election_t *handle;
    struct record record;
    CHECK(is_instrumented || threads == 1);
    handle = open_as_way(hosts, ELECTION_DISPATCH_LOOP, 0);
    record_init(&record, handle);
    CHECK_INT(ELECTION_OK, stand(&record, path.text, "v"));
    turn_until(handle, &record, 1, 0);
    CHECK_INT(ELECTION_MASTER, record.heard[0].role);
    CHECK(pthread_equal(pthread_self(), record.heard[0].thread));
    CHECK_INT(threads, count_threads());

    /* The calls that wait do the work themselves; callbacks wait for election_dispatch. */
    CHECK_INT(ELECTION_OK, election_members(handle, path.text, count_member, &members, PATIENCE_MS));
    CHECK_INT(1, members);
    CHECK_INT(ELECTION_OK, election_resign(handle, path.text));
    CHECK_INT(ELECTION_OK, go_to_election(handle, other.text, "", 0, NULL, NULL, NULL));
    CHECK_INT(ELECTION_OK, election_wait(handle, other.text, ELECTION_MASTER, PATIENCE_MS));
    CHECK_INT(ELECTION_NODEEXISTS, election_fenced_create(handle, other.text, other.text, "", 0, PATIENCE_MS));
    CHECK_INT(ELECTION_NOT_MASTER, election_fenced_create(handle, path.text, target.text, "", 0, PATIENCE_MS));
    CHECK_INT(ELECTION_OK, election_dump(handle, ELECTION_DUMP_JSON, &dump));
    CHECK(strstr(dump, "\"task\": \"answered\"") != NULL || strstr(dump, "\"task\":\"answered\"") != NULL);
    CHECK(strstr(dump, "\"loop\"") != NULL);
    election_dump_free(dump);
    CHECK_INT(1, record_count(&record));
    CHECK_INT(threads, count_threads());
    /* What they left is told by the descriptor. */
    turn_until(handle, &record, 2, 1);
    CHECK_INT(ELECTION_REASON_RESIGNED, record.heard[1].reason);
    CHECK_INT(threads, count_threads());
    CHECK_INT(ELECTION_OK, election_close(handle));
    CHECK_INT(threads, count_threads());
    CHECK_INT(descriptors, count_descriptors());
    record_done(&record);
}

/* A thread looks the name up, and is gone afterwards. */
static void a_name_is_looked_up(void)
{
    struct path path = at("name");
    int threads = count_threads();
    int64_t until = clock_ms() + PATIENCE_MS;
    char by_name[256];
    struct record record;
    election_t *handle;
    /* The server has an address of its own. */
    CHECK(snprintf(by_name, sizeof by_name, "localhost:1,%s", hosts) < (int)sizeof by_name);
    handle = open_as_way(by_name, ELECTION_DISPATCH_LOOP, 0);
    record_init(&record, handle);
    CHECK_INT(ELECTION_OK, stand(&record, path.text, "v"));
    /* It may hear first that nobody listens at the name. */
    for (int last = 0; last == 0 || record.heard[last - 1].role != ELECTION_MASTER; last++)
        turn_until(handle, &record, last + 1, 0);
    /* A sanitizer starts a thread of its own with the first. */
    while (!is_instrumented && count_threads() > threads)
        CHECK(clock_ms() < until);
    CHECK_INT(ELECTION_OK, election_close(handle));
    record_done(&record);
}

/* --- the descriptor ------------------------------------------------------------------------------------------ */

/* Ends the connections to servers of this process. Returns how many there were. */
static int break_connections(void)
{
    int count = 0;
    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_storage peer;
        socklen_t size = sizeof peer;
        if (getpeername(fd, (struct sockaddr *)&peer, &size) != 0 || peer.ss_family == AF_UNIX)
            continue;
        count += shutdown(fd, SHUT_RDWR) == 0;
    }
    return count;
}

static void it_is_the_same_over_a_reconnect(void)
{
    struct path path = at("reconnect");
    election_t *handle = open_as_way(hosts, ELECTION_DISPATCH_LOOP, PATIENCE_MS);
    int fd = election_fd(handle);
    int64_t token, now = 0;
    election_counters_t counters = {.size = sizeof counters};
    struct record record;
    record_init(&record, handle);
    CHECK_INT(ELECTION_OK, stand(&record, path.text, "v"));
    turn_until(handle, &record, 1, 0);
    token = record.heard[0].token;
    CHECK_INT(1, break_connections());
    turn_for(handle, session_timeout_ms * 3 / 2);
    CHECK_INT(fd, election_fd(handle));
    CHECK_INT(ELECTION_OK, election_counters(handle, &counters));
    CHECK_INT(2, counters.connections);
    CHECK_INT(1, counters.sessions_opened);
    CHECK_INT(1, election_lease(handle, path.text, &now, NULL));
    CHECK_INT(token, now);
    CHECK_INT(1, record_count(&record));
    CHECK_INT(ELECTION_OK, election_close(handle));
    record_done(&record);
}

/* A program that waits on the descriptor alone does not turn in vain. */
static void an_idle_handle_is_seldom_readable(void)
{
    struct path path = at("idle");
    election_t *handle = open_as_way(hosts, ELECTION_DISPATCH_LOOP, PATIENCE_MS);
    int64_t until;
    int turns = 0;
    struct record record;
    record_init(&record, handle);
    CHECK_INT(ELECTION_OK, stand(&record, path.text, "v"));
    turn_until(handle, &record, 1, 0);
    turn_for(handle, 200);
    until = clock_ms() + session_timeout_ms;
    for (; clock_ms() < until; turns++)
        turn(handle, election_fd(handle));
    /* A master sends sixteen requests in a session timeout. Each costs a turn to send and one to hear the answer. */
    CHECK(turns < 100);
    CHECK_INT(ELECTION_OK, election_close(handle));
    record_done(&record);
}

/* A program that closes what it did not open loses the descriptor, and gets another one. */
static void it_is_opened_again(void)
{
    struct path path = at("closed");
    election_t *handle = open_as_way(hosts, ELECTION_DISPATCH_LOOP, PATIENCE_MS);
    int64_t token, now = 0, until = clock_ms() + PATIENCE_MS;
    struct record record;
    record_init(&record, handle);
    CHECK_INT(ELECTION_OK, stand(&record, path.text, "v"));
    turn_until(handle, &record, 1, 0);
    token = record.heard[0].token;
    for (int fd = 3; fd < 256; fd++)
        close(fd);
    CHECK_INT(0, election_dispatch(handle, 100));
    while (election_fd(handle) < 0) {
        CHECK(clock_ms() < until);
        CHECK_INT(0, election_dispatch(handle, 100));
    }
    turn_for(handle, session_timeout_ms * 3 / 2);
    CHECK_INT(1, election_lease(handle, path.text, &now, NULL));
    CHECK_INT(token, now);
    CHECK_INT(ELECTION_OK, election_resign(handle, path.text));
    turn_until(handle, &record, 2, 1);
    CHECK_INT(ELECTION_OK, election_close(handle));
    record_done(&record);
}

/* --- away from the loop -------------------------------------------------------------------------------------- */

static void who_stays_away_loses_the_lease_and_not_the_truth(void)
{
    struct path path = at("away");
    election_t *handle = open_as_way(hosts, ELECTION_DISPATCH_LOOP, PATIENCE_MS);
    election_t *next = open_as_way(hosts, ELECTION_DISPATCH_THREAD, PATIENCE_MS);
    int64_t until = clock_ms() + PATIENCE_MS, token;
    struct record record, others;
    int last;
    record_init(&record, handle);
    record_init(&others, next);
    CHECK_INT(ELECTION_OK, stand(&record, path.text, "away"));
    turn_until(handle, &record, 1, 0);
    CHECK_INT(ELECTION_MASTER, record.heard[0].role);
    token = record.heard[0].token;
    CHECK_INT(ELECTION_OK, stand(&others, path.text, "next"));
    expect_slave(&others, 0, path.text);

    /* Nothing is asked of the library but who is master. */
    while (election_is_master(handle, path.text)) {
        CHECK_INT(0, election_is_master(next, path.text));
        CHECK(clock_ms() < until);
        sleep_ms(1);
    }
    while (!election_is_master(next, path.text)) {
        CHECK_INT(0, election_is_master(handle, path.text));
        CHECK(clock_ms() < until);
        sleep_ms(1);
    }
    CHECK_INT(1, record_count(&record));

    /* It comes back, and is told. */
    turn_until(handle, &record, 2, 0);
    CHECK_INT(ELECTION_UNKNOWN, record.heard[1].role);
    CHECK_INT(0, election_is_master(handle, path.text));
    CHECK_INT(ELECTION_OK, election_close(next));
    for (last = 1; record.heard[last].role != ELECTION_MASTER; last++)
        turn_until(handle, &record, last + 2, 0);
    CHECK(record.heard[last].token > token);
    CHECK_INT(ELECTION_OK, election_close(handle));
    record_done(&record);
    record_done(&others);
}

/* --- leading ------------------------------------------------------------------------------------------------- */

/* A function that asks often, or waits by election_wait_stop, keeps the lease. */
static int lead_for_long(const election_leadership_t *leadership, void *ctx)
{
    int64_t until = clock_ms() + session_timeout_ms * 3 / 2;
    (void)ctx;
    while (clock_ms() < until) {
        CHECK_INT(0, election_should_stop(leadership));
        sleep_ms(5);
    }
    CHECK_INT(ELECTION_OPERATIONTIMEOUT, election_wait_stop(leadership, session_timeout_ms * 3 / 2));
    return 7;
}

static void a_function_leads(void)
{
    struct path path = at("lead");
    election_t *handle = open_as_way(hosts, ELECTION_DISPATCH_LOOP, PATIENCE_MS);
    int result = 0;
    CHECK_INT(ELECTION_OK,
              election_lead(handle, path.text, "v", 1, lead_for_long, NULL, PATIENCE_MS, &result));
    CHECK_INT(7, result);
    CHECK_INT(ELECTION_OK, election_close(handle));
}

/* --- much at once -------------------------------------------------------------------------------------------- */

#define MANY 3000

/* The calls take effect although nobody dispatches meanwhile. */
static void many_calls_before_a_turn(void)
{
    election_t *handle = open_as_way(hosts, ELECTION_DISPATCH_LOOP, PATIENCE_MS);
    int many = is_instrumented ? 1200 : MANY;
    for (int i = 0; i < many; i++) {
        char name[32];
        struct path path;
        snprintf(name, sizeof name, "many/%d", i);
        path = at(name);
        CHECK_INT(ELECTION_OK, go_to_election(handle, path.text, "", 0, NULL, NULL, NULL));
    }
    for (int i = 0; i < many; i++) {
        char name[32];
        struct path path;
        snprintf(name, sizeof name, "many/%d", i);
        path = at(name);
        CHECK_INT(ELECTION_OK, election_wait(handle, path.text, ELECTION_MASTER, PATIENCE_MS));
    }
    CHECK_INT(ELECTION_OK, election_close(handle));
}

/* --- other threads ------------------------------------------------------------------------------------------- */

struct waiting {
    election_t *handle;
    struct path path;
};

static void *wait_for_mastership(void *ctx)
{
    struct waiting *waiting = ctx;
    CHECK_INT(ELECTION_OK, election_wait(waiting->handle, waiting->path.text, ELECTION_MASTER, PATIENCE_MS));
    return NULL;
}

/* A call of another thread waits while the loop turns, and turns while the loop stands. */
static void another_thread_waits(void)
{
    struct waiting waiting = {open_as_way(hosts, ELECTION_DISPATCH_LOOP, PATIENCE_MS), at("other")};
    election_t *other = open_as_way(hosts, ELECTION_DISPATCH_LOOP, PATIENCE_MS);
    pthread_t threads[3];
    struct record record;
    record_init(&record, waiting.handle);
    CHECK_INT(ELECTION_OK, go_to_election(other, waiting.path.text, "", 0, NULL, NULL, NULL));
    CHECK_INT(ELECTION_OK, election_wait(other, waiting.path.text, ELECTION_MASTER, PATIENCE_MS));
    CHECK_INT(ELECTION_OK, stand(&record, waiting.path.text, "v"));
    turn_until(waiting.handle, &record, 1, 0);
    CHECK_INT(ELECTION_SLAVE, record.heard[0].role);
    for (int i = 0; i < 3; i++)
        CHECK_INT(0, pthread_create(&threads[i], NULL, wait_for_mastership, &waiting));
    turn_for(waiting.handle, 100);
    CHECK_INT(ELECTION_OK, election_close(other));
    for (int i = 0; i < 3; i++)
        CHECK_INT(0, pthread_join(threads[i], NULL));
    CHECK_INT(1, record_count(&record));
    turn_until(waiting.handle, &record, 2, 0);
    CHECK_INT(ELECTION_MASTER, record.heard[1].role);

    /* A wait that another thread's call ends. */
    CHECK_INT(0, pthread_create(&threads[0], NULL, wait_for_mastership, &waiting));
    CHECK_INT(0, pthread_join(threads[0], NULL));
    CHECK_INT(ELECTION_OK, election_close(waiting.handle));
    record_done(&record);
}

static void *interrupt_soon(void *handle)
{
    sleep_ms(200);
    CHECK_INT(ELECTION_OK, election_interrupt(handle));
    return NULL;
}

/* An interrupt from another thread ends a wait for descriptors. */
static void an_interrupt_ends_a_wait(void)
{
    struct path path = at("interrupt");
    election_t *handle = open_as_way(hosts, ELECTION_DISPATCH_LOOP, PATIENCE_MS);
    CHECK_INT(ELECTION_OK, go_to_election(handle, path.text, "", 0, NULL, NULL, NULL));
    CHECK_INT(ELECTION_OK, election_wait(handle, path.text, ELECTION_MASTER, PATIENCE_MS));
    for (int i = 0; i < 2; i++) {
        pthread_t thread;
        int64_t from = clock_ms();
        CHECK_INT(0, pthread_create(&thread, NULL, interrupt_soon, handle));
        if (i == 0) {
            CHECK_INT(ELECTION_INTERRUPTED, election_wait(handle, path.text, ELECTION_SLAVE, PATIENCE_MS));
        } else {
            int told;
            while ((told = election_dispatch(handle, PATIENCE_MS)) > 0)
                continue;
            CHECK_INT(ELECTION_INTERRUPTED, told);
        }
        /* Not at the next turn: at once. */
        CHECK(is_instrumented || clock_ms() - from < 900);
        CHECK_INT(0, pthread_join(thread, NULL));
        CHECK_INT(ELECTION_OK, election_clear_interrupt(handle));
    }
    CHECK_INT(ELECTION_OK, election_close(handle));
}

/* That the process was stopped and goes on is no signal handler that ran. */
static void a_stop_ends_no_wait(void)
{
    struct path path = at("stopped");
    election_t *handle = open_as_way(hosts, ELECTION_DISPATCH_LOOP, PATIENCE_MS);
    pid_t parent = getpid(), child;
    int64_t from = clock_ms();
    CHECK_INT(ELECTION_OK, go_to_election(handle, path.text, "", 0, NULL, NULL, NULL));
    CHECK_INT(ELECTION_OK, election_wait(handle, path.text, ELECTION_MASTER, PATIENCE_MS));
    child = fork();
    if (child == 0) {
        sleep_ms(200);
        kill(parent, SIGSTOP);
        sleep_ms(100);
        kill(parent, SIGCONT);
        _exit(0);
    }
    CHECK_INT(ELECTION_OPERATIONTIMEOUT, election_wait(handle, path.text, ELECTION_SLAVE, 1000));
    CHECK(clock_ms() - from >= 1000);
    CHECK_INT(child, waitpid(child, NULL, 0));
    CHECK_INT(ELECTION_OK, election_close(handle));
}

int main(int argc, char **argv)
{
    read_arguments(argc, argv);
    CHECK(is_loop);
    there_is_no_thread();
    a_name_is_looked_up();
    it_is_the_same_over_a_reconnect();
    an_idle_handle_is_seldom_readable();
    if (!is_instrumented)
        it_is_opened_again();
    a_function_leads();
    many_calls_before_a_turn();
    who_stays_away_loses_the_lease_and_not_the_truth();
    another_thread_waits();
    an_interrupt_ends_a_wait();
    if (!is_instrumented)
        a_stop_ends_no_wait();
    return 0;
}
