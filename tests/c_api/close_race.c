/* A handle that is closed, or a candidate that resigns, from two threads at the same moment; and a close while another
 * thread is inside each of the functions that wait. Each returns in bounded time, with a number that the header names.
 *
 *     close_race HOSTS ROOT SESSION_TIMEOUT_MS [manual|loop] [instrumented]
 */

#define _POSIX_C_SOURCE 200809L

#include "life.h"

/* Longer than a close may take, and much shorter than what the others were told to wait for. */
#define BOUND_MS (PATIENCE_MS / 2)
#define FOR_LONG_MS 3600000

static pthread_barrier_t both;

/* --- twice at the same moment -------------------------------------------------------------------------------- */

struct twice {
    election_t *handle;
    struct path path;
    int rc[2];
    int number;
    pthread_mutex_t lock;
};

static int draw_number(struct twice *twice)
{
    int number;
    pthread_mutex_lock(&twice->lock);
    number = twice->number++;
    pthread_mutex_unlock(&twice->lock);
    return number;
}

static void *close_at_once(void *ctx)
{
    struct twice *twice = ctx;
    int number = draw_number(twice);
    pthread_barrier_wait(&both);
    twice->rc[number] = close_handle(twice->handle);
    /* Whichever it was: from here on there is no such handle for it. */
    CHECK_INT(ELECTION_BAD_HANDLE, election_resign(twice->handle, twice->path.text));
    CHECK_INT(ELECTION_BAD_HANDLE, election_wait(twice->handle, twice->path.text, ELECTION_MASTER, PATIENCE_MS));
    CHECK_INT(0, election_is_master(twice->handle, twice->path.text));
    return NULL;
}

static void *resign_at_once(void *ctx)
{
    struct twice *twice = ctx;
    int number = draw_number(twice);
    pthread_barrier_wait(&both);
    twice->rc[number] = election_resign(twice->handle, twice->path.text);
    CHECK_INT(0, election_is_master(twice->handle, twice->path.text));
    return NULL;
}

/* Of the two, one has done it. The other one came too late, or, where that can be, waited for the first. */
static void expect_one(struct twice *twice, void *(*run)(void *), int refused, int may_share)
{
    pthread_t threads[2];
    twice->number = 0;
    CHECK_INT(0, pthread_mutex_init(&twice->lock, NULL));
    for (int i = 0; i < 2; i++)
        CHECK_INT(0, pthread_create(&threads[i], NULL, run, twice));
    for (int i = 0; i < 2; i++)
        CHECK_INT(0, pthread_join(threads[i], NULL));
    CHECK(twice->rc[0] == ELECTION_OK || twice->rc[1] == ELECTION_OK);
    if (!may_share || twice->rc[0] + twice->rc[1] != ELECTION_OK)
        CHECK_INT(refused, twice->rc[0] + twice->rc[1]);
    pthread_mutex_destroy(&twice->lock);
}

static void twice_at_once(void)
{
    struct twice twice = {.path = at("twice")};
    CHECK_INT(0, pthread_barrier_init(&both, NULL, 2));
    for (int i = 0; i < (is_instrumented ? 4 : 20); i++) {
        struct record record, again;
        twice.handle = open_at(hosts);
        record_init(&record, twice.handle);
        record_init(&again, twice.handle);
        CHECK_INT(ELECTION_OK, stand(&record, twice.path.text, "v"));
        expect_master(&record, 0, twice.path.text);
        expect_one(&twice, resign_at_once, ELECTION_NOT_THERE, 0);
        expect_end(&record, 1, twice.path.text, ELECTION_REASON_RESIGNED, ELECTION_RESIGNED);
        CHECK_INT(ELECTION_NOT_THERE, election_resign(twice.handle, twice.path.text));
        CHECK_INT(ELECTION_OK, stand(&again, twice.path.text, "v"));
        expect_master(&again, 0, twice.path.text);
        expect_one(&twice, close_at_once, ELECTION_BAD_HANDLE, 1);
        expect_end(&again, 1, twice.path.text, ELECTION_REASON_CLOSED, ELECTION_CLOSING);
        CHECK_INT(2, record_count(&record));
        CHECK_INT(1, record_freed(&record));
        record_done(&record);
        record_done(&again);
    }
    CHECK_INT(0, pthread_barrier_destroy(&both));
}

/* --- while another thread is inside -------------------------------------------------------------------------- */

struct inside {
    election_t *handle;
    struct path path;
    int (*call)(struct inside *inside);
    int (*is_documented)(int rc);
    int rounds;
    int ended;
    pthread_mutex_t lock;
};

static void no_member(const election_member_t *member, void *ctx)
{
    (void)member;
    (void)ctx;
}

static void no_master(const election_master_t *master, void *ctx)
{
    (void)master;
    (void)ctx;
}

