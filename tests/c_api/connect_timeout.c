/* Servers that cannot be reached: one that takes connections and never answers, one that is not there, and a name
 * that does not exist.
 *
 *     connect_timeout HOSTS ROOT [manual|loop] [instrumented]
 */

#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "check.h"

#define CONNECT_TIMEOUT_MS 500
#define AT_ONCE_MS 200

struct server {
    int listener;
    char hosts[64];
};

static struct server bind_server(void)
{
    struct server server;
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server.listener = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(server.listener >= 0);
    CHECK_INT(0, bind(server.listener, (struct sockaddr *)&address, sizeof address));
    CHECK_INT(0, getsockname(server.listener, (struct sockaddr *)&address, &len));
    snprintf(server.hosts, sizeof server.hosts, "127.0.0.1:%d", (int)ntohs(address.sin_port));
    return server;
}

/* The kernel takes connections, and nobody ever answers on them. */
static struct server silent_server(void)
{
    struct server server = bind_server();
    CHECK_INT(0, listen(server.listener, 64));
    return server;
}

/* The port is ours, and closed. */
static struct server absent_server(void)
{
    return bind_server();
}

static void open_with_connect_timeout(const char *hosts)
{
    election_t *const sentinel = (election_t *)(uintptr_t)0x5a5a;
    election_t *handle = sentinel;
    election_options_t *options = election_options_new();
    int64_t from, took;
    CHECK(options != NULL);
    CHECK_INT(ELECTION_OK, election_options_set_connect_timeout_ms(options, CONNECT_TIMEOUT_MS));
    from = clock_ms();
    CHECK_INT(ELECTION_OPERATIONTIMEOUT, open_handle(hosts, options, &handle));
    took = clock_ms() - from;
    if (took < CONNECT_TIMEOUT_MS - 50 || took >= 5000)
        fprintf(stderr, "%s: %lld ms\n", hosts, (long long)took);
    CHECK(took >= CONNECT_TIMEOUT_MS - 50);
    CHECK(took < 5000);
    CHECK(handle == sentinel);
    election_options_free(options);
}

/* Opens a handle without waiting, and checks that it did not: the quickest of three, for the machine may be busy. */
static election_t *open_at_once(const char *hosts)
{
    election_t *handle = NULL;
    election_options_t *options = election_options_new();
    int64_t from, took, quickest = INT64_MAX;
    CHECK(options != NULL);
    CHECK_INT(ELECTION_OK, election_options_set_session_timeout_ms(options, 1000));
    for (int i = 0; i < 3; i++) {
        if (handle != NULL)
            CHECK_INT(ELECTION_OK, close_handle(handle));
        from = clock_ms();
        CHECK_INT(ELECTION_OK, open_handle(hosts, options, &handle));
        took = clock_ms() - from;
        if (took < quickest)
            quickest = took;
    }
    if (quickest >= AT_ONCE_MS)
        fprintf(stderr, "%s: %lld ms\n", hosts, (long long)quickest);
    CHECK(quickest < AT_ONCE_MS);
    election_options_free(options);
    return handle;
}

static void no_member(const election_member_t *member, void *ctx)
{
    (void)member;
    (void)ctx;
    CHECK(!"nobody can know a member");
}

