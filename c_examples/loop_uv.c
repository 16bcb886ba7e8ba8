/*
 * loop_uv.c - stand for master in a program on libuv. C99.
 *
 * The library has no thread here: the loop of libuv does its work.
 *
 *     make && build/loop_uv 127.0.0.1:2181 /master 10.0.0.1
 */
#include "common.h"

#include <uv.h>

static election_t *handle;
static uv_poll_t work;
static uv_signal_t on_int, on_term;

static void on_role(const election_event_t *event, void *ctx)
{
    (void)ctx;
    print_role(event);
}

static void on_work(uv_poll_t *poll, int status, int events)
{
    (void)poll;
    (void)status;
    (void)events;
    election_dispatch(handle, 0); /* the callbacks run in this */
}

static void on_signal(uv_signal_t *signal, int number)
{
    (void)signal;
    (void)number;
    uv_close((uv_handle_t *)&work, NULL); /* before the descriptor goes */
    uv_close((uv_handle_t *)&on_int, NULL);
    uv_close((uv_handle_t *)&on_term, NULL);
    election_close(handle); /* the next candidate is master at once */
}

int main(int argc, char *argv[])
{
    if (argc != 4) {
        fprintf(stderr, "usage: loop_uv HOSTS PATH VALUE\n");
        return EXIT_USAGE;
    }
    signal(SIGPIPE, SIG_IGN);
    election_options_t *options = election_options_new();
    int rc = election_options_set_dispatch(options, ELECTION_DISPATCH_LOOP);
    if (rc == ELECTION_OK)
        rc = election_open(argv[1], options, &handle);
    election_options_free(options);
    if (rc != ELECTION_OK)
        return complain("election_open", rc);
    rc = go_to_election(handle, argv[2], argv[3], strlen(argv[3]), on_role, NULL, NULL);
    if (rc != ELECTION_OK)
        return complain("go_to_election", rc);

    uv_loop_t *loop = uv_default_loop();
    uv_signal_init(loop, &on_int);
    uv_signal_start(&on_int, on_signal, SIGINT);
    uv_signal_init(loop, &on_term);
    uv_signal_start(&on_term, on_signal, SIGTERM);
    if (uv_poll_init(loop, &work, election_fd(handle)) != 0 || uv_poll_start(&work, UV_READABLE, on_work) != 0) {
        fprintf(stderr, "libuv cannot watch the descriptor\n");
        return EXIT_TROUBLE;
    }
    uv_run(loop, UV_RUN_DEFAULT); /* until on_signal has closed everything */
    return uv_loop_close(loop) == 0 ? EXIT_DONE : EXIT_TROUBLE;
}
