/* Fenced writes: what a master writes to ZooKeeper, and nobody else can.
 *
 *     fence HOSTS ROOT SESSION_TIMEOUT_MS [manual|loop] [instrumented]
 */

#define _POSIX_C_SOURCE 200809L

#include <limits.h>

#include "life.h"

/* The value of a znode, as who stands at its path. */
struct znode {
    int is_there;
    char value[64];
    size_t value_len;
    int64_t session_id;
};

static void take_down(const election_member_t *member, void *ctx)
{
    struct znode *znode = ctx;
    znode->is_there = 1;
    znode->value_len = member->value_len;
    znode->session_id = member->session_id;
    CHECK(member->value_len < sizeof znode->value);
    memcpy(znode->value, member->value, member->value_len);
}

static election_t *reader;

static struct znode read_znode(const char *path)
{
    struct znode znode;
    memset(&znode, 0, sizeof znode);
    CHECK_INT(ELECTION_OK, election_members(reader, path, take_down, &znode, PATIENCE_MS));
    return znode;
}

static void expect_znode(const char *path, const void *value, size_t value_len)
{
    struct znode znode = read_znode(path);
    CHECK(znode.is_there);
    CHECK_INT(0, znode.session_id);
    CHECK_INT(value_len, znode.value_len);
    CHECK(memcmp(value, znode.value, value_len) == 0);
}

static void expect_none(const char *path)
{
    CHECK_INT(0, read_znode(path).is_there);
}

#define expect_znode(...) FROM_HERE((expect_znode)(__VA_ARGS__))
#define expect_none(...) FROM_HERE((expect_none)(__VA_ARGS__))

static int create(election_t *handle, const char *path, const char *target, const char *value)
{
    return election_fenced_create(handle, path, target, value, strlen(value), PATIENCE_MS);
}

static int set(election_t *handle, const char *path, const char *target, const char *value, int version)
{
    return election_fenced_set(handle, path, target, value, strlen(value), version, PATIENCE_MS);
}

static int delete(election_t *handle, const char *path, const char *target, int version)
{
    return election_fenced_delete(handle, path, target, version, PATIENCE_MS);
}

/* Nothing is written, whatever else is wrong with it. */
static void refuse(election_t *handle, const char *path, const char *target)
{
    char below[256];
    snprintf(below, sizeof below, "%s/below", target);
    CHECK_INT(ELECTION_NOT_MASTER, create(handle, path, target, "refused"));
    CHECK_INT(ELECTION_NOT_MASTER, create(handle, path, below, "refused"));
    CHECK_INT(ELECTION_NOT_MASTER, set(handle, path, target, "refused", -1));
    CHECK_INT(ELECTION_NOT_MASTER, set(handle, path, target, "refused", 7));
    CHECK_INT(ELECTION_NOT_MASTER, set(handle, path, below, "refused", -1));
    CHECK_INT(ELECTION_NOT_MASTER, delete(handle, path, target, -1));
    CHECK_INT(ELECTION_NOT_MASTER, delete(handle, path, below, 7));
    expect_none(below);
}

#define refuse(...) FROM_HERE((refuse)(__VA_ARGS__))

static struct path in(const char *folder, const char *name)
{
    struct path path;
    snprintf(path.text, sizeof path.text, "%s/%s/%s", root, folder, name);
    return path;
}

