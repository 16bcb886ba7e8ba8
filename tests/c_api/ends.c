/* free_ctx runs once in each way in which what was asked for ends, and never when it was refused: a table of who listens, and
 * of how it ends. (In a child: fork.c; after a failure: failing_system.c; of the log: stress.c.)
 *
 *     ends HOSTS ROOT SESSION_TIMEOUT_MS EXPIRING [manual|loop] [instrumented]
 *
 * EXPIRING leads to the server of HOSTS. It has the session expired on which it is asked for ROOT/expire. */

#define _POSIX_C_SOURCE 200809L

#include "life.h"

enum who { ROLE, MASTER, MEMBERS, CONNECTION, WHO_COUNT };
enum way { TAKEN_BACK, CLOSED, NEVER_CONNECTED, DENIED, REFUSED, EXPIRED, EXPIRED_AND_BACK, WAY_COUNT };

static const char *expiring;

static const char *const names[WHO_COUNT] = {"role", "master", "members", "connection"};

struct tally {
    pthread_mutex_t lock;
    int heard;
    int freed;
    /* Of the connection. */
    int expired;
    int connected;
};

static const struct tally nothing = {PTHREAD_MUTEX_INITIALIZER, 0, 0, 0, 0};

static void hear(void *ctx)
{
    struct tally *tally = ctx;
    pthread_mutex_lock(&tally->lock);
    CHECK_INT(0, tally->freed);
    tally->heard++;
    pthread_mutex_unlock(&tally->lock);
}

static void on_role(const election_event_t *event, void *ctx)
{
    (void)event;
    hear(ctx);
}

static void on_master(const election_master_t *master, void *ctx)
{
    (void)master;
    hear(ctx);
}

static void on_members(const election_members_t *members, void *ctx)
{
    (void)members;
    hear(ctx);
}

static void on_connection(const election_connection_t *connection, void *ctx)
{
    struct tally *tally = ctx;
    hear(ctx);
    pthread_mutex_lock(&tally->lock);
    tally->expired += connection->state == ELECTION_EXPIRED;
    tally->connected += connection->state == ELECTION_CONNECTED;
    pthread_mutex_unlock(&tally->lock);
}

static void on_free(void *ctx)
{
    struct tally *tally = ctx;
    pthread_mutex_lock(&tally->lock);
    CHECK_INT(1, ++tally->freed);
    pthread_mutex_unlock(&tally->lock);
}

static int look(struct tally *tally, const int *what)
{
    int now;
    pthread_mutex_lock(&tally->lock);
    now = *what;
    pthread_mutex_unlock(&tally->lock);
    return now;
}

static void wait_for(struct tally *tally, const int *what, int count)
{
    int64_t until = clock_ms() + PATIENCE_MS;
    while (look(tally, what) < count) {
        CHECK(clock_ms() < until);
        sleep_ms(2);
    }
}

#define wait_for(...) FROM_HERE((wait_for)(__VA_ARGS__))

static int ask(election_t *handle, enum who who, const char *path, struct tally *tally)
{
    switch (who) {
    case ROLE:
        return go_to_election(handle, path, "v", 1, on_role, tally, on_free);
    case MASTER:
        return watch_master(handle, path, on_master, tally, on_free);
    case MEMBERS:
        return election_watch_members(handle, path, 0, on_members, tally, on_free);
    default:
        return election_watch_connection(handle, on_connection, tally, on_free);
    }
}

static int take_back(election_t *handle, enum who who, const char *path)
{
    switch (who) {
    case ROLE:
        return election_resign(handle, path);
    case MASTER:
        return election_unwatch_master(handle, path);
    case MEMBERS:
        return election_unwatch_members(handle, path);
    default:
        return election_unwatch_connection(handle);
    }
}

static void no_master(const election_master_t *master, void *ctx)
{
    (void)master;
    (void)ctx;
}