static void in_the_background(const char *hosts)
{
    election_t *handle = open_at_once(hosts);
    struct record stands, watches;
    int64_t from, took;
    record_init(&stands, handle);
    record_init(&watches, handle);

    CHECK_INT(ELECTION_OK, go_to_election(handle, "/stand", "v", 1, hear_role, &stands, hear_free));
    CHECK_INT(ELECTION_OK, watch_master(handle, "/watch", hear_master, &watches, hear_free));
    CHECK(record_wait(&stands, 1, 0));
    CHECK_INT(ELECTION_UNKNOWN, stands.heard[0].role);
    CHECK_INT(ELECTION_REASON_SUSPENDED, stands.heard[0].reason);
    CHECK_INT(ELECTION_CONNECTIONLOSS, stands.heard[0].rc);
    CHECK_INT(0, stands.heard[0].value_len);
    CHECK_INT(0, stands.heard[0].token);
    CHECK(record_wait(&watches, 1, 0));
    CHECK_INT(ELECTION_CONNECTIONLOSS, watches.heard[0].rc);
    CHECK_INT(0, watches.heard[0].value_len);
    CHECK_INT(0, election_is_master(handle, "/stand"));

    /* What asks a server, and what waits for a role, ends with a number of its own. */
    CHECK_INT(ELECTION_OK, election_wait(handle, "/stand", ELECTION_UNKNOWN, 1));
    CHECK_INT(ELECTION_OPERATIONTIMEOUT, election_wait(handle, "/stand", ELECTION_MASTER, 20));
    CHECK_INT(ELECTION_CONNECTIONLOSS, election_members(handle, "/stand", no_member, NULL, PATIENCE_MS));
    CHECK_INT(ELECTION_NOT_MASTER, election_fenced_delete(handle, "/stand", "/t", -1, PATIENCE_MS));

    /* It goes on being tried, and that is no news. */
    for (int i = 0; i < 100; i++) {
        CHECK_INT(0, election_is_master(handle, "/stand"));
        CHECK(is_instrumented || check_signals_and_count_threads() < 16);
        sleep_ms(10);
    }
    CHECK_INT(1, record_count(&stands));
    CHECK_INT(1, record_count(&watches));

    CHECK_INT(ELECTION_OK, election_resign(handle, "/stand"));
    CHECK(record_wait(&stands, 2, 1));
    CHECK_INT(ELECTION_RESIGNED, stands.heard[1].rc);
    /* There never was a session that a server could confirm the end of. */
    from = clock_ms();
    CHECK_INT(ELECTION_OK, close_handle(handle));
    took = clock_ms() - from;
    if (took >= 3000)
        fprintf(stderr, "%s: close took %lld ms\n", hosts, (long long)took);
    CHECK(took < 3000);
    CHECK_INT(2, record_count(&stands));
    CHECK_INT(2, record_count(&watches));
    CHECK_INT(ELECTION_CLOSING, watches.heard[1].rc);
    CHECK_INT(1, record_freed(&stands));
    CHECK_INT(1, record_freed(&watches));
    record_done(&stands);
    record_done(&watches);
}

/* One server of the list is enough, whichever is tried first. */
static void beside_a_living_one(const char *dead, const char *living, const char *root)
{
    char hosts[256], path[128];
    snprintf(hosts, sizeof hosts, "%s,%s", dead, living);
    for (int i = 0; i < 4; i++) {
        election_t *handle;
        election_options_t *options = election_options_new();
        struct record record;
        CHECK(options != NULL);
        CHECK_INT(ELECTION_OK, election_options_set_connect_timeout_ms(options, PATIENCE_MS));
        CHECK_INT(ELECTION_OK, election_options_set_session_timeout_ms(options, 2000));
        CHECK_INT(ELECTION_OK, open_handle(hosts, options, &handle));
        election_options_free(options);
        record_init(&record, handle);
        snprintf(path, sizeof path, "%s/beside", root);
        CHECK_INT(ELECTION_OK, go_to_election(handle, path, NULL, 0, hear_role, &record, hear_free));
        CHECK(record_wait(&record, 1, 0));
        CHECK_INT(ELECTION_MASTER, record.heard[0].role);
        CHECK_INT(ELECTION_OK, close_handle(handle));
        CHECK_INT(2, record_count(&record));
        record_done(&record);
    }
}

int main(int argc, char **argv)
{
    struct server silent = silent_server(), absent = absent_server();
    char both[160], named[64];
    if (read_ways(argc, argv) != 3) {
        fprintf(stderr, "usage: %s HOSTS ROOT [manual|loop]\n", argv[0]);
        return 2;
    }
    give_up_after(120);
    snprintf(both, sizeof both, "%s,%s/chroot", silent.hosts, absent.hosts);
    snprintf(named, sizeof named, "localhost%s", strchr(absent.hosts, ':'));

    open_with_connect_timeout(silent.hosts);
    open_with_connect_timeout(absent.hosts);
    open_with_connect_timeout(both);
    open_with_connect_timeout("no-such-host.invalid:2181");
    in_the_background(silent.hosts);
    in_the_background(absent.hosts);
    in_the_background(both);
    in_the_background(named);
    in_the_background("no-such-host.invalid:2181");
    beside_a_living_one(absent.hosts, argv[1], argv[2]);
    beside_a_living_one(silent.hosts, argv[1], argv[2]);

    close(silent.listener);
    close(absent.listener);
    return 0;
}
