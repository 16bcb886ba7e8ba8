/* Whatever is passed, each function answers with the number that the header names, and nothing has happened.
 *
 *     bad_input HOSTS ROOT [manual|loop]
 */

#define _POSIX_C_SOURCE 200809L

#include <limits.h>

#include "check.h"

static const char *hosts;
static const char *root;

/* No callback may be called for what was refused. */
static void never_role(const election_event_t *event, void *ctx)
{
    (void)event;
    (void)ctx;
    CHECK(!"a refused candidate is told something");
}

static void never_master(const election_master_t *master, void *ctx)
{
    (void)master;
    (void)ctx;
    CHECK(!"a refused observer is told something");
}

static void never_members(const election_members_t *members, void *ctx)
{
    (void)members;
    (void)ctx;
    CHECK(!"a refused watcher of members is told something");
}

static void never_member(const election_member_t *member, void *ctx)
{
    (void)member;
    (void)ctx;
    CHECK(!"a refused question is answered");
}

static void never_connection(const election_connection_t *connection, void *ctx)
{
    (void)connection;
    (void)ctx;
    CHECK(!"a refused watcher is told something");
}

static void never_log(const election_log_t *record, void *ctx)
{
    (void)record;
    (void)ctx;
    CHECK(!"a refused log is written to");
}

static void never_free(void *ctx)
{
    (void)ctx;
    CHECK(!"the ctx of a refused call is freed");
}

static int refused_stand(election_t *handle, const char *path, const void *value, size_t value_len)
{
    int ctx;
    return go_to_election(handle, path, value, value_len, never_role, &ctx, never_free);
}

static int refused_watch(election_t *handle, const char *path)
{
    int ctx;
    return watch_master(handle, path, never_master, &ctx, never_free);
}

static int refused_watch_members(election_t *handle, const char *path, int enough)
{
    int ctx;
    return election_watch_members(handle, path, enough, never_members, &ctx, never_free);
}

static int refused_get_master(election_t *handle, const char *path, int timeout_ms)
{
    return election_get_master(handle, path, never_master, NULL, timeout_ms);
}

static int never_lead(const election_leadership_t *leadership, void *ctx)
{
    (void)leadership;
    (void)ctx;
    CHECK(!"called");
    return 0;
}

static int refused_lead(election_t *handle, const char *path, const void *value, size_t value_len, int timeout_ms)
{
    int result = 7;
    int rc = election_lead(handle, path, value, value_len, never_lead, NULL, timeout_ms, &result);
    CHECK_INT(7, result);
    return rc;
}

static int refused_members(election_t *handle, const char *path, int timeout_ms)
{
    return election_members(handle, path, never_member, NULL, timeout_ms);
}

static int refused_connection(election_t *handle)
{
    int ctx;
    return election_watch_connection(handle, never_connection, &ctx, never_free);
}

static int refused_dump(election_t *handle, int format)
{
    char *const sentinel = (char *)(uintptr_t)0x5a5a;
    char *dump = sentinel;
    int rc = election_dump(handle, format, &dump);
    CHECK(dump == sentinel);
    return rc;
}

static int refused_counters(election_t *handle, size_t size)
{
    election_counters_t counters;
    int rc;
    memset(&counters, 0x5a, sizeof counters);
    counters.size = size;
    rc = election_counters(handle, &counters);
    CHECK_INT(size, counters.size);
    CHECK_INT(UINT64_C(0x5a5a5a5a5a5a5a5a), counters.connections);
    return rc;
}

/* No master, and so nothing is written to the places for what a master would be told. */
static void refuse_lease(election_t *handle, const char *path)
{
    int64_t token = 0x5a5a, left_ns = 0x5a5a;
    CHECK_INT(0, election_is_master(handle, path));
    CHECK_INT(0, election_lease(handle, path, &token, &left_ns));
    CHECK_INT(0, election_lease(handle, path, NULL, &left_ns));
    CHECK_INT(0, election_lease(handle, path, &token, NULL));
    CHECK_INT(0, election_lease(handle, path, NULL, NULL));
    CHECK_INT(0x5a5a, token);
    CHECK_INT(0x5a5a, left_ns);
}

/* A name of the failing case, for what comes from a table. */
static void name_case(const char *what, const char *text, int got)
{
    fprintf(stderr, "%s \"", what);
    for (; text != NULL && *text != 0; text++)
        fprintf(stderr, *text >= ' ' && *text <= '~' ? "%c" : "\\x%02x", (unsigned char)*text);
    fprintf(stderr, "\": %d (%s)\n", got, election_strerror(got));
}

/* --- handles ------------------------------------------------------------------------------------------------ */

