/* Run the callbacks on the program's own thread, with poll. */
#include <election.h>
#include <poll.h>
#include <stdio.h>

static int is_over;

static void on_role(const election_event_t *event, void *ctx)
{
    (void)ctx;
    printf("%s\n", event->role == ELECTION_MASTER ? "master" : "not master");
    is_over = event->role == ELECTION_MASTER;
}

int main(void)
{
    election_t *handle;
    election_options_t *options = election_options_new();
    election_options_set_dispatch(options, ELECTION_DISPATCH_MANUAL);
    int rc = election_open("127.0.0.1:2181", options, &handle);
    election_options_free(options);
    if (rc != ELECTION_OK)
        return 1;
    go_to_election(handle, "/master", "10.0.0.7", 8, on_role, NULL, NULL);
    struct pollfd fd = {election_fd(handle), POLLIN, 0};
    while (!is_over && poll(&fd, 1, 60000) > 0)
        election_dispatch(handle, 0);
    return election_close(handle) != ELECTION_OK;
}
