/* election_watch_members, election_set_value, election_get_master: who is in, with values that change, and an alarm.
 *
 *     watch_members HOSTS ROOT SESSION_TIMEOUT_MS [manual|loop] [instrumented]
 */

#define _POSIX_C_SOURCE 200809L

#include "life.h"

#define NEWS_MAX 32
#define MEMBERS_MAX 4

/* What one watcher of members was told: the values in order, as "a b c". */
struct news {
    int rc;
    int alarm;
    size_t count;
    char values[128];
    char names[MEMBERS_MAX][128];
    int64_t tokens[MEMBERS_MAX];
    int64_t sessions[MEMBERS_MAX];
};

/* The ctx of one election_watch_members. */
struct roll {
    pthread_mutex_t lock;
    pthread_cond_t more;
    election_t *handle;
    char path[128];
    struct news news[NEWS_MAX];
    int count;
    int freed;
    /* More to do inside the callback; may be NULL. */
    void (*then)(struct roll *roll, const struct news *news);
};

typedef void then_fn(struct roll *roll, const struct news *news);

static void roll_init(struct roll *roll, election_t *handle, const char *path, then_fn *then)
{
    memset(roll, 0, sizeof *roll);
    pthread_mutex_init(&roll->lock, NULL);
    pthread_cond_init(&roll->more, NULL);
    /* The first callback reads them. */
    pthread_mutex_lock(&roll->lock);
    roll->handle = handle;
    roll->then = then;
    strcpy(roll->path, path);
    pthread_mutex_unlock(&roll->lock);
}

static void roll_done(struct roll *roll)
{
    pthread_mutex_destroy(&roll->lock);
    pthread_cond_destroy(&roll->more);
}

/* An election_members_fn. */
static void hear_members(const election_members_t *members, void *ctx)
{
    struct roll *roll = ctx;
    struct news news;
    then_fn *then;
    memset(&news, 0, sizeof news);
    pthread_mutex_lock(&roll->lock);
    then = roll->then;
    pthread_mutex_unlock(&roll->lock);
    CHECK_INT(sizeof *members, members->size);
    CHECK(strcmp(roll->path, members->path) == 0);
    CHECK(members->members != NULL);
    CHECK(members->members[members->count] == NULL);
    CHECK(members->count <= MEMBERS_MAX);
    news.rc = members->rc;
    news.alarm = members->alarm;
    news.count = members->count;
    for (size_t i = 0; i < members->count; i++) {
        const election_member_t *member = members->members[i];
        size_t len = strlen(news.values);
        CHECK_INT(sizeof *member, member->size);
        CHECK_INT(0, member->value[member->value_len]);
        CHECK_INT(strlen(member->value), member->value_len);
        CHECK(strlen(member->name) < sizeof news.names[i]);
        CHECK(member->token > 0 && member->session_id != 0);
        CHECK(llabs((long long)member->since_ms - (long long)time(NULL) * 1000) < 600000);
        snprintf(news.values + len, sizeof news.values - len, i == 0 ? "%s" : " %s", member->value);
        strcpy(news.names[i], member->name);
        news.tokens[i] = member->token;
        news.sessions[i] = member->session_id;
    }
    if (then != NULL)
        then(roll, &news);
    pthread_mutex_lock(&roll->lock);
    CHECK_INT(0, roll->freed);
    CHECK(roll->count < NEWS_MAX);
    roll->news[roll->count++] = news;
    pthread_cond_broadcast(&roll->more);
    pthread_mutex_unlock(&roll->lock);
}

static void free_roll(void *ctx)
{
    struct roll *roll = ctx;
    pthread_mutex_lock(&roll->lock);
    roll->freed++;
    pthread_cond_broadcast(&roll->more);
    pthread_mutex_unlock(&roll->lock);
}

static int roll_wait(struct roll *roll, int count, int freed)
{
    struct timespec until;
    int came;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_MS / 1000;
    pthread_mutex_lock(&roll->lock);
    while (roll->count < count || roll->freed < freed)
        if (pthread_cond_timedwait(&roll->more, &roll->lock, &until) != 0)
            break;
    came = roll->count >= count && roll->freed >= freed;
    pthread_mutex_unlock(&roll->lock);
    return came;
}

/* The news number `index` (from 0) must come, and say this. */
static const struct news *expect_in(struct roll *roll, int index, const char *values, int alarm)
{
    const struct news *news = &roll->news[index];
    CHECK(roll_wait(roll, index + 1, 0));
    if (strcmp(values, news->values) != 0)
        fprintf(stderr, "in are \"%s\", not \"%s\"\n", news->values, values);
    CHECK(strcmp(values, news->values) == 0);
    CHECK_INT(ELECTION_OK, news->rc);
    CHECK_INT(alarm, news->alarm);
    return news;
}