static int wait_there(struct inside *inside)
{
    return election_wait(inside->handle, inside->path.text, ELECTION_SLAVE, FOR_LONG_MS);
}

static int members_there(struct inside *inside)
{
    return election_members(inside->handle, inside->path.text, no_member, NULL, FOR_LONG_MS);
}

static int master_there(struct inside *inside)
{
    return election_get_master(inside->handle, inside->path.text, no_master, NULL, FOR_LONG_MS);
}

static int create_there(struct inside *inside)
{
    struct path target = at("target");
    return election_fenced_create(inside->handle, inside->path.text, target.text, "", 0, FOR_LONG_MS);
}

static int set_there(struct inside *inside)
{
    struct path target = at("target");
    return election_fenced_set(inside->handle, inside->path.text, target.text, "", 0, -1, FOR_LONG_MS);
}

static int dispatch_there(struct inside *inside)
{
    return election_dispatch(inside->handle, FOR_LONG_MS);
}

static int dump_there(struct inside *inside)
{
    char *dump = NULL;
    int rc = election_dump(inside->handle, ELECTION_DUMP_JSON, &dump);
    election_dump_free(dump);
    return rc;
}

static int is_of_wait(int rc)
{
    return rc == ELECTION_NOT_THERE;
}

static int is_of_a_question(int rc)
{
    return rc == ELECTION_OK || rc == ELECTION_CONNECTIONLOSS;
}

static int is_of_a_write(int rc)
{
    return rc == ELECTION_OK || rc == ELECTION_NODEEXISTS || rc == ELECTION_NOT_MASTER || rc == ELECTION_CONNECTIONLOSS;
}

static int is_of_dispatch(int rc)
{
    return is_manual ? rc >= 0 : rc == ELECTION_NOT_MANUAL;
}

static int is_ok(int rc)
{
    return rc == ELECTION_OK;
}

static void *call_until_closed(void *ctx)
{
    struct inside *inside = ctx;
    int rc = 0;
    while (rc != ELECTION_BAD_HANDLE) {
        pthread_mutex_lock(&inside->lock);
        inside->rounds++;
        pthread_mutex_unlock(&inside->lock);
        rc = inside->call(inside);
        if (rc != ELECTION_BAD_HANDLE && !inside->is_documented(rc)) {
            fprintf(stderr, "%d, %s, is not what this function returns\n", rc, election_strerror(rc));
            _exit(1);
        }
    }
    pthread_mutex_lock(&inside->lock);
    inside->ended++;
    pthread_mutex_unlock(&inside->lock);
    return NULL;
}

#define CALLERS 3

static void closed_while_inside(const char *name, int (*call)(struct inside *), int (*is_documented)(int))
{
    struct inside inside = {.path = at(name), .call = call, .is_documented = is_documented};
    pthread_t callers[CALLERS];
    struct record record;
    int64_t from;
    int is_warm = 0;
    CHECK_INT(0, pthread_mutex_init(&inside.lock, NULL));
    inside.handle = open_at(hosts);
    record_init(&record, inside.handle);
    CHECK_INT(ELECTION_OK, stand(&record, inside.path.text, "v"));
    expect_master(&record, 0, inside.path.text);
    for (int i = 0; i < CALLERS; i++)
        CHECK_INT(0, pthread_create(&callers[i], NULL, call_until_closed, &inside));
    from = clock_ms();
    while (!is_warm) {
        CHECK(clock_ms() - from < PATIENCE_MS);
        sleep_ms(1);
        pthread_mutex_lock(&inside.lock);
        is_warm = inside.rounds >= CALLERS;
        pthread_mutex_unlock(&inside.lock);
    }
    sleep_ms(20);
    from = clock_ms();
    CHECK_INT(ELECTION_OK, close_handle(inside.handle));
    CHECK(clock_ms() - from < BOUND_MS);
    for (int i = 0; i < CALLERS; i++)
        CHECK_INT(0, pthread_join(callers[i], NULL));
    CHECK(clock_ms() - from < BOUND_MS);
    CHECK_INT(CALLERS, inside.ended);
    expect_end(&record, 1, inside.path.text, ELECTION_REASON_CLOSED, ELECTION_CLOSING);
    record_done(&record);
    pthread_mutex_destroy(&inside.lock);
}

int main(int argc, char **argv)
{
    read_arguments(argc, argv);
    twice_at_once();
    for (int i = 0; i < (is_instrumented ? 1 : 5); i++) {
        closed_while_inside("wait", wait_there, is_of_wait);
        closed_while_inside("members", members_there, is_of_a_question);
        closed_while_inside("master", master_there, is_of_a_question);
        closed_while_inside("create", create_there, is_of_a_write);
        closed_while_inside("set", set_there, is_of_a_write);
        closed_while_inside("dispatch", dispatch_there, is_of_dispatch);
        closed_while_inside("dump", dump_there, is_ok);
    }
    return 0;
}
