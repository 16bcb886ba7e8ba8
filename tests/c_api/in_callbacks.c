/* Every function, called from inside each kind of callback.
 *
 *     in_callbacks HOSTS ROOT SESSION_TIMEOUT_MS [manual|loop]
 */

#define _POSIX_C_SOURCE 200809L

#include "life.h"

/* The kinds: told of a role, a master, the members, the connection; freeing the ctx of each; told what is asked once; the
 * log. */
enum kind { ROLE, MASTER, MEMBERS, CONNECTION, FREE_ROLE, FREE_MASTER, FREE_MEMBERS, FREE_CONNECTION, MEMBER, ASKED, LOG,
            FREE_LOG, KINDS };

static int is_begun[KINDS], is_done[KINDS];
static election_t *the_handle;
static struct path stood, inner, nobody;
static election_t *left_open[2];
static int left_open_count;

static int lead_once(const election_leadership_t *leadership, void *ctx)
{
    CHECK(election_leadership_token(leadership) > 0);
    CHECK_INT(0, election_should_stop(leadership));
    CHECK_INT(ELECTION_OPERATIONTIMEOUT, election_wait_stop(leadership, 1));
    CHECK_INT(ELECTION_IN_CALLBACK, election_close(ctx));
    return 0;
}

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

static void ignore_connection(const election_connection_t *connection, void *ctx)
{
    (void)connection;
    (void)ctx;
}

static void ignore_log(const election_log_t *record, void *ctx)
{
    (void)record;
    (void)ctx;
}

/* What belongs to no handle. */
static void call_what_is_free(int is_of_log)
{
    election_options_t *options = election_options_new();
    election_verifier_t *verifier = election_verifier_new(1);
    election_t *other;
    CHECK(options != NULL && verifier != NULL);
    CHECK_INT(ELECTION_OK, election_options_set_session_timeout_ms(options, 1000));
    CHECK_INT(ELECTION_OK, election_options_set_connect_timeout_ms(options, 0));
    CHECK_INT(ELECTION_OK, election_options_set_recipe(options, ELECTION_RECIPE_QUEUE));
    CHECK_INT(ELECTION_OK, election_options_set_dispatch(options, dispatch_way()));
    CHECK_INT(ELECTION_OK, election_options_set_grace_ms(options, 0));
    CHECK_INT(ELECTION_OK, election_options_set_lease_mode(options, ELECTION_LEASE_ANSWERED));
    CHECK_INT(ELECTION_OK, election_options_set_lease_margin_ms(options, 0));
    CHECK_INT(ELECTION_OK, election_options_set_tick_ms(options, 0));
    CHECK_INT(ELECTION_OK, election_options_set_frame_limit_bytes(options, 1 << 22));
    CHECK_INT(ELECTION_OK, election_options_add_auth(options, "digest", "user:password", 13));
    CHECK_INT(ELECTION_OK, election_options_set_acl(options, ELECTION_ACL_CREATOR));
    CHECK_INT(ELECTION_OK, election_options_add_acl(options, ELECTION_PERM_READ, "world", "anyone"));
    CHECK_INT(ELECTION_BAD_TLS, election_options_set_tls(options, ",,key"));
    CHECK_INT(ELECTION_OK, election_options_set_tls_verify_host(options, 1));
    CHECK_INT(ELECTION_BAD_SASL, election_options_set_sasl(options, "mechanism", "PLAIN"));
    CHECK_INT(ELECTION_OK, election_open("127.0.0.1:1", options, &other));
    /* In the log, no handle at all. */
    CHECK_INT(is_of_log ? ELECTION_IN_CALLBACK : ELECTION_OK, election_close(other));
    if (is_of_log)
        left_open[left_open_count++] = other;
    election_options_free(options);
    CHECK_INT(ELECTION_OK, election_verifier_admit(verifier, 2));
    CHECK_INT(2, election_verifier_highest(verifier));
    election_verifier_free(verifier);
    CHECK(strcmp(ELECTION_VERSION, election_version()) == 0);
    CHECK(*election_strerror(ELECTION_IN_CALLBACK) != 0);
    CHECK(*election_explain(ELECTION_IN_CALLBACK) != 0);
}