/* The last news, and free_ctx once after it. */
static void expect_closed(struct roll *roll, int index)
{
    const struct news *news = &roll->news[index];
    CHECK(roll_wait(roll, index + 1, 1));
    CHECK_INT(ELECTION_CLOSING, news->rc);
    CHECK_INT(ELECTION_ALARM_NONE, news->alarm);
    CHECK_INT(0, news->count);
    CHECK_INT(index + 1, roll->count);
    CHECK_INT(1, roll->freed);
}

#define expect_in(...) FROM_HERE((expect_in)(__VA_ARGS__))
#define expect_closed(...) FROM_HERE((expect_closed)(__VA_ARGS__))

static void set(election_t *handle, const char *path, const char *value)
{
    CHECK_INT(ELECTION_OK, election_set_value(handle, path, value, strlen(value)));
}

/* --- who is master, asked once -------------------------------------------------------------------------------- */

struct answer {
    int count;
    int rc;
    char value[64];
    int64_t token;
    int64_t session_id;
    pthread_t thread;
};

static void take_down(const election_master_t *master, void *ctx)
{
    struct answer *answer = ctx;
    CHECK_INT(sizeof *master, master->size);
    CHECK(master->value_len < sizeof answer->value);
    CHECK_INT(0, master->value[master->value_len]);
    answer->count++;
    answer->rc = master->rc;
    strcpy(answer->value, master->value);
    answer->token = master->token;
    answer->session_id = master->session_id;
    answer->thread = pthread_self();
}

static struct answer get_master(election_t *handle, const char *path)
{
    struct answer answer;
    memset(&answer, 0, sizeof answer);
    CHECK_INT(ELECTION_OK, election_get_master(handle, path, take_down, &answer, PATIENCE_MS));
    CHECK_INT(1, answer.count);
    CHECK(pthread_equal(pthread_self(), answer.thread));
    return answer;
}

static void await_value(election_t *handle, const char *path, const char *value)
{
    int64_t until = clock_ms() + PATIENCE_MS;
    while (strcmp(value, get_master(handle, path).value) != 0)
        CHECK(clock_ms() < until);
}

static void check_master_is(election_t *handle, const char *path, const char *value, int64_t token)
{
    struct answer answer = get_master(handle, path);
    CHECK_INT(ELECTION_OK, answer.rc);
    CHECK(strcmp(value, answer.value) == 0);
    CHECK_INT(token, answer.token);
    CHECK(answer.session_id != 0);
}

static void check_nobody_is_master(election_t *handle, const char *path)
{
    struct answer answer = get_master(handle, path);
    CHECK_INT(ELECTION_NONODE, answer.rc);
    CHECK_INT(0, answer.value[0]);
    CHECK_INT(0, answer.token);
    CHECK_INT(0, answer.session_id);
}

#define check_master_is(...) FROM_HERE((check_master_is)(__VA_ARGS__))
#define check_nobody_is_master(...) FROM_HERE((check_nobody_is_master)(__VA_ARGS__))

/* --- the tests ------------------------------------------------------------------------------------------------ */