static void refuse_handle(election_t *handle)
{
    CHECK_INT(ELECTION_BAD_HANDLE, refused_stand(handle, "/path", "", 0));
    CHECK_INT(ELECTION_BAD_HANDLE, go_to_election(handle, "/path", NULL, 0, NULL, NULL, NULL));
    CHECK_INT(ELECTION_BAD_HANDLE, election_resign(handle, "/path"));
    refuse_lease(handle, "/path");
    CHECK_INT(ELECTION_BAD_HANDLE, election_wait(handle, "/path", ELECTION_MASTER, 1000));
    CHECK_INT(ELECTION_BAD_HANDLE, refused_lead(handle, "/path", "", 0, 1000));
    CHECK_INT(ELECTION_BAD_HANDLE, election_interrupt(handle));
    CHECK_INT(ELECTION_BAD_HANDLE, election_clear_interrupt(handle));
    CHECK_INT(ELECTION_BAD_HANDLE, election_fd(handle));
    CHECK_INT(ELECTION_BAD_HANDLE, election_dispatch(handle, 0));
    CHECK_INT(ELECTION_BAD_HANDLE, election_dispatch(handle, 1000));
    CHECK_INT(ELECTION_BAD_HANDLE, election_fenced_create(handle, "/path", "/target", "", 0, 1000));
    CHECK_INT(ELECTION_BAD_HANDLE, election_fenced_set(handle, "/path", "/target", "", 0, -1, 1000));
    CHECK_INT(ELECTION_BAD_HANDLE, election_fenced_delete(handle, "/path", "/target", -1, 1000));
    CHECK_INT(ELECTION_BAD_HANDLE, refused_members(handle, "/path", 1000));
    CHECK_INT(ELECTION_BAD_HANDLE, refused_get_master(handle, "/path", 1000));
    CHECK_INT(ELECTION_BAD_HANDLE, refused_watch(handle, "/path"));
    CHECK_INT(ELECTION_BAD_HANDLE, election_unwatch_master(handle, "/path"));
    CHECK_INT(ELECTION_BAD_HANDLE, refused_watch_members(handle, "/path", 3));
    CHECK_INT(ELECTION_BAD_HANDLE, election_unwatch_members(handle, "/path"));
    CHECK_INT(ELECTION_BAD_HANDLE, election_set_value(handle, "/path", "", 0));
    CHECK_INT(ELECTION_BAD_HANDLE, refused_connection(handle));
    CHECK_INT(ELECTION_BAD_HANDLE, election_unwatch_connection(handle));
    CHECK_INT(ELECTION_BAD_HANDLE, election_wait_finished(handle, 1000));
    CHECK_INT(ELECTION_BAD_HANDLE, refused_counters(handle, sizeof(election_counters_t)));
    CHECK_INT(ELECTION_BAD_HANDLE, refused_dump(handle, ELECTION_DUMP_TEXT));
    CHECK_INT(ELECTION_BAD_HANDLE, election_close(handle));

    /* All wrong at once. */
    CHECK(refused_stand(handle, NULL, NULL, 1) < 0);
    CHECK(election_resign(handle, NULL) < 0);
    refuse_lease(handle, NULL);
    CHECK(election_wait(handle, NULL, 7, -1) < 0);
    CHECK(election_lead(handle, NULL, NULL, 1, NULL, NULL, -1, NULL) < 0);
    CHECK(election_dispatch(handle, -1) < 0);
    CHECK(election_fenced_create(handle, NULL, NULL, NULL, 1, -1) < 0);
    CHECK(election_fenced_set(handle, NULL, NULL, NULL, 1, -7, -1) < 0);
    CHECK(election_fenced_delete(handle, NULL, NULL, -7, -1) < 0);
    CHECK(election_members(handle, NULL, NULL, NULL, -1) < 0);
    CHECK(election_get_master(handle, NULL, NULL, NULL, -1) < 0);
    CHECK(refused_watch(handle, NULL) < 0);
    CHECK(election_unwatch_master(handle, NULL) < 0);
    CHECK(refused_watch_members(handle, NULL, -1) < 0);
    CHECK(election_unwatch_members(handle, NULL) < 0);
    CHECK(election_set_value(handle, NULL, NULL, 1) < 0);
    CHECK(election_watch_connection(handle, NULL, NULL, never_free) < 0);
    CHECK(election_counters(handle, NULL) < 0);
    CHECK(refused_counters(handle, 0) < 0);
    CHECK(election_dump(handle, 7, NULL) < 0);
    CHECK(election_connect_failure(handle, NULL, 0) < 0);
}

#define refuse_handle(...) FROM_HERE((refuse_handle)(__VA_ARGS__))

static void refuse_garbage(void)
{
    static int somewhere;
    int on_the_stack = 0;
    int *on_the_heap = malloc(sizeof *on_the_heap);
    CHECK(on_the_heap != NULL);
    *on_the_heap = 7;
    refuse_handle(NULL);
    for (uintptr_t number = 1; number <= 64; number++)
        refuse_handle((election_t *)number);
    refuse_handle((election_t *)UINTPTR_MAX);
    refuse_handle((election_t *)(UINTPTR_MAX - 1));
    refuse_handle((election_t *)(uintptr_t)INT_MAX);
    refuse_handle((election_t *)(void *)&on_the_stack);
    refuse_handle((election_t *)(void *)&somewhere);
    refuse_handle((election_t *)(void *)on_the_heap);
    free(on_the_heap);
}

static void closed_handles(void)
{
    election_t *closed[20], *handle;
    for (int i = 0; i < 20; i++) {
        CHECK_INT(ELECTION_OK, open_handle("127.0.0.1:1", NULL, &closed[i]));
        CHECK_INT(ELECTION_OK, close_handle(closed[i]));
    }
    /* A new handle is none of the old ones. */
    CHECK_INT(ELECTION_OK, open_handle("127.0.0.1:1", NULL, &handle));
    for (int i = 0; i < 20; i++)
        refuse_handle(closed[i]);
    CHECK_INT(ELECTION_OK, close_handle(handle));
    refuse_handle(handle);
}

/* --- options ------------------------------------------------------------------------------------------------ */

/* An option that is a number in a range. */
struct range {
    int (*set)(election_options_t *options, int number);
    int least, most;
    int refusal;
};

static void options(void)
{
    static const struct range ranges[] = {
        {election_options_set_session_timeout_ms, 100, 3600000, ELECTION_BAD_TIMEOUT},
        {election_options_set_connect_timeout_ms, 0, 3600000, ELECTION_BAD_TIMEOUT},
        {election_options_set_grace_ms, 0, 3600000, ELECTION_BAD_TIMEOUT},
        {election_options_set_lease_margin_ms, 0, 3600000, ELECTION_BAD_TIMEOUT},
        {election_options_set_tick_ms, 0, 3600000, ELECTION_BAD_TIMEOUT},
        {election_options_set_frame_limit_bytes, 1 << 20, 1 << 30, ELECTION_BAD_FRAME_LIMIT},
        {election_options_set_recipe, ELECTION_RECIPE_NODE, ELECTION_RECIPE_QUEUE_WRITE_LOCK, ELECTION_BAD_RECIPE},
        {election_options_set_lease_mode, ELECTION_LEASE_COMMITTED, ELECTION_LEASE_ANSWERED, ELECTION_BAD_LEASE_MODE},
        {election_options_set_acl, ELECTION_ACL_OPEN, ELECTION_ACL_CREATOR_WORLD_READ, ELECTION_BAD_ACL},
        {election_options_set_dispatch, ELECTION_DISPATCH_THREAD, ELECTION_DISPATCH_LOOP, ELECTION_BAD_DISPATCH},
    };
    election_options_t *options = election_options_new();
    CHECK(options != NULL);
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        const struct range *range = &ranges[i];
        int bad[] = {range->least - 1, range->most + 1, -1, -100, INT_MAX, INT_MIN};
        int good[] = {range->least + 1, (range->least + range->most) / 2, range->most, range->least};
        for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
            CHECK_INT(range->refusal, range->set(options, bad[k]));
        for (size_t k = 0; k < sizeof good / sizeof *good; k++)
            CHECK_INT(ELECTION_OK, range->set(options, good[k]));
        CHECK_INT(ELECTION_BAD_OPTIONS, range->set(NULL, range->least));
        CHECK_INT(ELECTION_BAD_OPTIONS, range->set(NULL, range->most + 1));
    }
    election_options_free(options);
    election_options_free(NULL);
}

