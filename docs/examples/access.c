/* Only who has the password takes part; everybody may watch. */
#include <election.h>
#include <stdio.h>

int main(void)
{
    election_t *handle;
    election_options_t *options = election_options_new();
    int rc = election_options_add_auth(options, "digest", "jobs:secret", 11);
    if (rc == ELECTION_OK)
        rc = election_options_set_acl(options, ELECTION_ACL_CREATOR_WORLD_READ);
    if (rc == ELECTION_OK) /* one more, for the administrators' network */
        rc = election_options_add_acl(options, ELECTION_PERM_ALL, "ip", "10.0.0.0/24");
    if (rc == ELECTION_OK)
        rc = election_open("127.0.0.1:2181", options, &handle);
    election_options_free(options);
    if (rc == ELECTION_OK) {
        rc = go_to_election(handle, "/jobs/nightly", "10.0.0.7", 8, NULL, NULL, NULL);
        if (rc == ELECTION_OK)
            rc = election_wait(handle, "/jobs/nightly", ELECTION_MASTER, 60000);
        election_close(handle);
    }
    puts(rc == ELECTION_OK ? "I was master" : election_strerror(rc));
    return rc != ELECTION_OK;
}
