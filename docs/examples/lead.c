/* Work while master, and stop cleanly on SIGTERM. */
#include <election.h>
#include <signal.h>
#include <stdio.h>

static election_t *handle;

static void on_signal(int number)
{
    (void)number;
    election_interrupt(handle);
}

static int work(const election_leadership_t *leadership, void *ctx)
{
    int *pieces = ctx;
    printf("master, token %lld\n", (long long)election_leadership_token(leadership));
    while (!election_should_stop(leadership) && *pieces > 0) {
        printf("piece %d of the work\n", (*pieces)--);
        election_wait_stop(leadership, 100); /* sleeps, and wakes early if it should stop */
    }
    return *pieces;
}

int main(void)
{
    int pieces = 5, left = 0;
    int rc = election_open("127.0.0.1:2181", NULL, &handle);
    if (rc != ELECTION_OK)
        return 1;
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    do
        rc = election_lead(handle, "/master", "10.0.0.7", 8, work, &pieces, ELECTION_FOREVER, &left);
    while (rc == ELECTION_LEADERSHIP_LOST);
    election_clear_interrupt(handle); /* the calls after this one may wait again */
    printf("%d pieces left\n", left);
    return election_close(handle) != ELECTION_OK || (rc != ELECTION_OK && rc != ELECTION_INTERRUPTED);
}
