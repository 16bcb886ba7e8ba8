/* A program that has functions of its own by the names of the library's two verbs, as the programs have that it is to
 * take the place of. The library must not call these in place of its own.
 *
 *     own_names HOSTS ROOT [instrumented]
 *
 * Such a program includes election.h with ELECTION_NO_BARE_NAMES. The library's verbs have names with a prefix; the bare
 * ones are reached by dlsym. */

#define _GNU_SOURCE
#define ELECTION_NO_BARE_NAMES

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "election.h"

typedef int go_fn(election_t *, const char *, const void *, size_t, election_role_fn, void *, election_free_fn);
typedef int watch_fn(election_t *, const char *, election_master_fn, void *, election_free_fn);

static int calls_of_ours;

void go_to_election(void *zh, int type, int state, const char *path, void *ip);
void watch_master(void *zh, const char *ip);

void go_to_election(void *zh, int type, int state, const char *path, void *ip)
{
    (void)zh, (void)type, (void)state, (void)path, (void)ip;
    calls_of_ours++;
}

void watch_master(void *zh, const char *ip)
{
    (void)zh, (void)ip;
    calls_of_ours++;
}

static void ignore(const election_master_t *master, void *ctx)
{
    (void)master, (void)ctx;
}

#define CHECK(what)                                                            \
    do {                                                                       \
        if (!(what)) {                                                         \
            fprintf(stderr, "own_names.c:%d: does not hold: %s\n", __LINE__, #what); \
            _exit(1);                                                          \
        }                                                                      \
    } while (0)

int main(int argc, char **argv)
{
    char path[128], other_path[128];
    void *library, *symbol;
    election_t *handle;
    go_fn *library_go;
    watch_fn *library_watch;
    int left_ms = 30000;
    CHECK(argc >= 3);
    snprintf(path, sizeof path, "%s/own-names", argv[2]);
    snprintf(other_path, sizeof other_path, "%s/prefixed", argv[2]);

    library = dlopen("libelection.so.0", RTLD_NOW | RTLD_NOLOAD);
    CHECK(library != NULL);
    symbol = dlsym(library, "go_to_election");
    CHECK(symbol != NULL);
    memcpy(&library_go, &symbol, sizeof symbol);
    symbol = dlsym(library, "watch_master");
    CHECK(symbol != NULL);
    memcpy(&library_watch, &symbol, sizeof symbol);

    CHECK(election_open(argv[1], NULL, &handle) == 0);
    CHECK(library_go(handle, path, "v", 1, NULL, NULL, NULL) == 0);
    CHECK(library_watch(handle, path, ignore, NULL, NULL) == 0);
    CHECK(election_go_to_election(handle, other_path, "v", 1, NULL, NULL, NULL) == 0);
    CHECK(election_watch_master(handle, other_path, ignore, NULL, NULL) == 0);
    while (!election_is_master(handle, path) || !election_is_master(handle, other_path)) {
        CHECK(left_ms-- > 0);
        usleep(1000);
    }
    CHECK(election_close(handle) == 0);
    CHECK(calls_of_ours == 0);

    /* And the program's own calls go to its own. */
    go_to_election(NULL, 0, 0, NULL, NULL);
    watch_master(NULL, NULL);
    CHECK(calls_of_ours == 2);
    CHECK(dlclose(library) == 0);
    return 0;
}
