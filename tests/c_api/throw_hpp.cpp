// An exception that leaves a function of election.hpp ends the program, at the place where it was thrown.
//
//     throw_hpp HOSTS ROOT SESSION_TIMEOUT_MS [manual|loop] [instrumented]

#include "check.hpp"
#include "election.hpp"

#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>

#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;

constexpr int terminated = 42;

[[noreturn]] void on_terminate()
{
    try {
        std::rethrow_exception(std::current_exception());
    } catch (const std::logic_error &thrown) {
        std::_Exit(std::string_view(thrown.what()) == "of the program" ? terminated : 1);
    } catch (...) {
        std::_Exit(1);
    }
}

// Forked first and opened later: each child has a library of its own.
template <typename Stand>
void expect_terminate(std::string_view hosts, const election::options &options, Stand stand)
{
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(std::chrono::seconds(patience).count());
        std::set_terminate(on_terminate);
        election::handle handle(hosts, options);
        stand(handle);
        if (options.dispatch == election::dispatch::manual)
            for (;;)
                handle.dispatch(1s);
        for (;;)
            pause();
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == terminated);
}

} // namespace

int main(int argc, char **argv)
{
    if (argc < 4) {
        std::cerr << "usage: " << argv[0] << " HOSTS ROOT SESSION_TIMEOUT_MS [manual|loop] [instrumented]" << std::endl;
        return 2;
    }
    const std::string path = std::string(argv[2]) + "/thrown";
    election::options options;
    options.session_timeout = std::chrono::milliseconds(std::atoi(argv[3]));
    options.connect_timeout = patience;
    for (int i = 4; i < argc; i++)
        if (argv[i] == std::string_view("manual"))
            options.dispatch = election::dispatch::manual;

    expect_terminate(argv[1], options, [&](election::handle &handle) {
        handle.go_to_election(path, "", [](const election::event &) { throw std::logic_error("of the program"); });
    });
    expect_terminate(argv[1], options, [&](election::handle &handle) {
        handle.watch_master(path, [](const election::master &) { throw std::logic_error("of the program"); });
    });
}