/* --- credentials and access control lists -------------------------------------------------------------------- */

static void credentials(void)
{
    static char longest[65536 + 1];
    election_options_t *options = election_options_new();
    CHECK(options != NULL);
    memset(longest, 'x', sizeof longest - 1);
    CHECK_INT(ELECTION_BAD_OPTIONS, election_options_add_auth(NULL, "digest", "a:b", 3));
    CHECK_INT(ELECTION_BAD_AUTH, election_options_add_auth(options, NULL, "a:b", 3));
    CHECK_INT(ELECTION_BAD_AUTH, election_options_add_auth(options, "", "a:b", 3));
    CHECK_INT(ELECTION_BAD_AUTH, election_options_add_auth(options, "dig\xffst", "a:b", 3));
    CHECK_INT(ELECTION_BAD_AUTH, election_options_add_auth(options, "digest", NULL, 1));
    CHECK_INT(ELECTION_BAD_AUTH, election_options_add_auth(options, "digest", NULL, SIZE_MAX));
    CHECK_INT(ELECTION_BAD_AUTH, election_options_add_auth(options, "digest", "a:b", SIZE_MAX));
    CHECK_INT(ELECTION_BAD_AUTH, election_options_add_auth(options, "x", longest, 65536));
    CHECK_INT(ELECTION_BAD_AUTH, election_options_add_auth(options, longest, NULL, 1));
    CHECK_INT(ELECTION_BAD_AUTH, election_options_add_auth(options, longest, "a", 1));
    CHECK_INT(ELECTION_OK, election_options_add_auth(options, "x", longest, 65535));
    CHECK_INT(ELECTION_OK, election_options_add_auth(options, "digest", NULL, 0));
    for (int i = 2; i < 16; i++)
        CHECK_INT(ELECTION_OK, election_options_add_auth(options, "digest", "\0\xff:", 3));
    CHECK_INT(ELECTION_BAD_AUTH, election_options_add_auth(options, "digest", "a:b", 3));
    election_options_free(options);
}

