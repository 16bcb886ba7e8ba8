/* Every function, called from inside each kind of callback.
 *
 *     in_callbacks HOSTS ROOT SESSION_TIMEOUT_MS [manual]
 */

#define _POSIX_C_SOURCE 200809L

#include "life.h"

/* The kinds: told of a role, told of a master, freeing the ctx of either, shown a member. */
enum kind { ROLE, MASTER, FREE_ROLE, FREE_MASTER, MEMBER, KINDS };

static int is_done[KINDS];
static struct path stood, inner, nobody;

static void ignore_member(const election_member_t *member, void *ctx)
{
    (void)member;
    (void)ctx;
}

static void ignore_master(const election_master_t *master, void *ctx)
{
    (void)master;
    (void)ctx;
}

static void ignore_members(const election_members_t *members, void *ctx)
{
    (void)members;
    (void)ctx;
}

/* What belongs to no handle. */
static void call_what_is_free(void)
{
    election_options_t *options = election_options_new();
    election_verifier_t *verifier = election_verifier_new(1);
    election_t *other;
    CHECK(options != NULL && verifier != NULL);
    CHECK_INT(ELECTION_OK, election_options_set_session_timeout_ms(options, 1000));
    CHECK_INT(ELECTION_OK, election_options_set_connect_timeout_ms(options, 0));
    CHECK_INT(ELECTION_OK, election_options_set_recipe(options, ELECTION_RECIPE_QUEUE));
    CHECK_INT(ELECTION_OK, election_options_set_dispatch(options, is_manual));
    CHECK_INT(ELECTION_OK, election_options_set_grace_ms(options, 0));
    CHECK_INT(ELECTION_OK, election_options_set_lease_grade(options, ELECTION_LEASE_ANSWERED));
    CHECK_INT(ELECTION_OK, election_options_set_lease_margin_ms(options, 0));
    CHECK_INT(ELECTION_OK, election_options_set_tick_ms(options, 0));
    CHECK_INT(ELECTION_OK, election_open("127.0.0.1:1", options, &other));
    CHECK_INT(ELECTION_OK, election_close(other));
    election_options_free(options);
    CHECK_INT(ELECTION_OK, election_verifier_admit(verifier, 2));
    CHECK_INT(2, election_verifier_highest(verifier));
    election_verifier_free(verifier);
    CHECK(strcmp(ELECTION_VERSION, election_version()) == 0);
    CHECK(*election_strerror(ELECTION_IN_CALLBACK) != 0);
}

static void call_everything(enum kind kind, election_t *handle)
{
    /* A member is shown on the thread that asked, which is in no callback of the handle's. */
    int is_inside = kind != MEMBER;
    int64_t token, left_ns;
    if (is_done[kind]++ > 0)
        return;
    call_what_is_free();
    CHECK_INT(ELECTION_OK, go_to_election(handle, inner.text, "v", 1, NULL, NULL, NULL));
    CHECK_INT(ELECTION_ALREADY, go_to_election(handle, inner.text, "v", 1, NULL, NULL, NULL));
    CHECK_INT(ELECTION_OK, election_wait(handle, inner.text, ELECTION_MASTER, PATIENCE_MS));
    CHECK_INT(1, election_is_master(handle, inner.text));
    CHECK_INT(1, election_lease(handle, inner.text, &token, &left_ns));
    CHECK_INT(ELECTION_OK, election_fenced_create(handle, inner.text, nobody.text, "v", 1, PATIENCE_MS));
    CHECK_INT(ELECTION_OK, election_fenced_set(handle, inner.text, nobody.text, "w", 1, -1, PATIENCE_MS));
    CHECK_INT(ELECTION_OK, election_fenced_delete(handle, inner.text, nobody.text, -1, PATIENCE_MS));
    CHECK_INT(ELECTION_OK, election_members(handle, inner.text, ignore_member, NULL, PATIENCE_MS));
    CHECK_INT(ELECTION_OK, election_get_master(handle, inner.text, ignore_master, NULL, PATIENCE_MS));
    CHECK_INT(ELECTION_OK, election_set_value(handle, inner.text, "x", 1));
    CHECK_INT(ELECTION_OK, election_resign(handle, inner.text));
    CHECK_INT(ELECTION_NOT_THERE, election_set_value(handle, inner.text, "x", 1));
    CHECK_INT(ELECTION_NOT_THERE, election_resign(handle, inner.text));
    CHECK_INT(0, election_is_master(handle, inner.text));
    CHECK_INT(ELECTION_OK, watch_master(handle, inner.text, ignore_master, NULL, NULL));
    CHECK_INT(ELECTION_OK, election_unwatch_master(handle, inner.text));
    CHECK_INT(ELECTION_NOT_THERE, election_unwatch_master(handle, inner.text));
    CHECK_INT(ELECTION_OK, election_watch_members(handle, inner.text, 1, ignore_members, NULL, NULL));
    CHECK_INT(ELECTION_OK, election_unwatch_members(handle, inner.text));
    if (is_manual)
        CHECK(election_fd(handle) >= 0);
    else
        CHECK_INT(ELECTION_NOT_MANUAL, election_fd(handle));
    if (!is_manual)
        CHECK_INT(ELECTION_NOT_MANUAL, election_dispatch(handle, 1000));
    else if (is_inside)
        CHECK_INT(ELECTION_IN_CALLBACK, election_dispatch(handle, 1000));
    else
        CHECK(election_dispatch(handle, 0) >= 0);
    if (is_inside)
        CHECK_INT(ELECTION_IN_CALLBACK, election_close(handle));
}

static void in_role(struct record *record, const struct heard *heard)
{
    (void)heard;
    call_everything(ROLE, record->handle);
}

static void in_master(struct record *record, const struct heard *heard)
{
    (void)heard;
    call_everything(MASTER, record->handle);
}

static void in_free_role(struct record *record)
{
    call_everything(FREE_ROLE, record->handle);
}

static void in_free_master(struct record *record)
{
    call_everything(FREE_MASTER, record->handle);
}

static void in_member(const election_member_t *member, void *handle)
{
    CHECK(member->size == sizeof *member);
    call_everything(MEMBER, handle);
}

int main(int argc, char **argv)
{
    struct record role, master;
    election_t *handle;
    read_arguments(argc, argv);
    stood = at("stood");
    inner = at("inner");
    nobody = at("nobody");
    handle = open_at(hosts);
    record_init(&role, handle);
    record_init(&master, handle);
    role.then = in_role;
    role.at_free = in_free_role;
    master.then = in_master;
    master.at_free = in_free_master;

    CHECK_INT(ELECTION_OK, stand(&role, stood.text, "v"));
    CHECK(record_wait(&role, 1, 0));
    CHECK_INT(ELECTION_OK, watch(&master, stood.text));
    CHECK(record_wait(&master, 1, 0));
    CHECK_INT(ELECTION_OK, election_members(handle, stood.text, in_member, handle, PATIENCE_MS));
    CHECK_INT(ELECTION_OK, election_unwatch_master(handle, stood.text));
    CHECK(record_wait(&master, 0, 1));
    CHECK_INT(1, election_is_master(handle, stood.text));
    CHECK_INT(ELECTION_OK, election_resign(handle, stood.text));
    CHECK(record_wait(&role, 2, 1));
    CHECK_INT(ELECTION_OK, close_handle(handle));
    for (int kind = 0; kind < KINDS; kind++)
        CHECK(is_done[kind] > 0);
    CHECK_INT(1, record_freed(&role));
    CHECK_INT(1, record_freed(&master));
    record_done(&role);
    record_done(&master);
    return 0;
}
