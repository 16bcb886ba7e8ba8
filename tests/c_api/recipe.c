/* The recipes, and the grace delay.
 *
 *     recipe HOSTS ROOT SESSION_TIMEOUT_MS [manual|loop] [instrumented]
 */

#define _POSIX_C_SOURCE 200809L

#include "life.h"

#define CANDIDATES 3

/* Join, follow, hand over from one to the next, and be known to observers. */
static void a_queue(int recipe, const char *name, int has_guid)
{
    struct path path = at(name);
    election_t *handles[CANDIDATES], *elsewhere = open_recipe(recipe);
    static struct record records[CANDIDATES], observer;
    int64_t token = 0;
    int seen = 0;
    memset(records, 0, sizeof records);
    record_init(&observer, elsewhere);
    CHECK_INT(ELECTION_OK, watch(&observer, path.text));
    char master_value[16];
    snprintf(master_value, sizeof master_value, "%s 0", name);
    for (int i = 0; i < CANDIDATES; i++) {
        char value[16];
        snprintf(value, sizeof value, "%s %d", name, i);
        handles[i] = open_recipe(recipe);
        record_init(&records[i], handles[i]);
        CHECK_INT(ELECTION_OK, stand(&records[i], path.text, value));
        if (i == 0)
            check_value(expect_master(&records[i], 0, path.text), value, strlen(value));
        else if (i == 1)
            check_value(expect_slave(&records[i], 0, path.text), master_value, strlen(master_value));
        else
            expect_in_queue(&records[i], 0, path.text);
    }
    for (int i = 0; i < CANDIDATES; i++) {
        /* Whoever becomes the next one hears who is master, if the names have a GUID. */
        int of_master = has_guid && i > 1 ? 2 : i > 0;
        const struct heard *master = expect_master(&records[i], of_master, path.text);
        CHECK(master->token > token);
        token = master->token;
        seen = expect_observed(&observer, seen, master);
        for (int k = 0; k < CANDIDATES; k++)
            CHECK_INT(k == i, election_is_master(handles[k], path.text));
        if (i + 2 < CANDIDATES || (i + 1 < CANDIDATES && !has_guid))
            CHECK_INT(1, record_count(&records[CANDIDATES - 1]));
        else if (i + 1 < CANDIDATES)
            CHECK(expect_slave(&records[i + 1], 1, path.text)->token == master->token);
        CHECK_INT(ELECTION_OK, election_resign(handles[i], path.text));
        expect_end(&records[i], of_master + 1, path.text, ELECTION_REASON_RESIGNED, ELECTION_RESIGNED);
    }

    /* Whoever comes back stands at the end. */
    for (int i = 0; i < CANDIDATES; i++)
        CHECK_INT(ELECTION_OK, go_to_election(handles[i], path.text, "", 0, NULL, NULL, NULL));
    for (int i = 0; i < CANDIDATES; i++)
        CHECK_INT(ELECTION_OK, close_handle(handles[i]));
    CHECK_INT(ELECTION_OK, close_handle(elsewhere));
    for (int i = 0; i < CANDIDATES; i++)
        record_done(&records[i]);
    record_done(&observer);
}

/* Not two masters where two recipes meet, but a reason. */
static void strangers(void)
{
    struct path path = at("strangers");
    election_t *latch = open_recipe(ELECTION_RECIPE_QUEUE), *kazoo = open_recipe(ELECTION_RECIPE_QUEUE_KAZOO);
    struct record a, b;
    record_init(&a, latch);
    record_init(&b, kazoo);
    CHECK_INT(ELECTION_OK, stand(&a, path.text, "latch"));
    expect_master(&a, 0, path.text);
    CHECK_INT(ELECTION_OK, stand(&b, path.text, "kazoo"));
    /* The master is the one in front, so it leaves the queue. Whether the other one sees it there first is chance. */
    expect_role(&a, 1, path.text, ELECTION_UNKNOWN, ELECTION_REASON_FOREIGN_CONTENDER, ELECTION_FOREIGN_CONTENDER);
    CHECK_INT(ELECTION_OK, election_wait(kazoo, path.text, ELECTION_MASTER, PATIENCE_MS));
    CHECK_INT(0, election_is_master(latch, path.text));
    CHECK_INT(ELECTION_OK, close_handle(kazoo));
    expect_master(&a, 2, path.text);
    CHECK_INT(ELECTION_OK, close_handle(latch));
    record_done(&a);
    record_done(&b);
}

static election_t *open_with_grace(int recipe, int grace_ms)
{
    struct setup setup = {0, recipe, grace_ms, 0, 0, 0};
    return open_as(hosts, setup);
}