static void lists(void)
{
    static const int bad[] = {0, -1, 32, 33, 64, INT_MAX, INT_MIN};
    static char longest[1024 + 1];
    election_options_t *options = election_options_new();
    CHECK(options != NULL);
    memset(longest, 'x', sizeof longest - 1);
    CHECK_INT(ELECTION_BAD_OPTIONS, election_options_add_acl(NULL, ELECTION_PERM_ALL, "world", "anyone"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_INT(ELECTION_BAD_ACL, election_options_add_acl(options, bad[i], "world", "anyone"));
    CHECK_INT(ELECTION_BAD_ACL, election_options_add_acl(options, ELECTION_PERM_ALL, NULL, "anyone"));
    CHECK_INT(ELECTION_BAD_ACL, election_options_add_acl(options, ELECTION_PERM_ALL, "", "anyone"));
    CHECK_INT(ELECTION_BAD_ACL, election_options_add_acl(options, ELECTION_PERM_ALL, "w\xff", "anyone"));
    CHECK_INT(ELECTION_BAD_ACL, election_options_add_acl(options, ELECTION_PERM_ALL, "world", NULL));
    CHECK_INT(ELECTION_BAD_ACL, election_options_add_acl(options, ELECTION_PERM_ALL, "world", "\xff"));
    CHECK_INT(ELECTION_BAD_ACL, election_options_add_acl(options, ELECTION_PERM_ALL, "x", longest));
    CHECK_INT(ELECTION_OK, election_options_add_acl(options, ELECTION_PERM_ALL, "x", longest + 1));
    CHECK_INT(ELECTION_OK, election_options_add_acl(options, ELECTION_PERM_READ, "auth", ""));
    for (int i = 2; i < 16; i++)
        CHECK_INT(ELECTION_OK, election_options_add_acl(options, i, "world", "anyone"));
    CHECK_INT(ELECTION_BAD_ACL, election_options_add_acl(options, ELECTION_PERM_ALL, "world", "anyone"));
    /* A list of the library's has two entries at most, and leaves room for the rest. */
    CHECK_INT(ELECTION_OK, election_options_set_acl(options, ELECTION_ACL_CREATOR_WORLD_READ));
    for (int i = 2; i < 16; i++)
        CHECK_INT(ELECTION_OK, election_options_add_acl(options, i, "world", "anyone"));
    CHECK_INT(ELECTION_BAD_ACL, election_options_add_acl(options, ELECTION_PERM_ALL, "world", "anyone"));
    election_options_free(options);
}

static void tls(void)
{
    static const int bad[] = {-1, 2, INT_MAX, INT_MIN};
    static char longest[16384 + 2];
    election_options_t *options = election_options_new();
    election_t *handle = NULL;
    int has_tls;
    CHECK(options != NULL);
    memset(longest, 'x', sizeof longest - 1);
    CHECK_INT(ELECTION_BAD_OPTIONS, election_options_set_tls(NULL, "ca"));
    CHECK_INT(ELECTION_BAD_TLS, election_options_set_tls(options, NULL));
    CHECK(strcmp(election_explain(ELECTION_BAD_TLS), "the string for TLS is NULL") == 0);
    CHECK_INT(ELECTION_BAD_TLS, election_options_set_tls(options, "c\xff"));
    CHECK_INT(ELECTION_BAD_TLS, election_options_set_tls(options, longest));
    /* The library that is compiled for AddressSanitizer has no TLS. */
    has_tls = election_options_set_tls(options, "ca") == ELECTION_OK;
    CHECK(has_tls || strstr(election_explain(ELECTION_BAD_TLS), "was built without TLS") != NULL);
    CHECK_INT(has_tls ? ELECTION_OK : ELECTION_BAD_TLS, election_options_set_tls(options, longest + 1));
    CHECK_INT(ELECTION_BAD_TLS, election_options_set_tls(options, ",,key"));
    CHECK_INT(ELECTION_BAD_TLS, election_options_set_tls(options, ",,,secret"));
    CHECK(strstr(election_explain(ELECTION_BAD_TLS), "no key") != NULL);
    CHECK_INT(has_tls ? ELECTION_OK : ELECTION_BAD_TLS, election_options_set_tls(options, "/no-such-folder/ca.pem"));
    CHECK_INT(ELECTION_BAD_TLS, election_open("127.0.0.1:1", options, &handle));
    CHECK(strstr(election_explain(ELECTION_BAD_TLS), has_tls ? "the CA file /no-such-folder/ca.pem: no such file"
                                                             : "was built without TLS") != NULL);
    CHECK(handle == NULL);
    CHECK_INT(ELECTION_BAD_OPTIONS, election_options_set_tls_verify_host(NULL, 1));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_INT(ELECTION_BAD_TLS, election_options_set_tls_verify_host(options, bad[i]));
    CHECK_INT(ELECTION_OK, election_options_set_tls_verify_host(options, 0));
    CHECK_INT(ELECTION_OK, election_options_set_tls_verify_host(options, 1));
    election_options_free(options);
}

static void sasl(void)
{
    static char longest[4096 + 2];
    static const char *const names[] = {"mechanism", "user", "password_file"};
    static const char *const values[] = {"DIGEST-MD5", "app", "/no-such-folder/password"};
    election_options_t *options = election_options_new();
    election_t *handle = NULL;
    CHECK(options != NULL);
    memset(longest, 'x', sizeof longest - 1);
    CHECK_INT(ELECTION_BAD_OPTIONS, election_options_set_sasl(NULL, "user", "app"));
    CHECK_INT(ELECTION_BAD_SASL, election_options_set_sasl(options, NULL, "app"));
    CHECK_INT(ELECTION_BAD_SASL, election_options_set_sasl(options, "user", NULL));
    CHECK(strcmp(election_explain(ELECTION_BAD_SASL), "the name or value of a parameter of SASL is NULL") == 0);
    CHECK_INT(ELECTION_BAD_SASL, election_options_set_sasl(options, "us\xff", "app"));
    CHECK_INT(ELECTION_BAD_SASL, election_options_set_sasl(options, "user", "a\xff"));
    CHECK_INT(ELECTION_BAD_SASL, election_options_set_sasl(options, "user", "a\nb"));
    CHECK_INT(ELECTION_BAD_SASL, election_options_set_sasl(options, "user", longest));
    CHECK_INT(ELECTION_BAD_SASL, election_options_set_sasl(options, "password", "secret"));
    CHECK(strstr(election_explain(ELECTION_BAD_SASL), "there is no parameter \"password\"") != NULL);
    CHECK_INT(ELECTION_BAD_SASL, election_options_set_sasl(options, "mechanism", "PLAIN"));
    CHECK(strstr(election_explain(ELECTION_BAD_SASL), "there is no mechanism \"PLAIN\"") != NULL);
    CHECK_INT(ELECTION_OK, election_options_set_sasl(options, "user", longest + 1));
    CHECK_INT(ELECTION_BAD_SASL, election_open("127.0.0.1:1", options, &handle));
    CHECK(strstr(election_explain(ELECTION_BAD_SASL), "no mechanism") != NULL);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        CHECK_INT(ELECTION_OK, election_options_set_sasl(options, names[i], values[i]));
        if (i > 0)
            CHECK_INT(ELECTION_BAD_SASL, election_open("127.0.0.1:1", options, &handle));
    }
    /* The library that is compiled for AddressSanitizer has no SASL. */
    CHECK(strstr(election_explain(ELECTION_BAD_SASL), "the password file /no-such-folder/password: no such file") != NULL ||
          strstr(election_explain(ELECTION_BAD_SASL), "was built without SASL") != NULL);
    CHECK(handle == NULL);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        CHECK_INT(ELECTION_OK, election_options_set_sasl(options, names[i], ""));
    CHECK_INT(ELECTION_OK, election_open("127.0.0.1:1", options, &handle));
    CHECK_INT(ELECTION_OK, election_close(handle));
    election_options_free(options);
}

/* --- hosts -------------------------------------------------------------------------------------------------- */

static void refuse_hosts(const char *text)
{
    election_t *const sentinel = (election_t *)(uintptr_t)0x5a5a;
    election_t *handle = sentinel;
    int rc = election_open(text, NULL, &handle);
    if (rc != ELECTION_BAD_HOSTS)
        name_case("hosts", text, rc);
    CHECK_INT(ELECTION_BAD_HOSTS, rc);
    CHECK(handle == sentinel);
    CHECK_INT(ELECTION_BAD_RESULT, election_open(text, NULL, NULL));
}

static void accept_hosts(const char *text)
{
    election_t *handle = NULL;
    int rc = open_handle(text, NULL, &handle);
    if (rc != ELECTION_OK)
        name_case("hosts", text, rc);
    CHECK_INT(ELECTION_OK, rc);
    CHECK(handle != NULL);
    CHECK_INT(ELECTION_OK, close_handle(handle));
}

static void hosts_and_result(void)
{
    static const char *const bad[] = {
        NULL, "", " ", ",", ",host", "host,,host", "host,,", "ho st", "host;host", "host host", "host\nhost",
        "host:", "host:0", "host:00", "host:-1", "host:+1", "host: 1", "host:65536", "host:99999", "host:010",
        "host:18446744073709551617", "host:abc", "host:0x10", "host:1:2", ":2181", ":",
        "ho|st", "-host", "host..com", "user@host", "10.0.0.256", "010.0.0.1", "127.1", "z\xc3\xbcrich.ch",
        "[::1", "::1:2181", "fe80::1%", "[]", "[]:1", "[::1]2181", "[::1]:", "[::1]:0", "[::1]x", "[host]:1",
        "[1.2.3.4]:1", "]::1[:1", "[[::1]]:1",
        "/", "/chroot", "host:2181//", "host:2181/a/", "host:2181//a", "host:2181/a//b", "host:2181/./a",
        "host:2181/a/..", "host:2181/a,host:2181", "host:2181/a\x01", "host:2181/a\xff",
        "host\xff:2181", "\xc3\x28", "\xed\xa0\x80", "\xf0\x9f\x98",
        "tcp://host:2181", "tcp+tls://host:1", "zk://host:2181",
    };
    /* Addresses only: a name is looked up on a thread that may still be at it when the program ends. */
    static const char *const good[] = {
        "127.0.0.1", "127.0.0.1:1", "127.0.0.1:65535", "127.0.0.1:1,127.0.0.1:2,127.0.0.1",
        "[::1]", "[::1]:1", "127.0.0.1:1,[::1]:1", "127.0.0.1:1/a", "127.0.0.1:1,127.0.0.1:2/a/b.c",
        /* ZooKeeper's own clients take the root for no chroot. */
        "127.0.0.1:1/",
        /* What people write. */
        "127.0.0.1:1,", "127.0.0.1:1\n", "\t127.0.0.1:1 , 127.0.0.1:2 ", "::1", "fe80::1", "127.0.0.1:1, ::1,/a\n",
    };
    char chroot[ELECTION_PATH_MAX + 64];
    size_t prefix = strlen("127.0.0.1:1");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refuse_hosts(bad[i]);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        accept_hosts(good[i]);
    CHECK_INT(ELECTION_BAD_RESULT, election_open(hosts, NULL, NULL));

    /* A chroot that leaves no room for any path. */
    memset(chroot, 'c', sizeof chroot);
    memcpy(chroot, "127.0.0.1:1/", prefix + 1);
    chroot[prefix + ELECTION_PATH_MAX] = 0;
    refuse_hosts(chroot);
}

/* --- paths -------------------------------------------------------------------------------------------------- */

static void refuse_path(election_t *handle, const char *path)
{
    int rc = refused_stand(handle, path, "value", 5);
    if (rc != ELECTION_BAD_PATH)
        name_case("path", path, rc);
    CHECK_INT(ELECTION_BAD_PATH, rc);
    CHECK_INT(ELECTION_BAD_PATH, election_resign(handle, path));
    refuse_lease(handle, path);
    CHECK_INT(ELECTION_BAD_PATH, election_wait(handle, path, ELECTION_MASTER, 1000));
    CHECK_INT(ELECTION_BAD_PATH, refused_lead(handle, path, "", 0, 1000));
    CHECK_INT(ELECTION_BAD_PATH, election_fenced_create(handle, path, "/target", "", 0, 1000));
    CHECK_INT(ELECTION_BAD_PATH, election_fenced_create(handle, "/path", path, "", 0, 1000));
    CHECK_INT(ELECTION_BAD_PATH, election_fenced_set(handle, path, "/target", "", 0, -1, 1000));
    CHECK_INT(ELECTION_BAD_PATH, election_fenced_set(handle, "/path", path, "", 0, -1, 1000));
    CHECK_INT(ELECTION_BAD_PATH, election_fenced_delete(handle, path, "/target", -1, 1000));
    CHECK_INT(ELECTION_BAD_PATH, election_fenced_delete(handle, "/path", path, -1, 1000));
    CHECK_INT(ELECTION_BAD_PATH, refused_members(handle, path, 1000));
    CHECK_INT(ELECTION_BAD_PATH, refused_get_master(handle, path, 1000));
    CHECK_INT(ELECTION_BAD_PATH, refused_watch(handle, path));
    CHECK_INT(ELECTION_BAD_PATH, election_unwatch_master(handle, path));
    CHECK_INT(ELECTION_BAD_PATH, refused_watch_members(handle, path, 3));
    CHECK_INT(ELECTION_BAD_PATH, election_unwatch_members(handle, path));
    CHECK_INT(ELECTION_BAD_PATH, election_set_value(handle, path, "", 0));
}

/* Well-formed, so that nobody stands there is all that can be said. */
static void accept_path(election_t *handle, const char *path)
{
    int rc = election_resign(handle, path);
    if (rc != ELECTION_NOT_THERE)
        name_case("path", path, rc);
    CHECK_INT(ELECTION_NOT_THERE, rc);
    refuse_lease(handle, path);
    CHECK_INT(ELECTION_NOT_THERE, election_wait(handle, path, ELECTION_MASTER, 1000));
    CHECK_INT(ELECTION_NOT_THERE, election_unwatch_master(handle, path));
    CHECK_INT(ELECTION_NOT_THERE, election_unwatch_members(handle, path));
    CHECK_INT(ELECTION_NOT_THERE, election_set_value(handle, path, "value", 5));
}

static void paths(election_t *handle)
{
    static const char *const bad[] = {
        NULL, "", "a", "a/b", " /a", "./a", "../a", "/", "//", "///", "/a/", "/a/b/", "//a", "/a//b",
        "/.", "/..", "/a/.", "/a/..", "/./a", "/../a", "/a/./b", "/a/../b",
        "/a\x01", "/\x1f", "/a\nb", "/a\tb", "/a\x7f", "/a\xc2\x80", "/a\xc2\x9f",
        /* Not UTF-8: a lone byte, a cut sequence, an overlong one, a surrogate, Latin-1. */
        "/\xff", "/a\xc3", "/\xc0\xaf", "/\xed\xa0\x80", "/stra\xdf" "e",
        /* What ZooKeeper refuses: private use, the last of the plane, and, as Java sees a surrogate in it,
         * whatever lies beyond that plane. */
        "/\xee\x80\x80", "/\xef\xa3\xbf", "/\xef\xbf\xb0", "/\xef\xbf\xbd", "/\xf0\x9f\x98\x80",
    };
    static const char *const good[] = {
        "/nobody", "/a/b/c", "/a.b", "/...", "/a/.b", "/a/b..", "/a b", "/a:b,c", "/%00",
        "/\xc3\xa4", "/\xe4\xb8\xbb",
    };
    char *longest = malloc(ELECTION_PATH_MAX + 2);
    election_t *below;
    CHECK(longest != NULL);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refuse_path(handle, bad[i]);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        accept_path(handle, good[i]);

    memset(longest, 'p', ELECTION_PATH_MAX + 1);
    longest[0] = '/';
    longest[ELECTION_PATH_MAX + 1] = 0;
    refuse_path(handle, longest);
    longest[ELECTION_PATH_MAX] = 0;
    accept_path(handle, longest);
    CHECK_INT(ELECTION_OK, open_handle("127.0.0.1:1/c", NULL, &below));
    refuse_path(below, longest);
    longest[ELECTION_PATH_MAX - 1] = 0;
    refuse_path(below, longest);
    longest[ELECTION_PATH_MAX - 2] = 0;
    accept_path(below, longest);
    CHECK_INT(ELECTION_OK, close_handle(below));
    free(longest);
}

/* --- values ------------------------------------------------------------------------------------------------- */

static void values(election_t *handle, const char *path)
{
    char *longest = calloc(ELECTION_VALUE_MAX + 1, 1);
    CHECK(longest != NULL);
    CHECK_INT(ELECTION_BAD_VALUE, refused_lead(handle, path, NULL, 1, 1000));
    CHECK_INT(ELECTION_BAD_VALUE, refused_lead(handle, path, longest, ELECTION_VALUE_MAX + 1, 1000));
    CHECK_INT(ELECTION_BAD_VALUE, refused_stand(handle, path, NULL, 1));
    CHECK_INT(ELECTION_BAD_VALUE, refused_stand(handle, path, NULL, SIZE_MAX));
    CHECK_INT(ELECTION_BAD_VALUE, refused_stand(handle, path, longest, ELECTION_VALUE_MAX + 1));
    CHECK_INT(ELECTION_BAD_VALUE, refused_stand(handle, path, longest, SIZE_MAX / 2));
    CHECK_INT(ELECTION_BAD_VALUE, refused_stand(handle, path, longest, SIZE_MAX));
    for (size_t len = ELECTION_VALUE_MAX + 1; len != 0; len = len == SIZE_MAX ? 0 : SIZE_MAX) {
        CHECK_INT(ELECTION_BAD_VALUE, election_fenced_create(handle, path, "/target", longest, len, 1000));
        CHECK_INT(ELECTION_BAD_VALUE, election_fenced_set(handle, path, "/target", longest, len, -1, 1000));
        CHECK_INT(ELECTION_BAD_VALUE, election_set_value(handle, path, longest, len));
    }
    CHECK_INT(ELECTION_BAD_VALUE, election_set_value(handle, path, NULL, 1));
    CHECK_INT(ELECTION_BAD_VALUE, election_fenced_create(handle, path, "/target", NULL, 1, 1000));
    CHECK_INT(ELECTION_BAD_VALUE, election_fenced_set(handle, path, "/target", NULL, 1, -1, 1000));
    CHECK_INT(ELECTION_NOT_THERE, election_resign(handle, path));
    CHECK_INT(ELECTION_OK, go_to_election(handle, path, longest, ELECTION_VALUE_MAX, NULL, NULL, NULL));
    CHECK_INT(ELECTION_OK, election_set_value(handle, path, longest, ELECTION_VALUE_MAX));
    CHECK_INT(ELECTION_OK, election_set_value(handle, path, NULL, 0));
    CHECK_INT(ELECTION_OK, election_resign(handle, path));
    free(longest);
}

/* --- times, roles, members and tokens ----------------------------------------------------------------------- */

static void times_and_roles(election_t *handle)
{
    static const int bad_times[] = {0, -1, 3600001, INT_MAX - 1, INT_MIN};
    static const int bad_roles[] = {-2, 2, 7, INT_MAX, INT_MIN};
    for (size_t i = 0; i < sizeof bad_times / sizeof *bad_times; i++) {
        int time = bad_times[i];
        CHECK_INT(ELECTION_BAD_TIMEOUT, election_wait(handle, "/path", ELECTION_SLAVE, time));
        CHECK_INT(ELECTION_BAD_TIMEOUT, refused_lead(handle, "/path", "", 0, time));
        CHECK_INT(ELECTION_BAD_TIMEOUT, refused_members(handle, "/path", time));
        CHECK_INT(ELECTION_BAD_TIMEOUT, refused_get_master(handle, "/path", time));
        CHECK_INT(ELECTION_BAD_TIMEOUT, election_fenced_create(handle, "/path", "/target", "", 0, time));
        CHECK_INT(ELECTION_BAD_TIMEOUT, election_fenced_set(handle, "/path", "/target", "", 0, -1, time));
        CHECK_INT(ELECTION_BAD_TIMEOUT, election_fenced_delete(handle, "/path", "/target", -1, time));
        CHECK_INT(ELECTION_BAD_TIMEOUT, election_wait_finished(handle, time));
        if (time != 0)
            CHECK_INT(ELECTION_BAD_TIMEOUT, election_dispatch(handle, time));
    }
    /* To wait for ever is for those who wait for others, not for those who ask a server. */
    CHECK_INT(ELECTION_NOT_THERE, election_wait(handle, "/path", ELECTION_SLAVE, ELECTION_FOREVER));
    CHECK_INT(ELECTION_BAD_TIMEOUT, refused_members(handle, "/path", ELECTION_FOREVER));
    CHECK_INT(ELECTION_BAD_TIMEOUT, refused_get_master(handle, "/path", ELECTION_FOREVER));
    CHECK_INT(ELECTION_BAD_TIMEOUT, election_fenced_create(handle, "/path", "/target", "", 0, ELECTION_FOREVER));
    CHECK_INT(ELECTION_BAD_CALLBACK, election_lead(handle, "/path", "", 0, NULL, NULL, 1000, NULL));
    for (size_t i = 0; i < sizeof bad_roles / sizeof *bad_roles; i++)
        CHECK_INT(ELECTION_BAD_ROLE, election_wait(handle, "/path", bad_roles[i], 1000));
    CHECK_INT(ELECTION_BAD_CALLBACK, election_members(handle, "/path", NULL, NULL, 1000));
    CHECK_INT(ELECTION_BAD_CALLBACK, election_get_master(handle, "/path", NULL, NULL, 1000));
    CHECK_INT(ELECTION_BAD_COUNT, refused_watch_members(handle, "/path", -1));
    CHECK_INT(ELECTION_BAD_COUNT, refused_watch_members(handle, "/path", INT_MIN));
    CHECK_INT(ELECTION_NOT_THERE, election_unwatch_members(handle, "/path"));
    if (!is_manual) {
        CHECK_INT(ELECTION_NOT_MANUAL, election_fd(handle));
        CHECK_INT(ELECTION_NOT_MANUAL, election_dispatch(handle, 0));
    }
}

static void tokens(void)
{
    election_verifier_t *verifier = election_verifier_new(5);
    CHECK(verifier != NULL);
    CHECK_INT(5, election_verifier_highest(verifier));
    CHECK_INT(ELECTION_STALE_TOKEN, election_verifier_admit(verifier, 4));
    CHECK_INT(ELECTION_STALE_TOKEN, election_verifier_admit(verifier, 0));
    CHECK_INT(ELECTION_STALE_TOKEN, election_verifier_admit(verifier, -1));
    CHECK_INT(ELECTION_STALE_TOKEN, election_verifier_admit(verifier, INT64_MIN));
    CHECK_INT(5, election_verifier_highest(verifier));
    CHECK_INT(ELECTION_OK, election_verifier_admit(verifier, 5));
    CHECK_INT(ELECTION_OK, election_verifier_admit(verifier, 5));
    CHECK_INT(ELECTION_OK, election_verifier_admit(verifier, 7));
    CHECK_INT(ELECTION_STALE_TOKEN, election_verifier_admit(verifier, 6));
    CHECK_INT(7, election_verifier_highest(verifier));
    CHECK_INT(ELECTION_OK, election_verifier_admit(verifier, INT64_MAX));
    CHECK_INT(INT64_MAX, election_verifier_highest(verifier));
    election_verifier_free(verifier);

    /* From the beginning, no token was seen, and none that is not positive ever passes. */
    verifier = election_verifier_new(0);
    CHECK(verifier != NULL);
    CHECK_INT(0, election_verifier_highest(verifier));
    CHECK_INT(ELECTION_STALE_TOKEN, election_verifier_admit(verifier, 0));
    CHECK_INT(ELECTION_OK, election_verifier_admit(verifier, 1));
    election_verifier_free(verifier);

    election_verifier_free(NULL);
    CHECK_INT(ELECTION_BAD_VERIFIER, election_verifier_admit(NULL, 1));
    CHECK_INT(ELECTION_BAD_VERIFIER, election_verifier_admit(NULL, -1));
    CHECK_INT(0, election_verifier_highest(NULL));
}

/* A leadership that is none says that its work should stop. */
static void leaderships(void)
{
    int somewhere = 0;
    const election_leadership_t *const none[] = {
        NULL, (const election_leadership_t *)(uintptr_t)1, (const election_leadership_t *)UINTPTR_MAX,
        (const election_leadership_t *)(const void *)&somewhere,
    };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        CHECK_INT(1, election_should_stop(none[i]));
        CHECK_INT(0, election_leadership_token(none[i]));
        CHECK_INT(ELECTION_BAD_LEADERSHIP, election_wait_stop(none[i], 1000));
        CHECK_INT(ELECTION_BAD_LEADERSHIP, election_wait_stop(none[i], ELECTION_FOREVER));
    }
}

