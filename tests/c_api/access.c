/* Credentials and access control lists: who takes part, and what those who may not are told.
 *
 *     access HOSTS ROOT SESSION_TIMEOUT_MS [manual|loop] [instrumented]
 */

#define _POSIX_C_SOURCE 200809L

#include "life.h"

static election_options_t *options_of(const char *auth)
{
    election_options_t *options = election_options_new();
    CHECK(options != NULL);
    CHECK_INT(ELECTION_OK, election_options_set_session_timeout_ms(options, session_timeout_ms));
    CHECK_INT(ELECTION_OK, election_options_set_connect_timeout_ms(options, PATIENCE_MS));
    if (auth != NULL) {
        /* All of it is copied. */
        char scheme[] = "digest";
        char *bytes = malloc(strlen(auth));
        CHECK(bytes != NULL);
        memcpy(bytes, auth, strlen(auth));
        CHECK_INT(ELECTION_OK, election_options_add_auth(options, scheme, bytes, strlen(auth)));
        memset(scheme, 'x', sizeof scheme - 1);
        memset(bytes, 'x', strlen(auth));
        free(bytes);
    }
    return options;
}

static election_t *open_freeing(election_options_t *options)
{
    election_t *handle = NULL;
    CHECK_INT(ELECTION_OK, open_handle(hosts, options, &handle));
    election_options_free(options);
    return handle;
}

static void never_member(const election_member_t *member, void *ctx)
{
    (void)member;
    (void)ctx;
    CHECK(!"a member is shown to whom it may not be");
}

static int is_tried_again;
static struct record again;

/* What is refused can be tried again where it is heard. */
static void try_again(struct record *record, const struct heard *heard)
{
    record_init(&again, record->handle);
    CHECK_INT(ELECTION_OK, stand(&again, heard->path, "again"));
    is_tried_again = 1;
}

static void own_and_strangers(int recipe, const char *name)
{
    struct path path = at(name);
    election_options_t *own_options = options_of("alice:wonder"), *other_options = options_of("mallory:wonder");
    election_t *first, *second, *stranger;
    struct record first_heard, second_heard, refused, watched;
    election_options_t *same_options = options_of("alice:wonder");
    CHECK_INT(ELECTION_OK, election_options_set_recipe(own_options, recipe));
    CHECK_INT(ELECTION_OK, election_options_set_recipe(same_options, recipe));
    CHECK_INT(ELECTION_OK, election_options_set_recipe(other_options, recipe));
    CHECK_INT(ELECTION_OK, election_options_set_acl(own_options, ELECTION_ACL_CREATOR));
    CHECK_INT(ELECTION_OK, election_options_set_acl(same_options, ELECTION_ACL_CREATOR));
    first = open_freeing(own_options);
    second = open_freeing(same_options);
    stranger = open_freeing(other_options);
    record_init(&first_heard, first);
    record_init(&second_heard, second);
    record_init(&refused, stranger);
    record_init(&watched, stranger);
    CHECK_INT(ELECTION_OK, stand(&first_heard, path.text, "first"));
    expect_master(&first_heard, 0, path.text);
    CHECK_INT(ELECTION_OK, stand(&second_heard, path.text, "second"));
    CHECK_INT(ELECTION_OK, election_wait(second, path.text, ELECTION_SLAVE, PATIENCE_MS));

    refused.then = try_again;
    is_tried_again = 0;
    CHECK_INT(ELECTION_OK, stand(&refused, path.text, "stranger"));
    expect_end(&refused, 0, path.text, ELECTION_REASON_DENIED, ELECTION_NOAUTH);
    CHECK_INT(1, is_tried_again);
    expect_end(&again, 0, path.text, ELECTION_REASON_DENIED, ELECTION_NOAUTH);
    CHECK_INT(0, election_is_master(stranger, path.text));
    CHECK_INT(ELECTION_NOAUTH, election_wait(stranger, path.text, ELECTION_MASTER, PATIENCE_MS));
    CHECK_INT(ELECTION_NOT_THERE, election_resign(stranger, path.text));
    CHECK_INT(ELECTION_NOT_THERE, election_wait(stranger, path.text, ELECTION_MASTER, PATIENCE_MS));
    CHECK_INT(ELECTION_NOAUTH, election_members(stranger, path.text, never_member, NULL, PATIENCE_MS));
    CHECK_INT(ELECTION_OK, watch(&watched, path.text));
    CHECK(record_wait(&watched, 1, 1));
    CHECK_INT(ELECTION_NOAUTH, watched.heard[0].rc);
    CHECK_INT(1, record_count(&watched));
    CHECK_INT(ELECTION_NOT_THERE, election_unwatch_master(stranger, path.text));
    CHECK_INT(ELECTION_OK, close_handle(stranger));
    CHECK_INT(1, record_count(&refused));
    CHECK_INT(1, record_count(&again));

    CHECK_INT(ELECTION_OK, election_resign(first, path.text));
    CHECK_INT(ELECTION_OK, election_wait(second, path.text, ELECTION_MASTER, PATIENCE_MS));
    CHECK_INT(ELECTION_OK, close_handle(first));
    CHECK_INT(ELECTION_OK, close_handle(second));
    record_done(&first_heard);
    record_done(&second_heard);
    record_done(&refused);
    record_done(&again);
    record_done(&watched);
}