static void call_everything(enum kind kind, election_t *handle)
{
    /* What is asked is told on the thread that asked, and the log on its own: neither is a callback of the handle's. */
    int is_of_log = kind == LOG || kind == FREE_LOG, is_asked = kind == MEMBER || kind == ASKED;
    int64_t token, left_ns;
    char *dump = NULL, why[256];
    election_counters_t counters = {.size = sizeof counters};
    if (__atomic_fetch_add(&is_begun[kind], 1, __ATOMIC_SEQ_CST) > 0)
        return;
    call_what_is_free(is_of_log);
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
    CHECK_INT(is_asked ? ELECTION_ALREADY : ELECTION_IN_CALLBACK,
              election_lead(handle, inner.text, "v", 1, lead_once, handle, PATIENCE_MS, NULL));
    CHECK_INT(ELECTION_OK, election_interrupt(handle));
    CHECK_INT(ELECTION_INTERRUPTED, election_wait(handle, inner.text, ELECTION_MASTER, ELECTION_FOREVER));
    CHECK_INT(ELECTION_OK, election_clear_interrupt(handle));
    CHECK_INT(1, election_should_stop(NULL));
    CHECK_INT(ELECTION_BAD_LEADERSHIP, election_wait_stop(NULL, 1000));
    CHECK_INT(0, election_leadership_token(NULL));
    CHECK_INT(ELECTION_OK, election_set_value(handle, inner.text, "x", 1));
    CHECK_INT(ELECTION_OK, election_connect_failure(handle, why, sizeof why));
    CHECK_INT(0, *why); /* there always was a connection */
    CHECK_INT(ELECTION_OK, election_counters(handle, &counters));
    CHECK(counters.fenced_writes >= 3);
    CHECK_INT(ELECTION_OK, election_dump(handle, ELECTION_DUMP_JSON, &dump));
    CHECK(strstr(dump, inner.text) != NULL && strstr(dump, "\"answered\"") != NULL);
    election_dump_free(dump);
    CHECK_INT(ELECTION_OK, election_resign(handle, inner.text));
    CHECK_INT(ELECTION_NOT_THERE, election_set_value(handle, inner.text, "x", 1));
    CHECK_INT(ELECTION_NOT_THERE, election_resign(handle, inner.text));
    CHECK_INT(0, election_is_master(handle, inner.text));
    CHECK_INT(is_asked ? ELECTION_OK : ELECTION_IN_CALLBACK,
              election_lead(handle, inner.text, "v", 1, lead_once, handle, PATIENCE_MS, NULL));
    CHECK_INT(ELECTION_OK, watch_master(handle, inner.text, ignore_master, NULL, NULL));
    CHECK_INT(ELECTION_OK, election_unwatch_master(handle, inner.text));
    CHECK_INT(ELECTION_NOT_THERE, election_unwatch_master(handle, inner.text));
    CHECK_INT(ELECTION_OK, election_watch_members(handle, inner.text, 1, ignore_members, NULL, NULL));
    CHECK_INT(ELECTION_OK, election_unwatch_members(handle, inner.text));
    if (kind == CONNECTION) {
        CHECK_INT(ELECTION_ALREADY, election_watch_connection(handle, ignore_connection, NULL, NULL));
    } else {
        CHECK_INT(ELECTION_OK, election_watch_connection(handle, ignore_connection, NULL, NULL));
        CHECK_INT(ELECTION_OK, election_unwatch_connection(handle));
        CHECK_INT(ELECTION_NOT_THERE, election_unwatch_connection(handle));
    }
    CHECK_INT(ELECTION_OK, election_set_log(ELECTION_LOG_DEBUG, ignore_log, NULL, NULL));
    CHECK_INT(ELECTION_OK, election_set_log(ELECTION_LOG_OFF, NULL, NULL, NULL));
    if (is_manual)
        CHECK(election_fd(handle) >= 0);
    else
        CHECK_INT(ELECTION_NOT_MANUAL, election_fd(handle));
    if (!is_manual)
        CHECK_INT(ELECTION_NOT_MANUAL, election_dispatch(handle, 1000));
    else if (is_of_log || is_asked)
        CHECK(election_dispatch(handle, 0) >= 0);
    else
        CHECK_INT(ELECTION_IN_CALLBACK, election_dispatch(handle, 1000));
    CHECK_INT(is_asked ? ELECTION_OK : ELECTION_IN_CALLBACK, election_wait_finished(handle, PATIENCE_MS));
    if (!is_asked)
        CHECK_INT(ELECTION_IN_CALLBACK, election_close(handle));
    __atomic_store_n(&is_done[kind], 1, __ATOMIC_SEQ_CST);
}

