/*
 * standby.cpp - an active and a standby process: the worker runs in the process that is master. C++17.
 *
 * The program of "基于zookeeper的主备切换方法" (seed 003). As in the original, a new master waits for a grace of 2 s
 * before it works, so that the old master can finish its piece of work. Here the grace is an option of the library.
 * Unlike in the original, a master that is cut off stops working. If a master was stopped (SIGSTOP, a suspended laptop)
 * and continues, it does not begin another piece of work, because the clock says that its lease is over. If the session
 * expires, the process need not be restarted.
 *
 *     make && build/standby 10.0.0.1        in one terminal
 *             build/standby 10.0.0.2        in another; then end the first
 */
#include "common.h"

#include <election.hpp>

#include <getopt.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace {

const char USAGE[] =
    "usage: standby [OPTION]... IP\n"
    "Stand for master with the value IP, and work while being master, until SIGINT or SIGTERM.\n"
    "\n"
    "  --hosts H      ZooKeeper's servers (127.0.0.1:2181)\n"
    "  --path P       the path of the election (/master/test)\n"
    "  --timeout MS   the session timeout (5000)\n"
    "  --grace MS     for how long a new master waits before it is one (2000)\n"
    "  --piece MS     how long a piece of work takes (500)\n"
    "  --help         print this\n"
    "\n"
    "Each line is a time and one of\n"
    "  role=MASTER reason=ELECTED rc=0 token=4294967298 value=10.0.0.1 path=/master/test\n"
    "  worker start        it is master\n"
    "  worker piece=1      the next piece of work begins\n"
    "  worker stop         it is master no more\n"
    "A new master is told role=UNKNOWN reason=GRACE first, and role=MASTER when the grace is over.\n"
    "\n"
    "Exit code: 0 when ended by a signal, 2 for a wrong command line, 3 when something failed.\n";

using std::chrono::milliseconds;

void print_event(const election::event &event)
{
    flockfile(stdout);
    print_time(clock_ms(CLOCK_REALTIME));
    printf(" role=%s reason=%s rc=%d token=%" PRId64 " value=", name(event.role).data(), name(event.reason).data(),
           static_cast<int>(event.rc), static_cast<std::int64_t>(event.token));
    print_escaped(event.value.data(), event.value.size());
    printf(" path=");
    print_escaped(event.path.data(), event.path.size());
    print_end();
    funlockfile(stdout);
}

void print_worker(const char *what, int piece = 0)
{
    flockfile(stdout);
    print_time(clock_ms(CLOCK_REALTIME));
    printf(" worker %s", what);
    if (piece > 0)
        printf("=%d", piece);
    print_end();
    funlockfile(stdout);
}

struct Settings {
    std::string path = "/master/test";
    milliseconds piece{500};
};

// The work of one mastership, on its own thread. The thread does one piece after another, and has ended when the
// destructor returns.
class Shift {
public:
    Shift(const election::handle &handle, const Settings &settings)
        : handle_(handle), settings_(settings), thread_(&Shift::work, this)
    {
    }
    ~Shift()
    {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            over_ = true;
        }
        changed_.notify_one();
        thread_.join();
    }
    Shift(const Shift &) = delete;
    Shift &operator=(const Shift &) = delete;

private:
    void work()
    {
        print_worker("start");
        // is_master() runs before each piece, and compares the clock with the lease at that moment. If a process was
        // stopped for longer than its lease, is_master() returns false here before any callback reports the loss. If a
        // piece takes longer than a lease, ask lease() how much is left, or send the token with each write.
        for (int piece = 1; handle_.is_master(settings_.path); piece++) {
            print_worker("piece", piece);
            if (!pause(settings_.piece)) // in place of real work, which must check over_ regularly
                break;
        }
        print_worker("stop");
    }

    // Wait, but no longer than the shift lasts. Returns whether the shift still lasts.
    bool pause(milliseconds time)
    {
        std::unique_lock<std::mutex> lock(mutex_);
        return !changed_.wait_for(lock, time, [this] { return over_; });
    }

    const election::handle &handle_;
    const Settings &settings_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool over_ = false;
    std::thread thread_; // the last member: it uses the others
};

// A candidate whose shift begins and ends with its role.
class Standby {
public:
    Standby(std::string_view hosts, const election::options &options, const Settings &settings, std::string_view ip)
        : settings_(settings), handle_(hosts, options)
    {
        handle_.go_to_election(settings_.path, ip, [this](const election::event &event) { on_role(event); });
    }

    void close() { handle_.close(); }

private:
    // An exception ends the program: if a master cannot start its worker's thread, another candidate should be master.
    void on_role(const election::event &event)
    {
        shift_.reset(); // first: stop the work
        print_event(event);
        if (event.role == election::role::master)
            shift_ = std::make_unique<Shift>(handle_, settings_);
        if (event.reason == election::reason::failed)
            bell_ring(BELL_FAILED);
    }

    Settings settings_;
    std::unique_ptr<Shift> shift_; // used by callbacks only
    election::handle handle_;      // the last member: it is closed first, and its last callback ends the shift
};

} // namespace

int main(int argc, char *argv[])
{
    const option OPTIONS[] = {
        {"hosts", required_argument, nullptr, 'H'},   {"path", required_argument, nullptr, 'p'},
        {"timeout", required_argument, nullptr, 't'}, {"grace", required_argument, nullptr, 'g'},
        {"piece", required_argument, nullptr, 'w'},   {"help", no_argument, nullptr, 'h'},
        {nullptr, 0, nullptr, 0},
    };
    const char *hosts = "127.0.0.1:2181";
    Settings settings;
    election::options options;
    options.session_timeout = milliseconds(5000);
    options.grace = milliseconds(2000);
    for (int option; (option = getopt_long(argc, argv, "", OPTIONS, nullptr)) != -1;) {
        switch (option) {
        case 'H': hosts = optarg; break;
        case 'p': settings.path = optarg; break;
        case 't': options.session_timeout = milliseconds(number("--timeout", optarg)); break;
        case 'g': options.grace = milliseconds(number("--grace", optarg)); break;
        case 'w': settings.piece = milliseconds(number("--piece", optarg)); break;
        case 'h': fputs(USAGE, stdout); return EXIT_DONE;
        default: fputs(USAGE, stderr); return EXIT_USAGE;
        }
    }
    if (optind != argc - 1) {
        fputs(USAGE, stderr);
        return EXIT_USAGE;
    }

    setvbuf(stdout, nullptr, _IOLBF, 0);
    bell_hang();
    try {
        Standby standby(hosts, options, settings, argv[optind]);
        int rung = bell_wait(-1);
        standby.close();
        return rung == SIGINT || rung == SIGTERM ? EXIT_DONE : EXIT_TROUBLE;
    } catch (const election::error &error) {
        fprintf(stderr, "%s\n", error.what());
        return error.code() == std::errc::invalid_argument ? EXIT_USAGE : EXIT_TROUBLE;
    }
}