/* --- to look inside ------------------------------------------------------------------------------------------ */

static void inside(election_t *handle)
{
    static const int bad_levels[] = {-1, 5, 100, INT_MAX, INT_MIN};
    static const int bad_formats[] = {-1, 2, 100, INT_MAX, INT_MIN};
    static const size_t bad_sizes[] = {0, 1, sizeof(size_t), sizeof(election_counters_t) - 1, 4097, SIZE_MAX};
    for (size_t i = 0; i < sizeof bad_levels / sizeof *bad_levels; i++)
        CHECK_INT(ELECTION_BAD_LEVEL, election_set_log(bad_levels[i], never_log, NULL, never_free));
    for (int level = ELECTION_LOG_ERROR; level <= ELECTION_LOG_DEBUG; level++)
        CHECK_INT(ELECTION_BAD_CALLBACK, election_set_log(level, NULL, NULL, never_free));
    CHECK_INT(ELECTION_OK, election_set_log(ELECTION_LOG_OFF, NULL, NULL, NULL));
    CHECK_INT(ELECTION_OK, election_set_log(ELECTION_LOG_OFF, never_log, NULL, NULL));
    for (size_t i = 0; i < sizeof bad_formats / sizeof *bad_formats; i++)
        CHECK_INT(ELECTION_BAD_FORMAT, refused_dump(handle, bad_formats[i]));
    CHECK_INT(ELECTION_BAD_RESULT, election_dump(handle, ELECTION_DUMP_TEXT, NULL));
    char untouched = 0x5a;
    CHECK_INT(ELECTION_BAD_RESULT, election_connect_failure(handle, NULL, 64));
    CHECK_INT(ELECTION_BAD_SIZE, election_connect_failure(handle, &untouched, 0));
    CHECK(untouched == 0x5a);
    for (size_t i = 0; i < sizeof bad_sizes / sizeof *bad_sizes; i++)
        CHECK_INT(ELECTION_BAD_SIZE, refused_counters(handle, bad_sizes[i]));
    CHECK_INT(ELECTION_BAD_RESULT, election_counters(handle, NULL));
    CHECK_INT(ELECTION_BAD_CALLBACK, election_watch_connection(handle, NULL, NULL, never_free));
    CHECK_INT(ELECTION_NOT_THERE, election_unwatch_connection(handle));
    election_dump_free(NULL);
}

