/* See who is master, without standing. */
#include <election.h>
#include <stdio.h>

static void on_master(const election_master_t *master, void *ctx)
{
    (void)ctx;
    if (master->rc == ELECTION_OK)
        printf("%s is master, token %lld\n", master->value, (long long)master->token);
    else
        printf("no master: %s\n", election_strerror(master->rc));
}

int main(void)
{
    election_t *handle;
    election_options_t *options = election_options_new();
    election_options_set_connect_timeout_ms(options, 10000);
    int rc = election_open("127.0.0.1:2181", options, &handle);
    election_options_free(options);
    if (rc != ELECTION_OK)
        return 1;
    rc = election_get_master(handle, "/master", on_master, NULL, 5000); /* once */
    if (rc == ELECTION_OK)
        rc = watch_master(handle, "/master", on_master, NULL, NULL); /* and each change */
    /* ... */
    if (rc == ELECTION_OK)
        rc = election_unwatch_master(handle, "/master");
    if (rc == ELECTION_OK)
        rc = election_wait_finished(handle, 5000); /* on_master does not run any more */
    election_close(handle);
    return rc != ELECTION_OK;
}