static void a_queue(void)
{
    struct path path = at("queue");
    election_t *looker = open_recipe(ELECTION_RECIPE_QUEUE), *other = open_recipe(ELECTION_RECIPE_QUEUE);
    election_t *first = open_recipe(ELECTION_RECIPE_QUEUE), *second = open_recipe(ELECTION_RECIPE_QUEUE);
    static struct roll roll, again, no_alarm;
    static struct record a, b;
    const struct news *news;
    int64_t token;
    int last = 0;
    roll_init(&roll, looker, path.text, NULL);
    roll_init(&again, looker, path.text, NULL);
    roll_init(&no_alarm, other, path.text, NULL);
    record_init(&a, first);
    record_init(&b, second);
    check_nobody_is_master(looker, path.text);
    CHECK_INT(ELECTION_OK, election_watch_members(looker, path.text, 2, hear_members, &roll, free_roll));
    CHECK_INT(ELECTION_OK, election_watch_members(other, path.text, 0, hear_members, &no_alarm, free_roll));
    expect_in(&roll, 0, "", ELECTION_ALARM_TOO_FEW);
    expect_in(&no_alarm, 0, "", ELECTION_ALARM_NONE);

    CHECK_INT(ELECTION_OK, stand(&a, path.text, "a"));
    token = expect_master(&a, 0, path.text)->token;
    news = expect_in(&roll, 1, "a", ELECTION_ALARM_NONE);
    CHECK_INT(token, news->tokens[0]);
    CHECK_INT(ELECTION_OK, stand(&b, path.text, "b"));
    check_value(expect_slave(&b, 0, path.text), "a", 1);
    news = expect_in(&roll, 2, "a b", ELECTION_ALARM_ENOUGH);
    CHECK(news->tokens[0] < news->tokens[1]);
    CHECK(news->sessions[0] != news->sessions[1]);
    CHECK(strncmp(news->names[0], "_c_", 3) == 0 && strcmp(news->names[0], news->names[1]) != 0);
    check_master_is(looker, path.text, "a", token);
    check_master_is(second, path.text, "a", token);

    /* Both change their values; the one next to the master is told of the master's, and the order stays. */
    set(second, path.text, "b-idle");
    expect_in(&roll, 3, "a b-idle", ELECTION_ALARM_NONE);
    set(first, path.text, "a-busy");
    news = expect_in(&roll, 4, "a-busy b-idle", ELECTION_ALARM_NONE);
    CHECK_INT(token, news->tokens[0]);
    check_master_is(looker, path.text, "a-busy", token);
    CHECK_INT(1, record_count(&a));
    check_value(expect_slave(&b, 1, path.text), "a-busy", 6);
    CHECK_INT(1, election_is_master(first, path.text));

    /* The master goes; the next one's token was foretold, and its MASTER has the value that was set. */
    CHECK_INT(ELECTION_OK, election_resign(first, path.text));
    expect_end(&a, 1, path.text, ELECTION_REASON_RESIGNED, ELECTION_RESIGNED);
    expect_in(&roll, 5, "b-idle", ELECTION_ALARM_TOO_FEW);
    CHECK_INT(news->tokens[1], expect_master(&b, 2, path.text)->token);
    check_value(&b.heard[2], "b-idle", 6);

    /* No more after unwatch; and anew, from the beginning. */
    CHECK_INT(ELECTION_OK, election_unwatch_members(looker, path.text));
    CHECK(roll_wait(&roll, 6, 1));
    CHECK_INT(ELECTION_OK, election_watch_members(looker, path.text, 1, hear_members, &again, free_roll));
    expect_in(&again, 0, "b-idle", ELECTION_ALARM_NONE);
    CHECK_INT(ELECTION_OK, close_handle(second));
    expect_end(&b, 3, path.text, ELECTION_REASON_CLOSED, ELECTION_CLOSING);
    expect_in(&again, 1, "", ELECTION_ALARM_TOO_FEW);
    check_nobody_is_master(looker, path.text);
    CHECK_INT(6, roll.count);
    CHECK_INT(1, roll.freed);

    /* How much of this the other one was told together is a matter of luck; not that there was no alarm. */
    do {
        CHECK(roll_wait(&no_alarm, ++last + 1, 0));
        CHECK_INT(ELECTION_ALARM_NONE, no_alarm.news[last].alarm);
    } while (no_alarm.news[last].count > 0);
    CHECK_INT(ELECTION_OK, close_handle(looker));
    CHECK_INT(ELECTION_OK, close_handle(other));
    CHECK_INT(ELECTION_OK, close_handle(first));
    expect_closed(&again, 2);
    expect_closed(&no_alarm, last + 1);
    roll_done(&roll);
    roll_done(&again);
    roll_done(&no_alarm);
    record_done(&a);
    record_done(&b);
}

