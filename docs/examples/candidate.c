/* Stand for master, work while master, resign. */
#include <election.h>
#include <stdio.h>

static void on_role(const election_event_t *event, void *ctx)
{
    (void)ctx;
    printf("%s: %s\n", event->path, event->role == ELECTION_MASTER ? "master" : "not master");
}

int main(void)
{
    election_t *handle;
    int rc = election_open("127.0.0.1:2181", NULL, &handle);
    if (rc != ELECTION_OK) {
        fprintf(stderr, "%s\n", election_strerror(rc));
        return 1;
    }
    rc = go_to_election(handle, "/master", "10.0.0.7", 8, on_role, NULL, NULL);
    if (rc == ELECTION_OK)
        rc = election_wait(handle, "/master", ELECTION_MASTER, 60000);
    if (rc == ELECTION_OK && election_is_master(handle, "/master"))
        rc = election_set_value(handle, "/master", "10.0.0.7 busy", 13);
    if (rc == ELECTION_OK)
        rc = election_resign(handle, "/master");
    if (rc != ELECTION_OK)
        fprintf(stderr, "%s\n", election_strerror(rc));
    return election_close(handle) != ELECTION_OK || rc != ELECTION_OK;
}