/* While the grace delay goes on, which is longer than this program may take. */
static void in_grace(int recipe, const char *name)
{
    struct path path = at(name);
    election_t *first = open_with_grace(recipe, 3600000), *second = open_with_grace(recipe, 3600000);
    struct record a, b, observer;
    int64_t token = 0x5a5a;
    record_init(&a, first);
    record_init(&b, second);
    record_init(&observer, second);
    CHECK_INT(ELECTION_OK, stand(&a, path.text, "v"));
    expect_role(&a, 0, path.text, ELECTION_UNKNOWN, ELECTION_REASON_GRACE, ELECTION_GRACE);
    CHECK_INT(0, a.heard[0].is_master);
    CHECK_INT(0, election_is_master(first, path.text));
    CHECK_INT(0, election_lease(first, path.text, &token, NULL));
    CHECK_INT(0x5a5a, token);
    CHECK_INT(ELECTION_NOT_MASTER, election_fenced_create(first, path.text, "/t", "", 0, PATIENCE_MS));
    /* To everybody else the place is taken. */
    CHECK_INT(ELECTION_OK, stand(&b, path.text, "w"));
    CHECK_INT(ELECTION_OK, election_wait(second, path.text, ELECTION_SLAVE, PATIENCE_MS));
    CHECK_INT(ELECTION_OK, watch(&observer, path.text));
    CHECK(record_wait(&observer, 1, 0));
    CHECK_INT(ELECTION_OK, observer.heard[0].rc);
    check_value(&observer.heard[0], "v", 1);

    /* The next one waits as well; an end that comes meanwhile is the end. */
    CHECK_INT(ELECTION_OK, election_resign(first, path.text));
    expect_end(&a, 1, path.text, ELECTION_REASON_RESIGNED, ELECTION_RESIGNED);
    expect_role(&b, 1, path.text, ELECTION_UNKNOWN, ELECTION_REASON_GRACE, ELECTION_GRACE);
    CHECK_INT(ELECTION_OK, election_resign(second, path.text));
    expect_end(&b, 2, path.text, ELECTION_REASON_RESIGNED, ELECTION_RESIGNED);
    CHECK_INT(ELECTION_OK, close_handle(first));
    CHECK_INT(ELECTION_OK, close_handle(second));
    record_done(&a);
    record_done(&b);
    record_done(&observer);
}

#define GRACE_MS 700

static int64_t heard_at[HEARD_MAX];

static void take_the_time(struct record *record, const struct heard *heard)
{
    heard_at[heard - record->heard] = clock_ms();
}

/* It is not over before its time, which begins when the candidate stands or later. */
static void after_grace(int recipe, const char *name)
{
    struct path path = at(name);
    election_t *handle = open_with_grace(recipe, GRACE_MS);
    struct record record;
    int64_t stood_at = clock_ms();
    record_init(&record, handle);
    record.then = take_the_time;
    CHECK_INT(ELECTION_OK, stand(&record, path.text, "v"));
    expect_role(&record, 0, path.text, ELECTION_UNKNOWN, ELECTION_REASON_GRACE, ELECTION_GRACE);
    expect_master(&record, 1, path.text);
    CHECK(heard_at[1] - stood_at >= GRACE_MS);
    CHECK_INT(ELECTION_OK, close_handle(handle));
    record_done(&record);
}

static void a_bad_number(void)
{
    election_options_t *options = election_options_new();
    election_t *handle = NULL;
    struct path path = at("bad");
    CHECK_INT(ELECTION_BAD_RECIPE, election_options_set_recipe(options, ELECTION_RECIPE_QUEUE_WRITE_LOCK + 1));
    CHECK_INT(ELECTION_BAD_RECIPE, election_options_set_recipe(options, -1));
    /* Then nothing has happened: it is the recipe that it was. */
    CHECK_INT(ELECTION_OK, open_handle(hosts, options, &handle));
    election_options_free(options);
    CHECK_INT(ELECTION_OK, go_to_election(handle, path.text, "", 0, NULL, NULL, NULL));
    CHECK_INT(ELECTION_OK, election_wait(handle, path.text, ELECTION_MASTER, PATIENCE_MS));
    CHECK_INT(ELECTION_OK, close_handle(handle));
}

int main(int argc, char **argv)
{
    read_arguments(argc, argv);
    a_queue(ELECTION_RECIPE_QUEUE, "latch", 1);
    a_queue(ELECTION_RECIPE_QUEUE_CURATOR_LOCK, "lock", 1);
    a_queue(ELECTION_RECIPE_QUEUE_KAZOO, "kazoo", 1);
    a_queue(ELECTION_RECIPE_QUEUE_LEADER_ELECTION_SUPPORT, "leader-election-support", 0);
    a_queue(ELECTION_RECIPE_QUEUE_W, "w", 0);
    a_queue(ELECTION_RECIPE_QUEUE_WRITE_LOCK, "write-lock", 1);
    strangers();
    in_grace(ELECTION_RECIPE_NODE, "in-grace-node");
    in_grace(ELECTION_RECIPE_QUEUE, "in-grace-queue");
    after_grace(ELECTION_RECIPE_NODE, "grace-node");
    after_grace(ELECTION_RECIPE_QUEUE, "grace-queue");
    a_bad_number();
    return 0;
}
