/* What the programs that live through elections share: handles, standing, watching, and what is to be heard then.
 *
 * Each is called with HOSTS ROOT SESSION_TIMEOUT_MS [manual|loop] [instrumented]. */

#ifndef LIFE_H
#define LIFE_H

#include "check.h"

static const char *hosts;
static const char *root;
static int session_timeout_ms;

struct path {
    char text[128];
};

static inline struct path at(const char *name)
{
    struct path path;
    snprintf(path.text, sizeof path.text, "%s/%s", root, name);
    return path;
}

/* What a handle is opened with; what is 0 is left as it is by default. */
struct setup {
    int timeout_ms;
    int recipe;
    int grace_ms;
    int lease_mode;
    int lease_margin_ms;
    int tick_ms;
};

static inline election_t *open_as(const char *where, struct setup setup)
{
    election_t *handle = NULL;
    election_options_t *options = election_options_new();
    int timeout_ms = setup.timeout_ms == 0 ? session_timeout_ms : setup.timeout_ms;
    CHECK(options != NULL);
    CHECK_INT(ELECTION_OK, election_options_set_session_timeout_ms(options, timeout_ms));
    CHECK_INT(ELECTION_OK, election_options_set_connect_timeout_ms(options, PATIENCE_MS));
    CHECK_INT(ELECTION_OK, election_options_set_recipe(options, setup.recipe));
    CHECK_INT(ELECTION_OK, election_options_set_grace_ms(options, setup.grace_ms));
    CHECK_INT(ELECTION_OK, election_options_set_lease_mode(options, setup.lease_mode));
    CHECK_INT(ELECTION_OK, election_options_set_lease_margin_ms(options, setup.lease_margin_ms));
    CHECK_INT(ELECTION_OK, election_options_set_tick_ms(options, setup.tick_ms));
    CHECK_INT(ELECTION_OK, open_handle(where, options, &handle));
    election_options_free(options);
    CHECK(handle != NULL);
    return handle;
}

static inline election_t *open_with(const char *where, int timeout_ms)
{
    struct setup setup = {timeout_ms, 0, 0, 0, 0, 0};
    return open_as(where, setup);
}

static inline election_t *open_recipe(int recipe)
{
    struct setup setup = {0, recipe, 0, 0, 0, 0};
    return open_as(hosts, setup);
}

static inline election_t *open_at(const char *where)
{
    return open_with(where, 0);
}

static inline int stand(struct record *record, const char *path, const char *value)
{
    return go_to_election(record->handle, path, value, strlen(value), hear_role, record, hear_free);
}

static inline int watch(struct record *record, const char *path)
{
    return watch_master(record->handle, path, hear_master, record, hear_free);
}

static inline void check_value(const struct heard *heard, const void *value, size_t value_len)
{
    CHECK_INT(value_len, heard->value_len);
    CHECK(memcmp(heard->value, value, value_len) == 0);
}

/* The callback number `index` (from 0) must come, and say this. */
static inline const struct heard *expect_role(struct record *record, int index, const char *path, int role,
                                              int reason, int rc)
{
    const struct heard *heard = &record->heard[index];
    CHECK(record_wait(record, index + 1, 0));
    CHECK_INT(sizeof(election_event_t), heard->size);
    CHECK(strcmp(path, heard->path) == 0);
    CHECK_INT(role, heard->role);
    CHECK_INT(reason, heard->reason);
    CHECK_INT(rc, heard->rc);
    if (role == ELECTION_UNKNOWN) {
        /* By now this handle may be master at the path by another candidacy. */
        CHECK_INT(0, heard->value_len);
        CHECK_INT(0, heard->token);
    } else {
        CHECK_INT(role == ELECTION_MASTER, heard->is_master);
        CHECK(heard->token > 0);
    }
    return heard;
}

static inline const struct heard *expect_master(struct record *record, int index, const char *path)
{
    return expect_role(record, index, path, ELECTION_MASTER, ELECTION_REASON_ELECTED, ELECTION_OK);
}

static inline const struct heard *expect_slave(struct record *record, int index, const char *path)
{
    return expect_role(record, index, path, ELECTION_SLAVE, ELECTION_REASON_FOLLOWING, ELECTION_NODEEXISTS);
}

/* The last callback, and free_ctx once after it. */
static inline void expect_end(struct record *record, int index, const char *path, int reason, int rc)
{
    expect_role(record, index, path, ELECTION_UNKNOWN, reason, rc);
    CHECK(record_wait(record, index + 1, 1));
    CHECK_INT(index + 1, record_count(record));
    CHECK_INT(1, record_freed(record));
    /* When the program dispatches, either may fall to its loop and the other to election_close. */
    CHECK(is_manual || pthread_equal(record->freeing_thread, record->heard[index].thread));
}

/* A slave in a queue that is not next to the master does not know who that is. */
static inline void expect_in_queue(struct record *record, int index, const char *path)
{
    const struct heard *heard = &record->heard[index];
    CHECK(record_wait(record, index + 1, 0));
    CHECK(strcmp(path, heard->path) == 0);
    CHECK_INT(ELECTION_SLAVE, heard->role);
    CHECK_INT(ELECTION_REASON_FOLLOWING, heard->reason);
    CHECK_INT(ELECTION_NODEEXISTS, heard->rc);
    CHECK_INT(0, heard->value_len);
    CHECK_INT(0, heard->token);
    CHECK_INT(0, heard->is_master);
}

/* Observers hear who is master; whether they also hear of the moment without one is a matter of luck. Returns the
 * index after the news of that master. */
static inline int expect_observed(struct record *record, int index, const struct heard *master)
{
    const struct heard *heard;
    for (;;) {
        CHECK(record_wait(record, index + 1, 0));
        heard = &record->heard[index++];
        CHECK_INT(sizeof(election_master_t), heard->size);
        if (heard->rc == ELECTION_OK)
            break;
        CHECK_INT(ELECTION_NONODE, heard->rc);
        CHECK_INT(0, heard->value_len);
        CHECK_INT(0, heard->token);
        CHECK_INT(0, heard->session_id);
        CHECK_INT(0, heard->since_ms);
    }
    CHECK(strcmp(master->path, heard->path) == 0);
    check_value(heard, master->value, master->value_len);
    CHECK_INT(master->token, heard->token);
    CHECK(heard->session_id != 0);
    return index;
}

#define check_value(...) FROM_HERE((check_value)(__VA_ARGS__))
#define expect_role(...) FROM_HERE((expect_role)(__VA_ARGS__))
#define expect_master(...) FROM_HERE((expect_master)(__VA_ARGS__))
#define expect_slave(...) FROM_HERE((expect_slave)(__VA_ARGS__))
#define expect_in_queue(...) FROM_HERE((expect_in_queue)(__VA_ARGS__))
#define expect_end(...) FROM_HERE((expect_end)(__VA_ARGS__))
#define expect_observed(...) FROM_HERE((expect_observed)(__VA_ARGS__))

static inline void read_arguments(int argc, char **argv)
{
    if (read_ways(argc, argv) < 4) {
        fprintf(stderr, "usage: %s HOSTS ROOT SESSION_TIMEOUT_MS [manual|loop] [instrumented]\n", argv[0]);
        exit(2);
    }
    hosts = argv[1];
    root = argv[2];
    session_timeout_ms = atoi(argv[3]);
    give_up_after(240);
}

#endif