static void write_on_behalf_of(int recipe, const char *name)
{
    struct path path = in(name, "election"), target = in(name, "target");
    struct path child = in(name, "target/child"), nowhere = in(name, "nowhere/child");
    election_t *first = open_recipe(recipe), *second = open_recipe(recipe);
    struct record a, b;
    record_init(&a, first);
    record_init(&b, second);
    refuse(first, path.text, target.text);
    CHECK_INT(ELECTION_OK, stand(&a, path.text, "a"));
    expect_master(&a, 0, path.text);
    CHECK_INT(ELECTION_OK, stand(&b, path.text, "b"));
    CHECK_INT(ELECTION_OK, election_wait(second, path.text, ELECTION_SLAVE, PATIENCE_MS));

    /* Create. */
    refuse(second, path.text, target.text);
    expect_none(target.text);
    CHECK_INT(ELECTION_NONODE, create(first, path.text, nowhere.text, "x"));
    CHECK_INT(ELECTION_OK, create(first, path.text, target.text, "one"));
    expect_znode(target.text, "one", 3);
    CHECK_INT(ELECTION_NODEEXISTS, create(first, path.text, target.text, "x"));
    CHECK_INT(ELECTION_OK, create(first, path.text, child.text, ""));
    expect_znode(child.text, "", 0);

    /* Set. */
    refuse(second, path.text, target.text);
    CHECK_INT(ELECTION_NONODE, set(first, path.text, nowhere.text, "x", -1));
    CHECK_INT(ELECTION_BADVERSION, set(first, path.text, target.text, "x", 1));
    CHECK_INT(ELECTION_BADVERSION, set(first, path.text, target.text, "x", INT_MAX));
    expect_znode(target.text, "one", 3);
    CHECK_INT(ELECTION_OK, set(first, path.text, target.text, "two", 0));
    expect_znode(target.text, "two", 3);
    CHECK_INT(ELECTION_BADVERSION, set(first, path.text, target.text, "x", 0));
    CHECK_INT(ELECTION_OK, election_fenced_set(first, path.text, target.text, "\0bytes\0", 7, -1, PATIENCE_MS));
    expect_znode(target.text, "\0bytes\0", 7);
    CHECK_INT(ELECTION_OK, election_fenced_set(first, path.text, target.text, NULL, 0, 2, PATIENCE_MS));
    expect_znode(target.text, "", 0);

    /* Delete. */
    refuse(second, path.text, target.text);
    CHECK_INT(ELECTION_NONODE, delete(first, path.text, nowhere.text, -1));
    CHECK_INT(ELECTION_NOTEMPTY, delete(first, path.text, target.text, -1));
    CHECK_INT(ELECTION_BADVERSION, delete(first, path.text, child.text, 3));
    CHECK_INT(ELECTION_OK, delete(first, path.text, child.text, 0));
    expect_none(child.text);
    CHECK_INT(ELECTION_OK, delete(first, path.text, target.text, -1));
    expect_none(target.text);
    CHECK_INT(ELECTION_OK, create(first, path.text, target.text, "for the next"));

    /* Of two that are not the master, one was. */
    CHECK_INT(ELECTION_OK, election_resign(first, path.text));
    refuse(first, path.text, target.text);
    CHECK_INT(ELECTION_OK, election_wait(second, path.text, ELECTION_MASTER, PATIENCE_MS));
    CHECK_INT(ELECTION_OK, set(second, path.text, target.text, "by the next", 0));
    expect_znode(target.text, "by the next", 11);
    refuse(first, path.text, target.text);
    expect_znode(target.text, "by the next", 11);
    CHECK_INT(ELECTION_OK, delete(second, path.text, target.text, 1));
    CHECK_INT(ELECTION_OK, close_handle(first));
    CHECK_INT(ELECTION_OK, close_handle(second));
    record_done(&a);
    record_done(&b);
}

/* --- inside a callback, and from many threads at a time ------------------------------------------------------ */

static struct path inside_target;

static void write_inside(struct record *record, const struct heard *heard)
{
    if (heard->role == ELECTION_MASTER)
        CHECK_INT(ELECTION_OK, create(record->handle, heard->path, inside_target.text, "inside"));
}

struct writer {
    election_t *handle;
    int done;
};

#define WRITES 25

static void *write_on_and_on(void *ctx)
{
    struct writer *writer = ctx;
    struct path path = at("many/election");
    for (int i = 0; i < WRITES; i++)
        writer->done += set(writer->handle, path.text, inside_target.text, "x", -1) == ELECTION_OK;
    return NULL;
}

