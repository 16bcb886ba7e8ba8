/*
 * members.c - a member of a cluster that prints the members, and warns if they are too few. C99.
 *
 * The program of "zookeeper学习系列:三、构建一个分布式master、slave系统" (seed 002): workers have znodes below one path, the
 * lowest leads, and the program warns if fewer workers stand than should. In the original every worker watches the
 * list of all, reads element 0 of it and never steps down. Here each znode wakes only the next
 * (ELECTION_RECIPE_QUEUE_W, with the znodes of the original), and election_watch_members reports the members.
 *
 *     make && build/members --enough 2 /cluster one      in one terminal
 *     build/members --enough 2 /cluster two              in another; then end either with Ctrl-C or kill -9
 *     build/members --look /cluster                      only looks
 */
#include "common.h"

#include <getopt.h>

static const char USAGE[] =
    "usage: members [OPTION]... PATH NAME\n"
    "       members [OPTION]... --look PATH\n"
    "Be a member of the cluster at PATH, and print who is in, and each change, until SIGINT or SIGTERM.\n"
    "\n"
    "  --hosts H      ZooKeeper's servers (127.0.0.1:2181)\n"
    "  --timeout MS   the session timeout (10000)\n"
    "  --enough N     warn when fewer than N are in, and tell when they are again (0: never)\n"
    "  --look         be no member, only look\n"
    "  --help         print this\n"
    "\n"
    "Each line is a time and what is known. Members stand in the order in which they lead, the first leads; the value\n"
    "of each is its name and what it is, which it sets itself when that changes:\n"
    "  2013-02-15T20:48:49.123+0800 members=2 w-0000000004=one:leading w-0000000007=two:following\n"
    "  2013-02-15T20:48:59.123+0800 members=1 alarm=TOO_FEW w-0000000007=two:leading\n"
    "  2013-02-15T20:49:09.123+0800 unknown rc=-4                       (and the reason on standard error)\n"
    "Bytes of values that are not printable ASCII, blanks and backslashes are written \\xHH.\n"
    "\n"
    "Exit code: 0 when ended by a signal; 2 for a wrong command line; 3 when something failed.\n";

static const char *alarm_name(election_alarm_t alarm)
{
    switch (alarm) {
    case ELECTION_ALARM_NONE: return "NONE";
    case ELECTION_ALARM_TOO_FEW: return "TOO_FEW";
    case ELECTION_ALARM_ENOUGH: return "ENOUGH";
    }
    return "?"; /* an alarm of a later version of the library */
}

/* Print each change. */
static void print_members(const election_members_t *members, void *ctx)
{
    (void)ctx;
    if (members->rc == ELECTION_CLOSING)
        return;

    print_time(clock_ms(CLOCK_REALTIME));
    if (members->rc == ELECTION_OK) {
        printf(" members=%zu", members->count);
        if (members->alarm != ELECTION_ALARM_NONE)
            printf(" alarm=%s", alarm_name(members->alarm));
        for (size_t i = 0; i < members->count; i++) {
            const election_member_t *member = members->members[i];
            printf(" %s=", member->name);
            print_escaped(member->value, member->value_len);
        }
    } else {
        printf(" unknown rc=%d", members->rc);
        fprintf(stderr, "%s: %s\n", members->path, election_strerror(members->rc));
    }
    print_end();
    if (members->rc == ELECTION_INTERNAL)
        bell_ring(BELL_FAILED);
}

/* A member: its handle and its name. */
struct member {
    election_t *handle;
    const char *name;
};

/* Show the role of this member to the others in its value. The original prints "leading" and "following". */
static void show_role(const election_event_t *event, void *ctx)
{
    const struct member *member = (const struct member *)ctx;
    char value[256];
    if (event->role == ELECTION_UNKNOWN)
        return;
    snprintf(value, sizeof value, "%s:%s", member->name,
             event->role == ELECTION_MASTER ? "leading" : "following");
    election_set_value(member->handle, event->path, value, strlen(value));
}

/* Open a handle whose elections are queues with the znodes of the original. */
static int open_queue(const char *hosts, int session_timeout_ms, election_t **handle)
{
    election_options_t *options = election_options_new();
    int rc = election_options_set_session_timeout_ms(options, session_timeout_ms);
    if (rc == ELECTION_OK)
        rc = election_options_set_recipe(options, ELECTION_RECIPE_QUEUE_W);
    if (rc == ELECTION_OK)
        rc = election_open(hosts, options, handle);
    election_options_free(options);
    return rc;
}

int main(int argc, char *argv[])
{
    static const struct option OPTIONS[] = {
        {"hosts", required_argument, NULL, 'H'},  {"timeout", required_argument, NULL, 't'},
        {"enough", required_argument, NULL, 'e'}, {"look", no_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    const char *hosts = "127.0.0.1:2181";
    int timeout_ms = 10000, enough = 0, only_look = 0;
    for (int option; (option = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1;) {
        switch (option) {
        case 'H': hosts = optarg; break;
        case 't': timeout_ms = number("--timeout", optarg); break;
        case 'e': enough = number("--enough", optarg); break;
        case 'l': only_look = 1; break;
        case 'h': fputs(USAGE, stdout); return EXIT_DONE;
        default: fputs(USAGE, stderr); return EXIT_USAGE;
        }
    }
    if (optind != argc - (only_look ? 1 : 2)) {
        fputs(USAGE, stderr);
        return EXIT_USAGE;
    }
    const char *path = argv[optind];

    setvbuf(stdout, NULL, _IOLBF, 0);
    bell_hang();
    struct member member = {NULL, only_look ? "" : argv[optind + 1]};
    int rc = open_queue(hosts, timeout_ms, &member.handle);
    if (rc != ELECTION_OK)
        return complain("election_open", rc);

    const char *failed = "election_watch_members";
    rc = election_watch_members(member.handle, path, enough, print_members, NULL, NULL);
    if (rc == ELECTION_OK && !only_look) {
        failed = "go_to_election";
        rc = go_to_election(member.handle, path, member.name, strlen(member.name), show_role, &member, NULL);
    }
    int code;
    if (rc == ELECTION_OK) {
        int rung = bell_wait(-1);
        code = rung == SIGINT || rung == SIGTERM ? EXIT_DONE : EXIT_TROUBLE;
    } else {
        code = complain(failed, rc);
    }
    election_close(member.handle);
    return code;
}
