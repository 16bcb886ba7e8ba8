// Mistakes in a callback of a program in C++, which is linked with handover.cpp: that it tells of an order which there is must
// not hide what has none.
//
//     planted HOSTS ROOT SESSION_TIMEOUT_MS MISTAKE [manual]

#include "election.hpp"

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

namespace {

std::string mistake;
int count;
std::atomic<bool> is_done{false};

void make_mistake(const election::event &event)
{
    int *number = new int(static_cast<int>(event.role));
    count += mistake == "race" ? 1 : 0;
    delete number;
    if (mistake == "use after free")
        is_done.store(*number < 0, std::memory_order_relaxed);
    is_done.store(true, std::memory_order_relaxed);
}

} // namespace

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    mistake = argv[4];
    election::options options;
    bool is_manual = argc > 5;
    if (is_manual)
        options.dispatch = election::dispatch::manual;
    election::handle handle(argv[1], options);
    std::thread dispatcher([&] {
        while (is_manual && !is_done.load(std::memory_order_relaxed))
            handle.dispatch(std::chrono::milliseconds(20));
    });
    handle.go_to_election(argv[2], "v", make_mistake);
    // Until the callback has run: no lock is taken in between, so nothing orders the two.
    while (!is_done.load(std::memory_order_relaxed)) {
        count += mistake == "race" ? 1 : 0;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    dispatcher.join();
    handle.close();
    return 0;
}
