/* An old master cannot write: to ZooKeeper by a fenced write, to anything else by the token. */
#include <election.h>
#include <stdio.h>

int main(void)
{
    election_t *handle;
    int rc = election_open("127.0.0.1:2181", NULL, &handle);
    if (rc != ELECTION_OK)
        return 1;
    go_to_election(handle, "/master", "10.0.0.7", 8, NULL, NULL, NULL);
    rc = election_wait(handle, "/master", ELECTION_MASTER, 60000);
    if (rc == ELECTION_OK)
        rc = election_fenced_create(handle, "/master", "/job-state", "step 1", 6, 5000);
    if (rc == ELECTION_OK)
        rc = election_fenced_set(handle, "/master", "/job-state", "step 2", 6, -1, 5000);
    if (rc == ELECTION_OK)
        rc = election_fenced_delete(handle, "/master", "/job-state", -1, 5000);

    int64_t token = 0, left_ns = 0;
    if (rc == ELECTION_OK && !election_lease(handle, "/master", &token, &left_ns))
        rc = ELECTION_NOT_MASTER;
    /* The other side, a storage node say, keeps a verifier for each election. */
    election_verifier_t *verifier = election_verifier_new(0);
    if (rc == ELECTION_OK)
        rc = election_verifier_admit(verifier, token);
    printf("%s, highest token %lld\n", election_strerror(rc), (long long)election_verifier_highest(verifier));
    election_verifier_free(verifier);
    election_close(handle);
    return rc != ELECTION_OK;
}
