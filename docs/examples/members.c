/* See who stands, in the order in which they will lead. */
#include <election.h>
#include <stdio.h>

static void on_member(const election_member_t *member, void *ctx)
{
    (void)ctx;
    printf("%s %s\n", member->name, member->value);
}

static void on_members(const election_members_t *cluster, void *ctx)
{
    (void)ctx;
    if (cluster->alarm == ELECTION_ALARM_TOO_FEW)
        printf("only %zu of 3\n", cluster->count);
}

int main(void)
{
    election_t *handle;
    election_options_t *options = election_options_new();
    election_options_set_recipe(options, ELECTION_RECIPE_QUEUE);
    int rc = election_open("127.0.0.1:2181", options, &handle);
    election_options_free(options);
    if (rc != ELECTION_OK)
        return 1;
    go_to_election(handle, "/cluster", "10.0.0.7", 8, NULL, NULL, NULL);
    election_watch_members(handle, "/cluster", 3, on_members, NULL, NULL);
    rc = election_wait(handle, "/cluster", ELECTION_MASTER, 60000);
    if (rc == ELECTION_OK)
        rc = election_members(handle, "/cluster", on_member, NULL, 5000);
    election_unwatch_members(handle, "/cluster");
    election_close(handle);
    return rc != ELECTION_OK;
}