/* --- twice, and not at all ---------------------------------------------------------------------------------- */

/* A watcher of members that heard something. */
static void hear_something(const election_members_t *members, void *ctx)
{
    record_add(ctx, (struct heard){.size = members->size}, members->path, "");
}

static void twice_and_not_at_all(election_t *handle, const char *path)
{
    struct record stands, watches, counts;
    record_init(&stands, handle);
    record_init(&watches, handle);
    record_init(&counts, handle);
    CHECK_INT(ELECTION_NOT_THERE, election_resign(handle, path));
    CHECK_INT(ELECTION_NOT_THERE, election_unwatch_master(handle, path));
    CHECK_INT(ELECTION_BAD_CALLBACK, watch_master(handle, path, NULL, &watches, never_free));
    CHECK_INT(ELECTION_NOT_THERE, election_unwatch_master(handle, path));

    CHECK_INT(ELECTION_OK, go_to_election(handle, path, "v", 1, hear_role, &stands, hear_free));
    CHECK_INT(ELECTION_ALREADY, refused_stand(handle, path, "v", 1));
    CHECK_INT(ELECTION_ALREADY, refused_stand(handle, path, "another", 7));
    CHECK(record_wait(&stands, 1, 0));
    CHECK_INT(ELECTION_MASTER, stands.heard[0].role);
    CHECK_INT(ELECTION_ALREADY, refused_stand(handle, path, "v", 1));
    CHECK_INT(ELECTION_NOT_THERE, election_unwatch_master(handle, path));
    CHECK_INT(1, election_is_master(handle, path));

    CHECK_INT(ELECTION_OK, watch_master(handle, path, hear_master, &watches, hear_free));
    CHECK_INT(ELECTION_ALREADY, refused_watch(handle, path));
    CHECK(record_wait(&watches, 1, 0));
    CHECK_INT(ELECTION_ALREADY, refused_watch(handle, path));
    CHECK_INT(ELECTION_OK, election_unwatch_master(handle, path));
    CHECK_INT(ELECTION_NOT_THERE, election_unwatch_master(handle, path));
    CHECK(record_wait(&watches, 1, 1));

    CHECK_INT(ELECTION_BAD_CALLBACK, election_watch_members(handle, path, 1, NULL, &counts, never_free));
    CHECK_INT(ELECTION_OK, election_watch_members(handle, path, INT_MAX, hear_something, &counts, hear_free));
    CHECK_INT(ELECTION_ALREADY, refused_watch_members(handle, path, 0));
    CHECK_INT(ELECTION_NOT_THERE, election_unwatch_master(handle, path));
    CHECK(record_wait(&counts, 1, 0));
    CHECK_INT(ELECTION_OK, election_unwatch_members(handle, path));
    CHECK_INT(ELECTION_NOT_THERE, election_unwatch_members(handle, path));
    CHECK(record_wait(&counts, 1, 1));

    CHECK_INT(ELECTION_OK, election_resign(handle, path));
    CHECK_INT(ELECTION_NOT_THERE, election_resign(handle, path));
    CHECK_INT(ELECTION_NOT_THERE, election_set_value(handle, path, "v", 1));
    CHECK_INT(0, election_is_master(handle, path));
    CHECK(record_wait(&stands, 2, 1));
    CHECK_INT(2, record_count(&stands));
    CHECK_INT(1, record_freed(&stands));
    CHECK_INT(1, record_freed(&watches));
    CHECK_INT(1, record_freed(&counts));
    record_done(&stands);
    record_done(&watches);
    record_done(&counts);
}

