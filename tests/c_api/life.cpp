// The life of two candidates and an observer in C++17: each ctx is an object that free_ctx deletes.
//
//     life HOSTS ROOT SESSION_TIMEOUT_MS

#include "check.hpp"
#include "election.h"

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace {

struct Role {
    election_role_t role;
    election_reason_t reason;
    int rc;
    std::string value;
    std::int64_t token;
};

struct Master {
    int rc;
    std::string value;
    std::int64_t token;
};

// A function object that C calls and frees.
template <typename Seen> class Listener {
public:
    using Function = std::function<void(const Seen &)>;

    static std::atomic<int> alive;

    explicit Listener(Function function) : function_(std::move(function)) { ++alive; }
    ~Listener() { --alive; }
    Listener(const Listener &) = delete;
    Listener &operator=(const Listener &) = delete;

    static void call(const Seen *seen, void *ctx) { static_cast<Listener *>(ctx)->function_(*seen); }
    static void free(void *ctx) { delete static_cast<Listener *>(ctx); }

private:
    Function function_;
};

// Each handle has a callback thread: what one has resigned from may be freed while another is being closed.
template <typename Seen> std::atomic<int> Listener<Seen>::alive{0};

class Handle {
public:
    Handle(const std::string &hosts, int session_timeout_ms)
    {
        std::unique_ptr<election_options_t, decltype(&election_options_free)> options(
            election_options_new(), election_options_free);
        CHECK(options != nullptr);
        CHECK(election_options_set_session_timeout_ms(options.get(), session_timeout_ms) == ELECTION_OK);
        CHECK(election_options_set_connect_timeout_ms(options.get(), 30000) == ELECTION_OK);
        CHECK(election_open(hosts.c_str(), options.get(), &handle_) == ELECTION_OK);
    }

    ~Handle() { close(); }
    Handle(const Handle &) = delete;
    Handle &operator=(const Handle &) = delete;

    void close()
    {
        if (election_t *handle = std::exchange(handle_, nullptr))
            CHECK(election_close(handle) == ELECTION_OK);
    }

    int stand(const std::string &path, std::string_view value, Listener<election_event_t>::Function function)
    {
        using L = Listener<election_event_t>;
        auto listener = std::make_unique<L>(std::move(function));
        int rc = go_to_election(handle_, path.c_str(), value.data(), value.size(), L::call, listener.get(), L::free);
        // On failure the ctx is still ours.
        if (rc == ELECTION_OK)
            listener.release();
        return rc;
    }

    int watch(const std::string &path, Listener<election_master_t>::Function function)
    {
        using L = Listener<election_master_t>;
        auto listener = std::make_unique<L>(std::move(function));
        int rc = watch_master(handle_, path.c_str(), L::call, listener.get(), L::free);
        if (rc == ELECTION_OK)
            listener.release();
        return rc;
    }

    int resign(const std::string &path) { return election_resign(handle_, path.c_str()); }
    bool is_master(const std::string &path) const { return election_is_master(handle_, path.c_str()) == 1; }

private:
    election_t *handle_ = nullptr;
};

auto into(Inbox<Role> &inbox, const std::string &path)
{
    return [&inbox, path](const election_event_t &event) {
        CHECK(event.size == sizeof event);
        CHECK(event.path == path);
        CHECK(event.value[event.value_len] == '\0');
        inbox.put({event.role, event.reason, event.rc, {event.value, event.value_len}, event.token});
    };
}

auto into(Inbox<Master> &inbox, const std::string &path)
{
    return [&inbox, path](const election_master_t &master) {
        CHECK(master.size == sizeof master);
        CHECK(master.path == path);
        inbox.put({master.rc, {master.value, master.value_len}, master.token});
    };
}

Master next_master(Inbox<Master> &inbox)
{
    for (;;) {
        Master master = inbox.take();
        if (master.rc != ELECTION_NONODE)
            return master;
    }
}

void live(const std::string &hosts, const std::string &path, int session_timeout_ms)
{
    Inbox<Role> a, b;
    Inbox<Master> c;
    Handle first(hosts, session_timeout_ms), second(hosts, session_timeout_ms);

    using namespace std::string_view_literals;
    constexpr auto binary = "a\0b"sv;

    CHECK(first.stand(path, "first", into(a, path)) == ELECTION_OK);
    CHECK(first.stand(path, "again", into(a, path)) == ELECTION_ALREADY);
    CHECK(Listener<election_event_t>::alive == 1);
    Role role = a.take();
    CHECK(role.role == ELECTION_MASTER && role.reason == ELECTION_REASON_ELECTED && role.rc == ELECTION_OK);
    CHECK(role.value == "first" && role.token > 0 && first.is_master(path));
    const std::int64_t first_token = role.token;

    CHECK(second.watch(path, into(c, path)) == ELECTION_OK);
    Master master = next_master(c);
    CHECK(master.rc == ELECTION_OK && master.value == "first" && master.token == first_token);

    CHECK(second.stand(path, binary, into(b, path)) == ELECTION_OK);
    role = b.take();
    CHECK(role.role == ELECTION_SLAVE && role.reason == ELECTION_REASON_FOLLOWING && role.rc == ELECTION_NODEEXISTS);
    CHECK(role.value == "first" && role.token == first_token && !second.is_master(path));

    CHECK(first.resign(path) == ELECTION_OK);
    CHECK(!first.is_master(path));
    role = a.take();
    CHECK(role.role == ELECTION_UNKNOWN && role.reason == ELECTION_REASON_RESIGNED && role.rc == ELECTION_RESIGNED);
    CHECK(role.value.empty() && role.token == 0);

    role = b.take();
    CHECK(role.role == ELECTION_MASTER && role.value == binary && role.token > first_token);
    CHECK(second.is_master(path));
    master = next_master(c);
    CHECK(master.rc == ELECTION_OK && master.value == binary && master.token == role.token);

    second.close();
    role = b.take();
    CHECK(role.role == ELECTION_UNKNOWN && role.reason == ELECTION_REASON_CLOSED && role.rc == ELECTION_CLOSING);
    CHECK(next_master(c).rc == ELECTION_CLOSING);
    first.close();
    CHECK(a.empty() && b.empty() && c.empty());
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 4) {
        std::cerr << "usage: " << argv[0] << " HOSTS ROOT SESSION_TIMEOUT_MS" << std::endl;
        return 2;
    }
    live(argv[1], std::string(argv[2]) + "/c++", std::atoi(argv[3]));
    CHECK(Listener<election_event_t>::alive == 0);
    CHECK(Listener<election_master_t>::alive == 0);
}
