/* A library that was built without TLS refuses what asks for TLS, and elects. What was refused stays refused: a program that
 * does not look gets no handle that would send in plain text what was to be encrypted.
 *
 *     without_tls HOSTS ROOT */

#include <stdio.h>
#include <string.h>

#include "election.h"

#define CHECK(what)                                                          \
    do {                                                                     \
        if (!(what)) {                                                       \
            fprintf(stderr, "line %d: does not hold: %s\n", __LINE__, #what); \
            return 1;                                                        \
        }                                                                    \
    } while (0)

static const char said[] = "this library was built without TLS, the cargo feature `tls`";

int main(int argc, char **argv)
{
    static const char *const strings[] = {"", "ca.pem", "ca.pem,worker.crt,worker.key,secret"};
    election_t *handle = NULL;
    if (argc < 3)
        return 2;
    for (int i = 0; i < 3; i++) {
        election_options_t *options = election_options_new();
        CHECK(election_options_set_tls(options, strings[i]) == ELECTION_BAD_TLS);
        CHECK(strcmp(election_explain(ELECTION_BAD_TLS), said) == 0);
        CHECK(election_open(argv[1], options, &handle) == ELECTION_BAD_TLS && handle == NULL);
        CHECK(strcmp(election_explain(ELECTION_BAD_TLS), said) == 0);
        election_options_free(options);
    }
    CHECK(election_open(argv[1], NULL, &handle) == ELECTION_OK);
    CHECK(go_to_election(handle, argv[2], "v", 1, NULL, NULL, NULL) == ELECTION_OK);
    CHECK(election_wait(handle, argv[2], ELECTION_MASTER, 60000) == ELECTION_OK);
    return election_close(handle);
}
