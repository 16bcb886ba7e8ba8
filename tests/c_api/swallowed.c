/* A server that takes every connection and answers nothing: what has a time ends in it, and a close has its bound, whoever
 * stands, watches, asks or waits meanwhile.
 *
 *     swallowed HOSTS ROOT SESSION_TIMEOUT_MS SILENT [manual|loop]
 */

#define _POSIX_C_SOURCE 200809L

#include "life.h"

static void no_member(const election_member_t *member, void *ctx)
{
    (void)member;
    (void)ctx;
    CHECK(!"a silent server tells of a member");
}

static void *wait_for_long(void *ctx)
{
    struct record *record = ctx;
    CHECK_INT(ELECTION_NOT_THERE, election_wait(record_handle(record), "/silent", ELECTION_MASTER, 10 * PATIENCE_MS));
    return NULL;
}

int main(int argc, char **argv)
{
    election_options_t *options = election_options_new();
    election_t *const none = (election_t *)(uintptr_t)0x5a5a;
    election_t *handle = none;
    struct record role, master;
    pthread_t waiting;
    int64_t from;
    read_arguments(argc, argv);
    CHECK(argc >= 5);

    CHECK_INT(ELECTION_OK, election_options_set_connect_timeout_ms(options, 300));
    from = clock_ms();
    CHECK_INT(ELECTION_OPERATIONTIMEOUT, open_handle(argv[4], options, &handle));
    CHECK(handle == none);
    CHECK(clock_ms() - from >= 299 && clock_ms() - from < 300 + 4000);
    election_options_free(options);

    CHECK_INT(ELECTION_OK, open_handle(argv[4], NULL, &handle));
    record_init(&role, handle);
    record_init(&master, handle);
    CHECK_INT(ELECTION_OK, stand(&role, "/silent", "v"));
    CHECK_INT(ELECTION_OK, watch(&master, "/silent"));
    CHECK_INT(0, pthread_create(&waiting, NULL, wait_for_long, &role));
    CHECK_INT(ELECTION_OPERATIONTIMEOUT, election_wait(handle, "/silent", ELECTION_MASTER, 200));
    CHECK_INT(ELECTION_NOT_MASTER, election_fenced_create(handle, "/silent", "/target", "", 0, 1000));
    CHECK_INT(ELECTION_CONNECTIONLOSS, election_members(handle, "/silent", no_member, NULL, 1000));
    CHECK_INT(0, election_is_master(handle, "/silent"));
    sleep_ms(300);

    from = clock_ms();
    /* What was sent with the request for a session may have been carried out, and nobody says that it was not. */
    CHECK_INT(ELECTION_CONNECTIONLOSS, close_handle(handle));
    CHECK(clock_ms() - from < 4000);
    CHECK_INT(0, pthread_join(waiting, NULL));
    CHECK_INT(ELECTION_REASON_CLOSED, role.heard[record_count(&role) - 1].reason);
    CHECK_INT(1, record_freed(&role));
    CHECK_INT(ELECTION_CLOSING, master.heard[record_count(&master) - 1].rc);
    CHECK_INT(1, record_freed(&master));
    record_done(&role);
    record_done(&master);
    return 0;
}
