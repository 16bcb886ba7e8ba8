// A program that has functions of its own by the names of the library's two verbs, with the same parameters. Its functions
// come first for the dynamic linker, and election.hpp must not call them in place of the library's.
//
//     own_names_hpp HOSTS ROOT SESSION_TIMEOUT_MS

#define ELECTION_NO_BARE_NAMES
#include "check.hpp"
#include "election.hpp"

#include <string>

extern "C" {
int go_to_election(election_t *, const char *, const void *, std::size_t, election_role_fn, void *, election_free_fn);
int watch_master(election_t *, const char *, election_master_fn, void *, election_free_fn);
}

static int calls_of_ours = 0;

int go_to_election(election_t *, const char *, const void *, std::size_t, election_role_fn, void *, election_free_fn)
{
    calls_of_ours++;
    return ELECTION_OK;
}

int watch_master(election_t *, const char *, election_master_fn, void *, election_free_fn)
{
    calls_of_ours++;
    return ELECTION_OK;
}

int main(int, char **argv)
{
    const std::string path = std::string(argv[2]) + "/own-names";
    Inbox<election::event> events;
    Inbox<election::master> masters;
    std::error_code ec;
    election::handle handle(argv[1], ec);
    CHECK(!ec);
    handle.watch_master(path, [&](const election::master &master) { masters.put(master); }, ec);
    CHECK(!ec);
    handle.go_to_election(path, "ours", [&](const election::event &event) { events.put(event); }, ec);
    CHECK(!ec);
    while (events.take().role != election::role::master) {
    }
    while (masters.take().value != "ours") {
    }
    CHECK(calls_of_ours == 0);

    // What the program itself calls is its own.
    CHECK(go_to_election(handle.get(), path.c_str(), "", 0, nullptr, nullptr, nullptr) == ELECTION_OK);
    CHECK(watch_master(handle.get(), path.c_str(), nullptr, nullptr, nullptr) == ELECTION_OK);
    CHECK(calls_of_ours == 2);
}
