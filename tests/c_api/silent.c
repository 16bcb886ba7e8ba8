/* A server that falls silent while handles are at work: what has a time ends in it, the lease ends on the clock, a close has
 * its bound, and nothing of a hundred handles that were closed so is left behind.
 *
 *     silent HOSTS ROOT SESSION_TIMEOUT_MS FIRST SECOND THIRD [manual|loop]
 *
 * FIRST, SECOND and THIRD lead to the server of HOSTS. Each passes nothing on any more once it was asked for ROOT/be-silent. */

#define _POSIX_C_SOURCE 200809L

#include "life.h"

/* A machine that is busy with other things. */
#define SLACK_MS 2000

static void no_member(const election_member_t *member, void *ctx)
{
    (void)member;
    (void)ctx;
    CHECK(!"a silent server tells of a member");
}

static void no_master(const election_master_t *master, void *ctx)
{
    (void)master;
    (void)ctx;
    CHECK(!"a silent server tells of a master");
}

static int64_t started_at;

/* What was begun at `started_at` took about so long. */
static void took(int ms)
{
    int64_t now = clock_ms();
    CHECK(now - started_at >= ms - 2);
    CHECK(now - started_at < ms + SLACK_MS);
}

#define took(...) FROM_HERE((took)(__VA_ARGS__))

static void begin(void)
{
    started_at = clock_ms();
}

static void be_silent(election_t *handle)
{
    struct path path = at("be-silent");
    begin();
    CHECK_INT(ELECTION_OPERATIONTIMEOUT, election_get_master(handle, path.text, no_master, NULL, 100));
    took(100);
}

/* What comes to an end when the connection is given up is no time-out. */
static void expect_no_answer(int rc)
{
    CHECK(rc == ELECTION_OPERATIONTIMEOUT || rc == ELECTION_CONNECTIONLOSS);
    CHECK(clock_ms() - started_at < 300 + SLACK_MS);
    if (rc == ELECTION_OPERATIONTIMEOUT)
        took(300);
}

#define expect_no_answer(...) FROM_HERE((expect_no_answer)(__VA_ARGS__))

struct waiter {
    election_t *handle;
    struct path path;
};

static void *wait_for_long(void *ctx)
{
    struct waiter *waiter = ctx;
    CHECK_INT(ELECTION_NOT_THERE, election_wait(waiter->handle, waiter->path.text, ELECTION_SLAVE, 10 * PATIENCE_MS));
    return NULL;
}

static void in_time(const char *where, int is_connection_given_up)
{
    struct path path = at(is_connection_given_up ? "given-up" : "at-once"), target = at("target");
    election_t *handle = open_at(where);
    struct record record, observer;
    struct waiter waiter = {handle, path};
    pthread_t waiting;
    int64_t left_ns, silent_from, ended_at;
    record_init(&record, handle);
    record_init(&observer, handle);
    CHECK_INT(ELECTION_OK, stand(&record, path.text, "v"));
    expect_master(&record, 0, path.text);
    CHECK_INT(ELECTION_OK, watch(&observer, path.text));
    expect_observed(&observer, 0, &record.heard[0]);
    CHECK_INT(0, pthread_create(&waiting, NULL, wait_for_long, &waiter));

    silent_from = clock_ms();
    be_silent(handle);
    if (is_connection_given_up) {
        begin();
        expect_no_answer(election_members(handle, path.text, no_member, NULL, 300));
        begin();
        expect_no_answer(election_fenced_create(handle, path.text, target.text, "", 0, 300));
        begin();
        CHECK_INT(ELECTION_OPERATIONTIMEOUT, election_wait(handle, path.text, ELECTION_SLAVE, 300));
        took(300);

        /* A master until its lease is over, and not for longer, though nobody says a word. */
        while (election_lease(handle, path.text, NULL, &left_ns)) {
            CHECK(clock_ms() - silent_from < session_timeout_ms);
            sleep_ms(5);
        }
        ended_at = clock_ms();
        CHECK(ended_at - silent_from < session_timeout_ms);
        CHECK(record_wait(&record, 2, 0));
        CHECK(clock_ms() - ended_at < SLACK_MS);
        expect_role(&record, 1, path.text, ELECTION_UNKNOWN, ELECTION_REASON_LEASE_EXPIRED, ELECTION_LEASE_EXPIRED);
        begin();
        CHECK_INT(ELECTION_NOT_MASTER, election_fenced_create(handle, path.text, target.text, "", 0, PATIENCE_MS));
        CHECK_INT(ELECTION_CONNECTIONLOSS, election_members(handle, path.text, no_member, NULL, PATIENCE_MS));
        took(0);
    }

    begin();
    CHECK_INT(ELECTION_CONNECTIONLOSS, close_handle(handle));
    CHECK(clock_ms() - started_at < 2000 + SLACK_MS);
    CHECK_INT(0, pthread_join(waiting, NULL));
    CHECK_INT(ELECTION_REASON_CLOSED, record.heard[record_count(&record) - 1].reason);
    CHECK_INT(1, record_freed(&record));
    CHECK_INT(ELECTION_CLOSING, observer.heard[record_count(&observer) - 1].rc);
    CHECK_INT(1, record_freed(&observer));
    record_done(&record);
    record_done(&observer);
}