/* Everybody may read, and nobody else take part; besides, a user by name. */
static void readers(void)
{
    struct path path = at("readers");
    election_options_t *options = options_of("alice:wonder");
    election_t *master, *reader = open_at(hosts);
    struct record heard, watched;
    CHECK_INT(ELECTION_OK, election_options_set_acl(options, ELECTION_ACL_CREATOR_WORLD_READ));
    CHECK_INT(ELECTION_OK, election_options_add_acl(options, ELECTION_PERM_READ | ELECTION_PERM_CREATE, "digest",
                                                    "bob:6DY5WhzOfGsWQ1XFuIyzxkpwdPo="));
    master = open_freeing(options);
    record_init(&heard, master);
    record_init(&watched, reader);
    CHECK_INT(ELECTION_OK, stand(&heard, path.text, "master"));
    expect_master(&heard, 0, path.text);
    CHECK_INT(ELECTION_OK, watch(&watched, path.text));
    expect_observed(&watched, 0, &heard.heard[0]);
    CHECK_INT(ELECTION_OK, go_to_election(reader, path.text, NULL, 0, NULL, NULL, NULL));
    CHECK_INT(ELECTION_NOAUTH, election_wait(reader, path.text, ELECTION_MASTER, PATIENCE_MS));
    CHECK_INT(ELECTION_OK, close_handle(master));
    CHECK_INT(ELECTION_OK, close_handle(reader));
    record_done(&heard);
    record_done(&watched);
}

static void never_role(const election_event_t *event, void *ctx)
{
    (void)event;
    (void)ctx;
    CHECK(!"a refused candidate is told something");
}

static void never_free(void *ctx)
{
    (void)ctx;
    CHECK(!"the ctx of a refused call is freed");
}

static void refused_credentials(void)
{
    election_t *const sentinel = (election_t *)(uintptr_t)0x5a5a;
    struct path path = at("refused");
    election_options_t *options = options_of(NULL);
    election_t *handle = sentinel;
    struct record stands, watches;
    int64_t from = clock_ms();
    CHECK_INT(ELECTION_OK, election_options_add_auth(options, "no-such-scheme", "secret", 6));
    CHECK_INT(ELECTION_AUTHFAILED, open_handle(hosts, options, &handle));
    CHECK(clock_ms() - from < PATIENCE_MS / 2);
    CHECK(handle == sentinel);

    /* Whoever does not wait for the connection hears of it, and then gets it from what needs a session. */
    CHECK_INT(ELECTION_OK, election_options_set_connect_timeout_ms(options, 0));
    handle = open_freeing(options);
    record_init(&stands, handle);
    record_init(&watches, handle);
    /* The servers may have refused before these are called. */
    if (stand(&stands, path.text, "v") == ELECTION_OK)
        expect_end(&stands, 0, path.text, ELECTION_REASON_DENIED, ELECTION_AUTHFAILED);
    if (watch(&watches, path.text) == ELECTION_OK) {
        CHECK(record_wait(&watches, 1, 1));
        CHECK_INT(ELECTION_AUTHFAILED, watches.heard[0].rc);
    }
    while (go_to_election(handle, at("until").text, NULL, 0, NULL, NULL, NULL) != ELECTION_AUTHFAILED) {
        CHECK(clock_ms() - from < PATIENCE_MS);
        election_resign(handle, at("until").text);
        sleep_ms(1);
    }
    CHECK_INT(ELECTION_AUTHFAILED, go_to_election(handle, path.text, "v", 1, never_role, &path, never_free));
    CHECK_INT(ELECTION_AUTHFAILED, watch_master(handle, path.text, hear_master, &watches, never_free));
    CHECK_INT(ELECTION_AUTHFAILED, election_members(handle, path.text, never_member, NULL, PATIENCE_MS));
    CHECK_INT(ELECTION_AUTHFAILED, election_fenced_delete(handle, path.text, "/t", -1, PATIENCE_MS));
    CHECK_INT(ELECTION_AUTHFAILED, election_fenced_create(handle, path.text, "/t", NULL, 0, PATIENCE_MS));
    CHECK_INT(ELECTION_AUTHFAILED, election_fenced_set(handle, path.text, "/t", NULL, 0, -1, PATIENCE_MS));
    CHECK_INT(ELECTION_BAD_PATH, go_to_election(handle, "relative", "v", 1, never_role, &path, never_free));
    CHECK_INT(0, election_is_master(handle, path.text));
    CHECK_INT(ELECTION_OK, close_handle(handle));
    record_done(&stands);
    record_done(&watches);
}

static void refused_lists(void)
{
    struct path path = at("lists");
    election_options_t *options = options_of(NULL);
    election_t *handle;
    struct record record;
    CHECK_INT(ELECTION_OK, election_options_set_acl(options, ELECTION_ACL_CREATOR));
    handle = open_freeing(options);
    record_init(&record, handle);
    CHECK_INT(ELECTION_OK, stand(&record, path.text, "v"));
    expect_end(&record, 0, path.text, ELECTION_REASON_DENIED, ELECTION_INVALIDACL);
    CHECK_INT(ELECTION_OK, close_handle(handle));
    record_done(&record);
}

int main(int argc, char **argv)
{
    read_arguments(argc, argv);
    own_and_strangers(ELECTION_RECIPE_NODE, "node/master");
    own_and_strangers(ELECTION_RECIPE_QUEUE, "queue");
    readers();
    refused_credentials();
    refused_lists();
    return 0;
}