/* --- numbers and their sentences ---------------------------------------------------------------------------- */

static void sentences(void)
{
    static const int ours[] = {
        ELECTION_OK, ELECTION_CONNECTIONLOSS, ELECTION_UNIMPLEMENTED, ELECTION_OPERATIONTIMEOUT,
        ELECTION_BADARGUMENTS, ELECTION_NONODE, ELECTION_NOAUTH, ELECTION_BADVERSION,
        ELECTION_NOCHILDRENFOREPHEMERALS, ELECTION_NODEEXISTS, ELECTION_NOTEMPTY, ELECTION_SESSIONEXPIRED,
        ELECTION_INVALIDACL, ELECTION_AUTHFAILED, ELECTION_CLOSING, ELECTION_QUOTAEXCEEDED, ELECTION_THROTTLEDOP,
        ELECTION_BAD_HANDLE, ELECTION_BAD_HOSTS, ELECTION_BAD_OPTIONS, ELECTION_BAD_TIMEOUT, ELECTION_BAD_PATH,
        ELECTION_BAD_VALUE, ELECTION_BAD_CALLBACK, ELECTION_BAD_RESULT, ELECTION_BAD_RECIPE, ELECTION_ALREADY,
        ELECTION_NOT_THERE, ELECTION_IN_CALLBACK, ELECTION_NOT_EPHEMERAL, ELECTION_RESIGNED, ELECTION_NO_RESOURCES,
        ELECTION_INTERNAL, ELECTION_LEASE_EXPIRED, ELECTION_GRACE, ELECTION_FOREIGN_CONTENDER, ELECTION_NOT_MASTER,
        ELECTION_STALE_TOKEN, ELECTION_BAD_LEASE_MODE, ELECTION_FORKED, ELECTION_NOT_MANUAL, ELECTION_BAD_ROLE,
        ELECTION_BAD_DISPATCH, ELECTION_BAD_VERIFIER, ELECTION_BAD_COUNT, ELECTION_BAD_SIZE, ELECTION_BAD_FORMAT,
        ELECTION_BAD_LEVEL, ELECTION_BAD_FRAME_LIMIT, ELECTION_BAD_AUTH, ELECTION_BAD_ACL, ELECTION_BAD_TLS, ELECTION_BAD_SASL,
        ELECTION_INTERRUPTED, ELECTION_LEADERSHIP_LOST, ELECTION_BAD_LEADERSHIP,
        ELECTION_DEADLOCK, ELECTION_IN_HANDLER,
        /* ZooKeeper's own that the header does not name. */
        -1, -2, -3, -5, -9, -13, -14, -100, -113, -117, -118, -119, -120, -121, -122, -123, -124,
    };
    size_t count = sizeof ours / sizeof *ours;
    const char *unknown = election_strerror(12345);
    CHECK(unknown != NULL && *unknown != 0);
    CHECK(strcmp(unknown, election_strerror(INT_MIN)) == 0);
    CHECK(strcmp(unknown, election_strerror(INT_MAX)) == 0);
    CHECK(strcmp(unknown, election_strerror(-999)) == 0);
    for (size_t i = 0; i < count; i++) {
        const char *sentence = election_strerror(ours[i]);
        CHECK(sentence != NULL && *sentence != 0);
        CHECK(sentence == election_strerror(ours[i]));
        if (strcmp(sentence, unknown) == 0)
            name_case("no sentence for", "", ours[i]);
        CHECK(strcmp(sentence, unknown) != 0);
        for (size_t k = 0; k < i; k++)
            CHECK(strcmp(sentence, election_strerror(ours[k])) != 0);
    }
    /* Of what this thread's last call did not return there is no more to say. */
    CHECK(strcmp(election_explain(12345), unknown) == 0);
    CHECK(strcmp(election_explain(ELECTION_CLOSING), election_strerror(ELECTION_CLOSING)) == 0);
    CHECK(strcmp(ELECTION_VERSION, election_version()) == 0);
}

int main(int argc, char **argv)
{
    char path[128];
    election_t *handle;
    if (read_ways(argc, argv) != 3) {
        fprintf(stderr, "usage: %s HOSTS ROOT [manual|loop]\n", argv[0]);
        return 2;
    }
    hosts = argv[1];
    root = argv[2];
    give_up_after(120);

    refuse_garbage();
    /* While a handle is open, nothing else passes for it: not the small numbers that a program takes for flags. */
    CHECK_INT(ELECTION_OK, open_handle("127.0.0.1:1", NULL, &handle));
    refuse_garbage();
    CHECK_INT(ELECTION_OK, close_handle(handle));
    sentences();
    options();
    credentials();
    lists();
    tls();
    sasl();
    tokens();
    leaderships();
    hosts_and_result();
    closed_handles();

    CHECK_INT(ELECTION_OK, open_handle(hosts, NULL, &handle));
    paths(handle);
    times_and_roles(handle);
    inside(handle);
    snprintf(path, sizeof path, "%s/value", root);
    values(handle, path);
    snprintf(path, sizeof path, "%s/twice", root);
    twice_and_not_at_all(handle, path);
    CHECK_INT(ELECTION_OK, close_handle(handle));
    refuse_handle(handle);
    return 0;
}
