// A static object that opens a handle, is master when its constructor returns, and closes the handle in its destructor; and one
// that turns the log on and off. Linked into a program, or into a plugin: then both run while dlopen and dlclose hold the lock
// of the dynamic loader, and wait for each thread of the library.
//
// HOSTS, with a name to look up, and ROOT are in the environment.

#include <election.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#define CHECK(condition)                                                                   \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);           \
            std::abort();                                                                  \
        }                                                                                  \
    } while (0)

namespace {

const int PATIENCE_MS = 60000;

// A mastership lasts also where the machine has no time for it.
const int SESSION_TIMEOUT_MS = 40000;

void wait_until_positive(const std::atomic<int> &count)
{
    for (int ms = 0; count == 0; ms++) {
        CHECK(ms < PATIENCE_MS);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

class log_of_the_process {
public:
    log_of_the_process() { CHECK(election_set_log(ELECTION_LOG_DEBUG, heard, this, nullptr) == ELECTION_OK); }

    ~log_of_the_process()
    {
        CHECK(election_set_log(ELECTION_LOG_OFF, nullptr, nullptr, nullptr) == ELECTION_OK);
        CHECK(records_ > 0);
    }

    void wait_for_a_record() const { wait_until_positive(records_); }

private:
    static void heard(const election_log_t *, void *ctx) { static_cast<log_of_the_process *>(ctx)->records_++; }

    std::atomic<int> records_{0};
};

log_of_the_process the_log;

class leader {
public:
    explicit leader(const char *name) : path_(std::string(std::getenv("ROOT")) + name)
    {
        election_options_t *options = election_options_new();
        CHECK(election_options_set_connect_timeout_ms(options, PATIENCE_MS) == ELECTION_OK);
        CHECK(election_options_set_session_timeout_ms(options, SESSION_TIMEOUT_MS) == ELECTION_OK);
        CHECK(election_open(std::getenv("HOSTS"), options, &handle_) == ELECTION_OK);
        election_options_free(options);
        CHECK(go_to_election(handle_, path_.c_str(), "mine", 4, heard, this, freed) == ELECTION_OK);
        CHECK(election_wait(handle_, path_.c_str(), ELECTION_MASTER, PATIENCE_MS) == ELECTION_OK);
        CHECK(election_is_master(handle_, path_.c_str()) == 1);
        wait_until_positive(events_);
        the_log.wait_for_a_record();
    }

    ~leader()
    {
        CHECK(election_is_master(handle_, path_.c_str()) == 1);
        // A server that has no time need not confirm it.
        int rc = election_close(handle_);
        CHECK(rc == ELECTION_OK || rc == ELECTION_CONNECTIONLOSS);
        CHECK(events_ == 2 && frees_ == 1);
    }

private:
    static void heard(const election_event_t *, void *ctx) { static_cast<leader *>(ctx)->events_++; }
    static void freed(void *ctx) { static_cast<leader *>(ctx)->frees_++; }

    std::string path_;
    election_t *handle_ = nullptr;
    std::atomic<int> events_{0};
    int frees_ = 0;
};

// A thread that a constructor starts does the same. While dlopen runs, it may wait for the loader.
class thread_of_a_constructor {
public:
    thread_of_a_constructor()
        : thread_([this] {
              leader("/thread");
              is_done_ = true;
          })
    {
    }
    ~thread_of_a_constructor() { thread_.join(); }
    bool is_done() const { return is_done_; }

private:
    std::atomic<bool> is_done_{false};
    std::thread thread_;
};

leader the_leader("/object");
thread_of_a_constructor the_thread;

} // namespace

extern "C" int plugin_is_done()
{
    return the_thread.is_done();
}

#ifdef PROGRAM
int main()
{
    return 0;
}
#endif
