/*
 * loop_epoll.c - stand for master in a program of one thread, with epoll. C99, Linux.
 *
 * The library has no thread here: the program's loop does its work. Signals come through a signalfd, so that they too are
 * events of the loop.
 *
 *     make && build/loop_epoll 127.0.0.1:2181 /master 10.0.0.1
 */
#include "common.h"

#include <sys/epoll.h>
#include <sys/signalfd.h>

static void on_role(const election_event_t *event, void *ctx)
{
    (void)ctx;
    print_role(event);
}

/* Get a descriptor that is readable when SIGINT or SIGTERM has come. */
static int signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

static int watch(int epoll, int fd)
{
    struct epoll_event event = {EPOLLIN, {.fd = fd}};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

int main(int argc, char *argv[])
{
    if (argc != 4) {
        fprintf(stderr, "usage: loop_epoll HOSTS PATH VALUE\n");
        return EXIT_USAGE;
    }
    signal(SIGPIPE, SIG_IGN);
    election_options_t *options = election_options_new();
    election_t *handle = NULL;
    int rc = election_options_set_dispatch(options, ELECTION_DISPATCH_LOOP);
    if (rc == ELECTION_OK)
        rc = election_open(argv[1], options, &handle);
    election_options_free(options);
    if (rc != ELECTION_OK)
        return complain("election_open", rc);
    rc = go_to_election(handle, argv[2], argv[3], strlen(argv[3]), on_role, NULL, NULL);
    if (rc != ELECTION_OK)
        return complain("go_to_election", rc);

    int epoll = epoll_create1(EPOLL_CLOEXEC), ended = signals(), is_over = 0;
    if (epoll < 0 || ended < 0 || watch(epoll, ended) != 0 || watch(epoll, election_fd(handle)) != 0) {
        perror("epoll");
        return EXIT_TROUBLE;
    }
    while (!is_over) {
        struct epoll_event events[2];
        int count = epoll_wait(epoll, events, 2, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == ended)
                is_over = 1;
            else
                election_dispatch(handle, 0); /* the callbacks run in this */
        }
    }
    election_close(handle); /* the next candidate is master at once */
    return EXIT_DONE;
}