static void a_node(void)
{
    struct path path = at("node");
    election_t *first = open_at(hosts), *second = open_at(hosts);
    static struct roll roll;
    static struct record a, b, seen;
    const struct news *news;
    int64_t token;
    int index = 0;
    roll_init(&roll, second, path.text, NULL);
    record_init(&a, first);
    record_init(&b, second);
    record_init(&seen, second);
    CHECK_INT(ELECTION_OK, stand(&a, path.text, "one"));
    token = expect_master(&a, 0, path.text)->token;
    CHECK_INT(ELECTION_OK, stand(&b, path.text, "two"));
    expect_slave(&b, 0, path.text);
    CHECK_INT(ELECTION_OK, watch(&seen, path.text));
    index = expect_observed(&seen, index, &a.heard[0]);
    CHECK_INT(ELECTION_OK, election_watch_members(second, path.text, 1, hear_members, &roll, free_roll));
    news = expect_in(&roll, 0, "one", ELECTION_ALARM_NONE);
    CHECK(strcmp(news->names[0], "node") == 0);
    CHECK_INT(token, news->tokens[0]);

    /* Slaves, observers and watchers of the members hear of the new value; the token stays. */
    set(first, path.text, "one, busy");
    CHECK(record_wait(&b, 2, 0));
    check_value(&b.heard[1], "one, busy", 9);
    CHECK_INT(token, expect_slave(&b, 1, path.text)->token);
    CHECK(record_wait(&seen, index + 1, 0));
    check_value(&seen.heard[index], "one, busy", 9);
    CHECK_INT(token, seen.heard[index].token);
    expect_in(&roll, 1, "one, busy", ELECTION_ALARM_NONE);
    check_master_is(second, path.text, "one, busy", token);
    CHECK_INT(1, election_is_master(first, path.text));
    CHECK_INT(1, record_count(&a));

    /* A slave has no znode: its value is that with which it becomes master. */
    set(second, path.text, "two, new");
    CHECK_INT(ELECTION_OK, close_handle(first));
    token = expect_master(&b, 2, path.text)->token;
    check_value(&b.heard[2], "two, new", 8);
    /* In loop mode each handle has a loop of its own: the znode may have been made before the new value was known there. */
    await_value(second, path.text, "two, new");
    check_master_is(second, path.text, "two, new", token);
    CHECK_INT(ELECTION_OK, close_handle(second));
    record_done(&a);
    record_done(&b);
    record_done(&seen);
    CHECK_INT(1, roll.freed);
    CHECK_INT(ELECTION_CLOSING, roll.news[roll.count - 1].rc);
    roll_done(&roll);
}

static int64_t token_inside;

static void ask_inside(struct roll *roll, const struct news *news)
{
    if (news->count == 1 && strcmp(news->values, "mine") == 0) {
        token_inside = get_master(roll->handle, roll->path).token;
        CHECK_INT(ELECTION_ALREADY, election_watch_members(roll->handle, roll->path, 0, hear_members, NULL, NULL));
        set(roll->handle, roll->path, "set inside");
    } else if (news->count == 1) {
        CHECK(strcmp(news->values, "set inside") == 0);
        CHECK_INT(ELECTION_IN_CALLBACK, election_close(roll->handle));
        CHECK_INT(ELECTION_OK, election_unwatch_members(roll->handle, roll->path));
        CHECK_INT(ELECTION_NOT_THERE, election_unwatch_members(roll->handle, roll->path));
    }
}

/* Everything can be done inside a callback, and standing and watching on one handle do not mind each other. */
static void inside(void)
{
    struct path path = at("inside");
    election_t *handle = open_recipe(ELECTION_RECIPE_QUEUE_KAZOO);
    static struct roll roll;
    static struct record a;
    roll_init(&roll, handle, path.text, ask_inside);
    record_init(&a, handle);
    CHECK_INT(ELECTION_OK, election_watch_members(handle, path.text, 0, hear_members, &roll, free_roll));
    CHECK(roll_wait(&roll, 1, 0));
    CHECK_INT(ELECTION_OK, stand(&a, path.text, "mine"));
    CHECK(roll_wait(&roll, 3, 1));
    CHECK_INT(3, roll.count);
    CHECK_INT(1, roll.freed);
    CHECK_INT(expect_master(&a, 0, path.text)->token, token_inside);
    check_master_is(handle, path.text, "set inside", token_inside);
    CHECK_INT(ELECTION_OK, close_handle(handle));
    CHECK_INT(1, roll.freed);
    roll_done(&roll);
    record_done(&a);
}

/* Nobody can tell: no server is there. */
static void out_of_reach(void)
{
    election_t *handle = NULL;
    static struct roll roll;
    struct answer answer;
    memset(&answer, 0, sizeof answer);
    CHECK_INT(ELECTION_OK, open_handle("127.0.0.1:1", NULL, &handle));
    roll_init(&roll, handle, "/path", NULL);
    CHECK_INT(ELECTION_CONNECTIONLOSS, election_get_master(handle, "/path", take_down, &answer, PATIENCE_MS));
    CHECK_INT(0, answer.count);
    CHECK_INT(ELECTION_OK, election_watch_members(handle, "/path", 3, hear_members, &roll, free_roll));
    CHECK(roll_wait(&roll, 1, 0));
    CHECK_INT(ELECTION_CONNECTIONLOSS, roll.news[0].rc);
    CHECK_INT(ELECTION_ALARM_NONE, roll.news[0].alarm);
    CHECK_INT(0, roll.news[0].count);
    CHECK_INT(ELECTION_OK, close_handle(handle));
    expect_closed(&roll, 1);
    roll_done(&roll);
}

int main(int argc, char **argv)
{
    read_arguments(argc, argv);
    a_queue();
    a_node();
    inside();
    out_of_reach();
    return 0;
}
