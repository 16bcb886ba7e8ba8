/* idle.c - the smallest candidate there is; `make bench` looks at what it occupies.
 *
 * It does what it is told on its standard input: "open" stands for master, "ask" times election_is_master, the
 * end closes. It prints each role that it is told. With FILES, the string of election_options_set_tls, it speaks TLS. */

#define _POSIX_C_SOURCE 200809L

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "election.h"

#define PATH "/services/billing/master"
#define CALLS 1000
#define SAMPLES 2000

static void on_role(const election_event_t *event, void *ctx)
{
    (void)ctx;
    printf("role %d\n", (int)event->role);
}

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Prints the mean of each thousand calls. Returns whether all of them said yes. */
static int ask(const election_t *handle)
{
    static double took_ns[SAMPLES];
    int yes = 0;
    for (int i = 0; i < SAMPLES; i++) {
        double began_ns = now_ns();
        for (int j = 0; j < CALLS; j++)
            yes += election_is_master(handle, PATH);
        took_ns[i] = (now_ns() - began_ns) / CALLS;
    }
    for (int i = 0; i < SAMPLES; i++)
        printf("ns %.2f\n", took_ns[i]);
    puts("asked");
    return yes == SAMPLES * CALLS;
}

int main(int argc, char **argv)
{
    char line[16];
    election_t *handle = NULL;
    int rc = ELECTION_OK;

    if (argc != 2 && argc != 3) {
        fprintf(stderr, "usage: idle HOSTS [FILES]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("ready");
    while (rc == ELECTION_OK && fgets(line, sizeof line, stdin)) {
        if (strcmp(line, "open\n") == 0) {
            election_options_t *options = election_options_new();
            if (argc == 3)
                rc = election_options_set_tls(options, argv[2]);
            if (rc == ELECTION_OK)
                rc = election_open(argv[1], options, &handle);
            election_options_free(options);
            if (rc == ELECTION_OK)
                rc = go_to_election(handle, PATH, "10.0.0.7", 8, on_role, NULL, NULL);
        } else if (strcmp(line, "ask\n") == 0 && !ask(handle)) {
            fprintf(stderr, "not every call said yes\n");
            return 1;
        }
    }
    if (rc == ELECTION_OK)
        rc = election_close(handle);
    if (rc != ELECTION_OK)
        fprintf(stderr, "%s\n", election_strerror(rc));
    return rc == ELECTION_OK ? 0 : 1;
}
