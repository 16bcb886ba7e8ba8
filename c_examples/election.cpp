/*
 * election.cpp - stand for master and print the role. C++11.
 *
 * The program of "使用zookeeper实现分布式master选举(c 接口版本)" (seed 000), with its words. One call, go_to_election,
 * replaces its zoo_acreate, zoo_awget and sleep(1), and also reports a broken connection and an expired session. This
 * program and the original can take part in one election: both make the same znode.
 *
 *     make && build/election 10.0.0.1        in one terminal
 *             build/election 10.0.0.2        in another; then end the first with Enter, Ctrl-C or kill -9
 */
#include "common.h"

#include <getopt.h>

#include <string>

namespace {

const char USAGE[] =
    "usage: election [OPTION]... IP\n"
    "Stand for master with the value IP, and print what this program is until it is ended.\n"
    "\n"
    "  --hosts H      ZooKeeper's servers (127.0.0.1:2181)\n"
    "  --path P       the path of the election (/master)\n"
    "  --timeout MS   the session timeout (30000)\n"
    "  --stay         go on when standard input ends\n"
    "  --help         print this\n"
    "\n"
    "Lines on standard input: `resign` resigns, `stand` stands again, any other line (Enter) quits, as do the\n"
    "end of the input, SIGINT and SIGTERM.\n"
    "\n"
    "Each event is words for a person, and then one line for a program:\n"
    "  role=MASTER reason=ELECTED rc=0 token=4294967298 value=10.0.0.1 path=/master\n"
    "The value is the master's; it is empty and the token 0 when nobody knows them. Bytes that are not printable\n"
    "ASCII, blanks and backslashes are written \\xHH.\n"
    "\n"
    "Exit code: 0 when ended as above, 2 for a wrong command line, 3 when something failed.\n";

void get_master(const election_event_t *event)
{
    printf("get master ip :");
    print_escaped(event->value, event->value_len);
    print_end();
}

extern "C" void getResult(const election_event_t *event, void *) noexcept
{
    flockfile(stdout);
    switch (event->rc) {
    case ELECTION_OK:
        puts("Become master");
        break;
    case ELECTION_NODEEXISTS:
        puts("Become slave, keep watch");
        get_master(event);
        break;
    default:
        printf("Cannot tell who is master: %s\n", election_strerror(event->rc));
    }
    print_role(event);
    funlockfile(stdout);
    if (event->reason == ELECTION_REASON_FAILED)
        bell_ring(BELL_FAILED);
}

struct Candidate {
    election_t *handle;
    std::string path;
    std::string ip;

    int stand() const
    {
        return go_to_election(handle, path.c_str(), ip.data(), ip.size(), getResult, nullptr, nullptr);
    }

    // Execute a line of standard input. Returns false if the line means quit.
    bool obey(const std::string &line) const
    {
        int rc;
        if (line == "resign")
            rc = election_resign(handle, path.c_str());
        else if (line == "stand")
            rc = stand();
        else
            return false;
        if (rc != ELECTION_OK)
            complain(line.c_str(), rc);
        return true;
    }
};

// Execute the lines of standard input until a line means quit, or a signal comes. Returns the exit code.
int run(const Candidate &candidate, bool stay)
{
    std::string input;
    pollfd waiting[] = {{bell[0], POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
    for (;;) {
        if (poll(waiting, 2, -1) < 0)
            continue; // EINTR: a signal has rung the bell
        if (waiting[0].revents != 0) {
            int what = bell_wait(0);
            return what == SIGINT || what == SIGTERM ? EXIT_DONE : EXIT_TROUBLE;
        }
        if (waiting[1].revents == 0)
            continue;

        char chunk[256];
        ssize_t len = read(STDIN_FILENO, chunk, sizeof chunk);
        if (len > 0) {
            input.append(chunk, static_cast<size_t>(len));
        } else if (stay) {
            waiting[1].fd = -1;
        } else {
            return EXIT_DONE;
        }
        for (size_t end; (end = input.find('\n')) != std::string::npos; input.erase(0, end + 1))
            if (!candidate.obey(input.substr(0, end)))
                return EXIT_DONE;
    }
}

} // namespace

int main(int argc, char *argv[])
{
    const option OPTIONS[] = {
        {"hosts", required_argument, nullptr, 'H'},   {"path", required_argument, nullptr, 'p'},
        {"timeout", required_argument, nullptr, 't'}, {"stay", no_argument, nullptr, 's'},
        {"help", no_argument, nullptr, 'h'},          {nullptr, 0, nullptr, 0},
    };
    const char *host = "127.0.0.1:2181";
    int timeout = 30000;
    bool stay = false;
    Candidate candidate = {nullptr, "/master", ""};
    for (int option; (option = getopt_long(argc, argv, "", OPTIONS, nullptr)) != -1;) {
        switch (option) {
        case 'H': host = optarg; break;
        case 'p': candidate.path = optarg; break;
        case 't': timeout = number("--timeout", optarg); break;
        case 's': stay = true; break;
        case 'h': fputs(USAGE, stdout); return EXIT_DONE;
        default: fputs(USAGE, stderr); return EXIT_USAGE;
        }
    }
    if (optind != argc - 1) {
        fputs(USAGE, stderr);
        return EXIT_USAGE;
    }
    candidate.ip = argv[optind];

    setvbuf(stdout, nullptr, _IOLBF, 0);
    bell_hang();
    int rc = open_handle(host, timeout, 0, &candidate.handle);
    if (rc != ELECTION_OK)
        return complain("election_open", rc);

    rc = candidate.stand();
    int code = rc == ELECTION_OK ? run(candidate, stay) : complain("go_to_election", rc);

    // Resigns, so that the next master comes at once.
    rc = election_close(candidate.handle);
    if (rc != ELECTION_OK)
        code = complain("election_close", rc);
    return code;
}
