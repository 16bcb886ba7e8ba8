/* Becomes master at a path and resigns. C, and C++ as program.cpp includes it. */
#include <election.h>
#include <stdio.h>
#include <string.h>

static int stand(election_t *handle, const char *path)
{
    int rc = go_to_election(handle, path, "consumer", 8, NULL, NULL, NULL);
    if (rc == ELECTION_OK)
        rc = election_wait(handle, path, ELECTION_MASTER, 60000);
    if (rc != ELECTION_OK)
        return rc;
    if (!election_is_master(handle, path))
        return ELECTION_INTERNAL;
    puts("master");
    rc = election_resign(handle, path);
    if (rc == ELECTION_OK && election_is_master(handle, path))
        return ELECTION_INTERNAL;
    puts("resigned");
    return rc;
}

int main(int argc, char *argv[])
{
    if (argc != 3 || strcmp(election_version(), ELECTION_VERSION) != 0)
        return 2;
    election_t *handle = NULL;
    int rc = election_open(argv[1], NULL, &handle);
    if (rc == ELECTION_OK)
        rc = stand(handle, argv[2]);
    int closed = election_close(handle);
    if (rc == ELECTION_OK)
        rc = closed;
    if (rc != ELECTION_OK)
        fprintf(stderr, "%s\n", election_strerror(rc));
    return rc != ELECTION_OK;
}