/* Has the session expired, and waits until the handle has found out; or until it has a new one, and the listener has heard
 * of it once more. */
static void expire(election_t *handle, enum who who, enum way way, struct tally *tally)
{
    struct path path = at("expire");
    struct tally other = nothing, *connection = who == CONNECTION ? tally : &other;
    int64_t until = clock_ms() + PATIENCE_MS;
    int connected, heard = look(tally, &tally->heard);
    if (who != CONNECTION)
        CHECK_INT(ELECTION_OK, election_watch_connection(handle, on_connection, &other, on_free));
    wait_for(connection, &connection->connected, 1);
    connected = look(connection, &connection->connected);
    /* It is the question that counts; without a connection none is asked. */
    while (look(connection, &connection->expired) == 0) {
        CHECK(clock_ms() < until);
        election_get_master(handle, path.text, no_master, NULL, PATIENCE_MS);
        sleep_ms(20);
    }
    if (way == EXPIRED_AND_BACK) {
        wait_for(connection, &connection->connected, connected + 1);
        wait_for(tally, &tally->heard, heard + 1);
    }
    CHECK_INT(0, look(tally, &tally->freed));
    if (who != CONNECTION) {
        CHECK_INT(ELECTION_OK, election_unwatch_connection(handle));
        wait_for(&other, &other.freed, 1);
    }
}

static const char *hosts_for(enum way way)
{
    switch (way) {
    case NEVER_CONNECTED:
        return "127.0.0.1:1";
    case EXPIRED:
    case EXPIRED_AND_BACK:
        return expiring;
    default:
        return hosts;
    }
}

static election_t *open_for(enum way way)
{
    election_options_t *options = election_options_new();
    election_t *handle = NULL;
    CHECK_INT(ELECTION_OK, election_options_set_session_timeout_ms(options, session_timeout_ms));
    if (way == DENIED)
        CHECK_INT(ELECTION_OK, election_options_add_auth(options, "no-such-scheme", "secret", 6));
    CHECK_INT(ELECTION_OK, open_handle(hosts_for(way), options, &handle));
    election_options_free(options);
    return handle;
}

static void end(enum who who, enum way way)
{
    struct path path = at(names[who]);
    struct tally tally = nothing, refused = nothing;
    election_t *handle = open_for(way);
    int rc = ask(handle, who, path.text, &tally);
    /* The credentials may have been refused already. */
    CHECK(rc == ELECTION_OK || (way == DENIED && rc == ELECTION_AUTHFAILED));
    if (rc == ELECTION_OK && way != NEVER_CONNECTED)
        wait_for(&tally, &tally.heard, 1);
    if (way == TAKEN_BACK) {
        CHECK_INT(ELECTION_OK, take_back(handle, who, path.text));
        wait_for(&tally, &tally.freed, 1);
        CHECK_INT(ELECTION_NOT_THERE, take_back(handle, who, path.text));
    }
    if (way == REFUSED)
        CHECK_INT(ELECTION_ALREADY, ask(handle, who, path.text, &refused));
    if (way == DENIED && rc == ELECTION_OK)
        wait_for(&tally, &tally.freed, 1);
    if (way == EXPIRED || way == EXPIRED_AND_BACK)
        expire(handle, who, way, &tally);
    CHECK_INT(ELECTION_OK, close_handle(handle));
    CHECK_INT(rc == ELECTION_OK, look(&tally, &tally.freed));
    CHECK_INT(ELECTION_BAD_HANDLE, ask(handle, who, path.text, &refused));
    CHECK_INT(0, look(&refused, &refused.freed));
    CHECK_INT(0, look(&refused, &refused.heard));
}

int main(int argc, char **argv)
{
    read_arguments(argc, argv);
    CHECK(argc >= 5);
    expiring = argv[4];
    for (int who = 0; who < WHO_COUNT; who++)
        for (int way = 0; way < WAY_COUNT; way++)
            end((enum who)who, (enum way)way);
    return 0;
}