static int count_descriptors(void)
{
    int count = 0;
    DIR *descriptors = opendir("/proc/self/fd");
    CHECK(descriptors != NULL);
    while (readdir(descriptors) != NULL)
        count++;
    closedir(descriptors);
    return count;
}

#define HANDLES 100

static election_t *handles[HANDLES];

static void *close_one(void *ctx)
{
    election_t **handle = ctx;
    int64_t from = clock_ms();
    int rc = election_close(*handle);
    CHECK(rc == ELECTION_OK || rc == ELECTION_CONNECTIONLOSS);
    CHECK(clock_ms() - from < 2000 + 2 * SLACK_MS);
    return NULL;
}

static void nothing_is_left(const char *where)
{
    election_options_t *options = election_options_new();
    int before, threads_before = count_threads_named("election-cb");
    int64_t until;
    static struct record records[HANDLES];
    pthread_t closers[HANDLES];
    CHECK_INT(ELECTION_OK, election_options_set_session_timeout_ms(options, session_timeout_ms));
    CHECK_INT(ELECTION_OK, election_options_set_connect_timeout_ms(options, PATIENCE_MS));
    CHECK_INT(ELECTION_OK, election_options_set_dispatch(options, dispatch_way()));
    /* What the library has for the whole process comes with the first handle. */
    CHECK_INT(ELECTION_OK, election_open(hosts, options, &handles[0]));
    before = count_descriptors();
    CHECK_INT(ELECTION_OK, election_close(handles[0]));
    for (int i = 0; i < HANDLES; i++) {
        CHECK_INT(ELECTION_OK, election_open(where, options, &handles[i]));
        record_init(&records[i], handles[i]);
        CHECK_INT(ELECTION_OK, stand(&records[i], at("crowd").text, "v"));
    }
    election_options_free(options);
    CHECK(count_descriptors() >= before + HANDLES - 1);
    be_silent(handles[0]);
    for (int i = 0; i < HANDLES; i++)
        CHECK_INT(0, pthread_create(&closers[i], NULL, close_one, &handles[i]));
    for (int i = 0; i < HANDLES; i++) {
        CHECK_INT(0, pthread_join(closers[i], NULL));
        CHECK_INT(1, record_freed(&records[i]));
        record_done(&records[i]);
    }
    /* Connections on which the end of the session was not confirmed are given up like all silent ones; the rest is gone. */
    until = clock_ms() + session_timeout_ms + SLACK_MS;
    while (count_descriptors() >= before || count_threads_named("election-cb") > threads_before) {
        CHECK(clock_ms() < until);
        sleep_ms(20);
    }
}

int main(int argc, char **argv)
{
    read_arguments(argc, argv);
    CHECK(argc >= 7);
    nothing_is_left(argv[4]);
    in_time(argv[5], 1);
    in_time(argv[6], 0);
    return 0;
}