static election_t *handle_here(void)
{
    return __atomic_load_n(&the_handle, __ATOMIC_ACQUIRE);
}

/* The callback that hears a kind of news, and the one that frees its ctx. */
#define HEARS(name, news, kind)                           \
    static void name(const news *told, void *ctx)         \
    {                                                     \
        CHECK(told->size == sizeof *told && ctx == root); \
        call_everything(kind, handle_here());             \
    }

#define FREES(name, kind)                     \
    static void name(void *ctx)               \
    {                                         \
        CHECK(ctx == root);                   \
        call_everything(kind, handle_here()); \
    }

HEARS(in_role, election_event_t, ROLE)
HEARS(in_master, election_master_t, MASTER)
HEARS(in_members, election_members_t, MEMBERS)
HEARS(in_connection, election_connection_t, CONNECTION)
HEARS(in_member, election_member_t, MEMBER)
HEARS(in_asked, election_master_t, ASKED)
HEARS(in_log, election_log_t, LOG)
FREES(free_role, FREE_ROLE)
FREES(free_master, FREE_MASTER)
FREES(free_members, FREE_MEMBERS)
FREES(free_connection, FREE_CONNECTION)
FREES(free_log, FREE_LOG)

static void await(enum kind kind)
{
    int64_t until = clock_ms() + PATIENCE_MS;
    while (!__atomic_load_n(&is_done[kind], __ATOMIC_SEQ_CST)) {
        CHECK(clock_ms() < until);
        sleep_ms(1);
    }
}

#define await(...) FROM_HERE((await)(__VA_ARGS__))

int main(int argc, char **argv)
{
    void *ctx;
    election_t *handle;
    read_arguments(argc, argv);
    ctx = (void *)(uintptr_t)root;
    stood = at("stood");
    inner = at("inner");
    nobody = at("nobody");
    handle = open_at(hosts);
    __atomic_store_n(&the_handle, handle, __ATOMIC_RELEASE);

    CHECK_INT(ELECTION_OK, go_to_election(handle, stood.text, "v", 1, in_role, ctx, free_role));
    await(ROLE);
    CHECK_INT(ELECTION_OK, watch_master(handle, stood.text, in_master, ctx, free_master));
    await(MASTER);
    CHECK_INT(ELECTION_OK, election_watch_members(handle, stood.text, 1, in_members, ctx, free_members));
    await(MEMBERS);
    CHECK_INT(ELECTION_OK, election_watch_connection(handle, in_connection, ctx, free_connection));
    await(CONNECTION);
    CHECK_INT(ELECTION_OK, election_unwatch_connection(handle));
    await(FREE_CONNECTION);
    CHECK_INT(ELECTION_OK, election_members(handle, stood.text, in_member, ctx, PATIENCE_MS));
    CHECK_INT(ELECTION_OK, election_get_master(handle, stood.text, in_asked, ctx, PATIENCE_MS));
    CHECK_INT(ELECTION_OK, election_unwatch_master(handle, stood.text));
    await(FREE_MASTER);
    CHECK_INT(ELECTION_OK, election_unwatch_members(handle, stood.text));
    await(FREE_MEMBERS);
    CHECK_INT(1, election_is_master(handle, stood.text));
    CHECK_INT(ELECTION_OK, election_resign(handle, stood.text));
    await(FREE_ROLE);

    /* What is said of the candidate is its first record. */
    CHECK_INT(ELECTION_OK, election_set_log(ELECTION_LOG_DEBUG, in_log, ctx, free_log));
    CHECK_INT(ELECTION_OK, go_to_election(handle, stood.text, "v", 1, NULL, NULL, NULL));
    await(LOG);
    await(FREE_LOG);
    CHECK_INT(ELECTION_OK, close_handle(handle));
    while (left_open_count > 0)
        CHECK_INT(ELECTION_OK, election_close(left_open[--left_open_count]));
    for (int kind = 0; kind < KINDS; kind++)
        CHECK(is_done[kind]);
    return 0;
}