static void from_many_threads(void)
{
    struct path path = at("many/election");
    election_t *handle = open_at(hosts);
    struct writer writers[4];
    pthread_t threads[4];
    struct record record;
    int done = 0;
    inside_target = at("many/target");
    record_init(&record, handle);
    record.then = write_inside;
    CHECK_INT(ELECTION_OK, stand(&record, path.text, "v"));
    expect_master(&record, 0, path.text);
    expect_znode(inside_target.text, "inside", 6);
    for (int i = 0; i < 4; i++) {
        writers[i].handle = handle;
        writers[i].done = 0;
        CHECK_INT(0, pthread_create(&threads[i], NULL, write_on_and_on, &writers[i]));
    }
    for (int i = 0; i < 4; i++) {
        CHECK_INT(0, pthread_join(threads[i], NULL));
        done += writers[i].done;
    }
    CHECK_INT(4 * WRITES, done);
    /* Each write counts. */
    CHECK_INT(ELECTION_OK, delete(handle, path.text, inside_target.text, 4 * WRITES));
    CHECK_INT(ELECTION_OK, close_handle(handle));
    record_done(&record);
}

/* --- the other side ----------------------------------------------------------------------------------------- */

struct admission {
    const election_verifier_t *verifier;
    int first;
    int admitted;
};

#define TOKENS 20000

static void *admit_on_and_on(void *ctx)
{
    struct admission *admission = ctx;
    int64_t before = 0;
    for (int token = admission->first; token <= TOKENS; token += 2) {
        int rc = election_verifier_admit(admission->verifier, token);
        int64_t highest = election_verifier_highest(admission->verifier);
        CHECK(rc == ELECTION_OK || rc == ELECTION_STALE_TOKEN);
        CHECK(highest >= token && highest >= before);
        before = highest;
        admission->admitted += rc == ELECTION_OK;
    }
    return NULL;
}

/* The token of an event passes, until the next master's has passed. */
static void a_verifier(void)
{
    struct path path = at("verifier");
    election_verifier_t *verifier = election_verifier_new(0);
    election_t *first = open_at(hosts), *second = open_at(hosts);
    struct admission admissions[2];
    pthread_t threads[2];
    int64_t old = 0, new = 0, left_ns;
    CHECK(verifier != NULL);
    CHECK_INT(ELECTION_OK, go_to_election(first, path.text, "", 0, NULL, NULL, NULL));
    CHECK_INT(ELECTION_OK, election_wait(first, path.text, ELECTION_MASTER, PATIENCE_MS));
    CHECK_INT(1, election_lease(first, path.text, &old, &left_ns));
    CHECK_INT(ELECTION_OK, go_to_election(second, path.text, "", 0, NULL, NULL, NULL));
    CHECK_INT(ELECTION_OK, election_resign(first, path.text));
    CHECK_INT(ELECTION_OK, election_wait(second, path.text, ELECTION_MASTER, PATIENCE_MS));
    CHECK_INT(1, election_lease(second, path.text, &new, NULL));
    CHECK_INT(ELECTION_OK, election_verifier_admit(verifier, old));
    CHECK_INT(ELECTION_OK, election_verifier_admit(verifier, new));
    CHECK_INT(ELECTION_STALE_TOKEN, election_verifier_admit(verifier, old));
    CHECK_INT(ELECTION_OK, election_verifier_admit(verifier, new));
    CHECK_INT(new, election_verifier_highest(verifier));
    election_verifier_free(verifier);
    CHECK_INT(ELECTION_OK, close_handle(first));
    CHECK_INT(ELECTION_OK, close_handle(second));

    /* Many threads at a time. */
    verifier = election_verifier_new(0);
    for (int i = 0; i < 2; i++) {
        admissions[i].verifier = verifier;
        admissions[i].first = i + 1;
        admissions[i].admitted = 0;
        CHECK_INT(0, pthread_create(&threads[i], NULL, admit_on_and_on, &admissions[i]));
    }
    for (int i = 0; i < 2; i++)
        CHECK_INT(0, pthread_join(threads[i], NULL));
    /* The first to come with any token was admitted; the other may have come too late for all. */
    CHECK(admissions[0].admitted + admissions[1].admitted > TOKENS / 2 - 1);
    CHECK_INT(TOKENS, election_verifier_highest(verifier));
    election_verifier_free(verifier);
}

int main(int argc, char **argv)
{
    read_arguments(argc, argv);
    reader = open_at(hosts);
    write_on_behalf_of(ELECTION_RECIPE_NODE, "node");
    write_on_behalf_of(ELECTION_RECIPE_QUEUE, "queue");
    from_many_threads();
    a_verifier();
    CHECK_INT(ELECTION_OK, close_handle(reader));
    return 0;
}
