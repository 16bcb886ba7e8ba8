// election.hpp: a life of two candidates and an observer, in both forms of its functions (with -fno-exceptions in the
// one that there is then); what moves, what ends by itself, and when what a function captured is destroyed.
//
//     life_hpp HOSTS ROOT SESSION_TIMEOUT_MS [manual|loop] [instrumented]

#include "check.hpp"
#include "election.hpp"

#include <atomic>
#include <climits>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <type_traits>
#include <vector>

#if __cplusplus >= 202002L
#include <span>
#include <stop_token>
#endif

#include <poll.h>
#include <pthread.h>

namespace {

using namespace std::chrono_literals;
using election::rc;
using election::reason;
using election::role;
using std::string_view;

string_view hosts;
std::chrono::milliseconds session_timeout;
bool is_manual, is_loop;

// Whoever makes one expects that number, and a call that succeeds clears what was there before.
class Expect {
public:
    Expect(int line, rc number) : line_(line), number_(number) { code_ = make_error_code(rc::internal); }
    ~Expect()
    {
        if (code_ == number_)
            return;
        std::cerr << "line " << line_ << ": " << code_.message() << std::endl;
        std::_Exit(1);
    }
    Expect(const Expect &) = delete;
    Expect &operator=(const Expect &) = delete;

    operator std::error_code &() { return code_; }

private:
    int line_;
    rc number_;
    std::error_code code_;
};

#define EXPECT(number) Expect(__LINE__, rc::number)

#ifdef __cpp_exceptions
// The throwing form throws that number, and names the function.
template <typename Call> void expect_throw(int line, rc number, string_view function, Call call)
{
    try {
        call();
        std::cerr << "line " << line << ": nothing was thrown" << std::endl;
        std::_Exit(1);
    } catch (const election::error &error) {
        CHECK(error.code() == number);
        CHECK(string_view(error.what()).substr(0, function.size() + 2) == std::string(function) + ": ");
    }
}

#define EXPECT_THROW(number, function, call) expect_throw(__LINE__, rc::number, function, [&] { call; })
#endif

// Polls and dispatches on a thread of its own, when callbacks are to run so.
class Loop {
public:
    explicit Loop(election_t *handle) : handle_(handle)
    {
        if (is_manual)
            thread_ = std::thread(&Loop::run, this);
    }
    ~Loop()
    {
        end();
        if (thread_.joinable())
            thread_.join();
    }
    Loop(const Loop &) = delete;
    Loop &operator=(const Loop &) = delete;

    void end() { is_over_ = true; }

private:
    void run()
    {
        pollfd waiting = {election_fd(handle_), POLLIN, 0};
        CHECK(waiting.fd >= 0);
        while (!is_over_)
            if (poll(&waiting, 1, 20) > 0)
                election_dispatch(handle_, 0);
    }

    election_t *handle_;
    std::atomic<bool> is_over_{false};
    std::thread thread_;
};

election::options as_told()
{
    election::options options;
    options.session_timeout = session_timeout;
    options.connect_timeout = patience;
    if (is_manual)
        options.dispatch = is_loop ? election::dispatch::loop : election::dispatch::manual;
    return options;
}

// A handle, and its loop, which ends before the handle is closed.
struct Party {
    explicit Party(election::options options = as_told()) : handle(hosts, options, EXPECT(ok)), loop(handle.get()) {}

    void close(Expect &&expected)
    {
        loop.end();
        handle.close(expected);
    }

    election::handle handle;
    Loop loop;
};

auto into(Inbox<election::event> &inbox)
{
    return [&inbox](const election::event &event) { inbox.put(event); };
}

auto into(Inbox<election::master> &inbox)
{
    return [&inbox](const election::master &master) { inbox.put(master); };
}

election::master next_master(Inbox<election::master> &inbox)
{
    for (;;) {
        election::master master = inbox.take();
        if (master.rc != rc::nonode)
            return master;
    }
}

void expect_end(const election::event &event, reason why)
{
    CHECK(event.role == role::unknown && event.reason == why && event.value.empty() && event.token == election::token::none);
}

// What a function captured: it is told of its end, and must be neither called nor destroyed after that.
class Captured {
public:
    struct Fate {
        std::atomic<int> calls{0};
        Inbox<int> calls_at_end;
    };

    explicit Captured(Fate &fate) : fate_(std::make_shared<Owner>(fate)) {}

    void operator()(const election::event &) const { ++fate_->fate.calls; }
    void operator()(const election::master &) const { ++fate_->fate.calls; }

private:
    // std::function copies; what the copies share ends with the last of them.
    struct Owner {
        explicit Owner(Fate &its) : fate(its) {}
        ~Owner() { fate.calls_at_end.put(fate.calls); }
        Owner(const Owner &) = delete;
        Owner &operator=(const Owner &) = delete;
        Fate &fate;
    };

    std::shared_ptr<Owner> fate_;
};

void live(const std::string &path)
{
    using namespace std::string_view_literals;
    constexpr auto binary = "a\0b"sv;
    Inbox<election::event> a, b;
    Inbox<election::master> c;
    Party first, second;
    CHECK(first.handle && second.handle);

    first.handle.go_to_election(path, "first", into(a), EXPECT(ok));
    first.handle.go_to_election(path, "again", into(a), EXPECT(already));
    election::event event = a.take();
    CHECK(event.path == path && event.role == role::master && event.reason == reason::elected);
    CHECK(event.rc == rc::ok && event.value == "first" && event.token > election::token::none);
    CHECK(first.handle.is_master(path) && !second.handle.is_master(path));
    const std::optional<election::mastership> lease = first.handle.lease(path);
    CHECK(lease && lease->token == event.token && lease->left() > 0ns && lease->left() < session_timeout);
    CHECK(lease->until > election::lease_clock::now());
    CHECK(!second.handle.lease(path));
    const election::token first_token = event.token;

    second.handle.watch_master(path, into(c), EXPECT(ok));
    second.handle.watch_master(path, into(c), EXPECT(already));
    election::master master = next_master(c);
    CHECK(master.path == path && master.rc == rc::ok && master.value == "first" && master.token == first_token);
    CHECK(master.session_id != election::session_id::none);
    CHECK(std::chrono::abs(std::chrono::system_clock::now() - master.since) < 10min);

    second.handle.go_to_election(path, binary, into(b), EXPECT(ok));
    event = b.take();
    CHECK(event.role == role::slave && event.reason == reason::following && event.rc == rc::nodeexists);
    CHECK(event.value == "first" && event.token == first_token);
    CHECK(second.handle.wait(path, role::slave, patience, EXPECT(ok)));
    CHECK(!second.handle.wait(path, role::master, 10ms, EXPECT(ok)));

    std::vector<election::member> members = second.handle.members(path, patience, EXPECT(ok));
    CHECK(members.size() == 1 && members[0].value == "first" && members[0].token == first_token);
    CHECK(members[0].session_id == master.session_id && members[0].since == master.since);
    CHECK(path.substr(path.size() - members[0].name.size()) == members[0].name);

    const std::string target = path + "-target";
    first.handle.fenced_create(path, target, binary, patience, EXPECT(ok));
    first.handle.fenced_create(path, target, binary, patience, EXPECT(nodeexists));
    first.handle.fenced_set(path, target, "x", 0, patience, EXPECT(ok));
    first.handle.fenced_set(path, target, "y", 0, patience, EXPECT(badversion));
    first.handle.fenced_set(path, target, "z", election::any_version, patience, EXPECT(ok));
    second.handle.fenced_set(path, target, "old", election::any_version, patience, EXPECT(not_master));
    first.handle.fenced_delete(path, target, 1, patience, EXPECT(badversion));
    first.handle.fenced_delete(path, target, 2, patience, EXPECT(ok));

    first.handle.resign(path, EXPECT(ok));
    first.handle.resign(path, EXPECT(not_there));
    CHECK(!first.handle.is_master(path));
    expect_end(a.take(), reason::resigned);

    event = b.take();
    CHECK(event.role == role::master && event.value == binary && event.token > first_token);
    master = next_master(c);
    CHECK(master.rc == rc::ok && master.value == binary && master.token == event.token);

    second.close(EXPECT(ok));
    second.close(EXPECT(bad_handle));
    CHECK(!second.handle.is_master(path));
    second.handle.resign(path, EXPECT(bad_handle));
    expect_end(b.take(), reason::closed);
    CHECK(next_master(c).rc == rc::closing);
    CHECK(a.empty() && b.empty() && c.empty());
}

// Who is in, with an alarm; one's own value; who is master, asked once.
void observe(const std::string &path)
{
    Inbox<election::members> news;
    election::options in_queue = as_told();
    in_queue.recipe = election::recipe::queue;
    Party first(in_queue), second(in_queue);
    CHECK(first.handle.get_master(path, patience, EXPECT(ok)).rc == rc::nonode);
    CHECK(first.handle.get_master(path, 0ms, EXPECT(bad_timeout)).rc == rc::bad_timeout);
    {
        auto on_members = [&news](const election::members &members) { news.put(members); };
        election::watch watch = election::watch::members(second.handle, path, 2, on_members, EXPECT(ok));
        CHECK(!election::watch::members(second.handle, path, 2, on_members, EXPECT(already)));
        CHECK(!election::watch::members(first.handle, path, -1, on_members, EXPECT(bad_count)));
        election::members members = news.take();
        CHECK(watch && members.path == path && members.rc == rc::ok && members.members.empty());
        CHECK(members.alarm == election::alarm::too_few);

        election::candidacy one(first.handle, path, "one", nullptr, EXPECT(ok));
        CHECK(one.wait(role::master, patience, EXPECT(ok)));
        election::candidacy two(second.handle, path, "two", nullptr, EXPECT(ok));
        do
            members = news.take();
        while (members.alarm != election::alarm::enough);
        CHECK(members.members.size() == 2 && members.members[0].value == "one" && members.members[1].value == "two");
        CHECK(members.members[0].token == one.lease()->token);

        one.set_value("new", EXPECT(ok));
        second.handle.set_value(path, "newer", EXPECT(ok));
        do
            members = news.take();
        while (members.members[0].value != "new" || members.members[1].value != "newer");
        const election::master master = second.handle.get_master(path, patience, EXPECT(ok));
        CHECK(master.path == path && master.rc == rc::ok && master.value == "new");
        CHECK(master.token == one.lease()->token && master.session_id == members.members[0].session_id);
        two.resign(EXPECT(ok));
        do
            members = news.take();
        while (members.alarm != election::alarm::too_few);
        CHECK(members.members.size() == 1);
        two.set_value("nobody's", EXPECT(bad_handle));
    }
    second.handle.unwatch_members(path, EXPECT(not_there));
    first.handle.set_value(path, "nobody's", EXPECT(not_there));
}

// The connection, the counters, the dump, and the log of the process.
void look_inside(const std::string &path)
{
    Inbox<election::connection> connections;
    Inbox<election::log_record> records;
    Captured::Fate log;
    election::set_log(election::log_level::info, [&, keep = Captured(log)](const election::log_record &record) {
        records.put(record);
    }, EXPECT(ok));
    {
        Party party;
        auto on_connection = [&](const election::connection &connection) { connections.put(connection); };
        election::watch watch = election::watch::connection(party.handle, on_connection, EXPECT(ok));
        CHECK(watch && !election::watch::connection(party.handle, on_connection, EXPECT(already)));
        const election::connection connection = connections.take();
        CHECK(connection.state == election::connection_state::connected && connection.rc == rc::ok);
        CHECK(connection.session_id != election::session_id::none && connection.session_timeout == session_timeout);

        election::candidacy candidacy(party.handle, path, "x", nullptr, EXPECT(ok));
        CHECK(candidacy.wait(role::master, patience, EXPECT(ok)));
        election::log_record record = records.take();
        while (record.path != path || record.message.find("master, elected") == std::string::npos)
            record = records.take();
        CHECK(record.level == election::log_level::info);
        CHECK(record.handle == party.handle.get() && record.session_id == connection.session_id);
        CHECK(std::chrono::abs(std::chrono::system_clock::now() - record.at) < 10min);

        const election::counters counters = party.handle.counters(EXPECT(ok));
        CHECK(counters.size == sizeof counters && counters.sessions_opened == 1 && counters.creates >= 1);
        const std::string text = party.handle.dump(election::dump_format::text, EXPECT(ok));
        const std::string json = party.handle.dump(election::dump_format::json, EXPECT(ok));
        CHECK(text.find(path) != std::string::npos && json.find(path) != std::string::npos && json.front() == '{');
        CHECK(party.handle.dump(static_cast<election::dump_format>(9), EXPECT(bad_format)).empty());
        watch = election::watch();
        party.handle.unwatch_connection(EXPECT(not_there));
        party.close(EXPECT(ok));
        CHECK(party.handle.counters(EXPECT(bad_handle)).sessions_opened == 0);
    }
    election::set_log(static_cast<election::log_level>(9), nullptr, EXPECT(bad_level));
    election::set_log(election::log_level::info, nullptr, EXPECT(bad_callback));
    CHECK(log.calls_at_end.empty());
    election::set_log(election::log_level::off, nullptr, EXPECT(ok));
    log.calls_at_end.take();
}

// Whoever has the credential takes part, others may read; what is refused for good is told once.
void keep_out(const std::string &path)
{
    Inbox<election::event> refused;
    election::options with_credential = as_told();
    with_credential.auth = {{"digest", "alice:wonder"}, {"digest", std::string("b\0b:pass", 8)}};
    with_credential.acl = election::acl::creator;
    with_credential.more_acl = {{election::perm::read | election::perm::create, "world", "anyone"}};
    Party own(with_credential), stranger;
    election::candidacy candidacy(own.handle, path, "own", nullptr, EXPECT(ok));
    CHECK(candidacy.wait(role::master, patience, EXPECT(ok)));
    CHECK(stranger.handle.get_master(path, patience, EXPECT(ok)).value == "own");
    stranger.handle.go_to_election(path + "/below", "", into(refused), EXPECT(ok));
    const election::event event = refused.take();
    CHECK(event.role == role::unknown && event.reason == reason::denied && event.rc == rc::nochildrenforephemerals);
    CHECK(!stranger.handle.wait(path + "/below", role::master, patience, EXPECT(nochildrenforephemerals)));
    candidacy.resign(EXPECT(ok));

    with_credential.more_acl = {{election::perm::read, "world", "anyone"}};
    Party closed(with_credential);
    closed.handle.go_to_election(path + "-closed/master", "", nullptr, EXPECT(ok));
    CHECK(closed.handle.wait(path + "-closed/master", role::master, patience, EXPECT(ok)));
    stranger.handle.go_to_election(path + "-closed/other", "", into(refused), EXPECT(ok));
    CHECK(refused.take().rc == rc::noauth);

    with_credential = as_told();
    with_credential.auth = {{"no-such-scheme", "secret"}};
    CHECK(!election::handle(hosts, with_credential, EXPECT(authfailed)));
}

// What is wrong is told by the number of election.h, also where C++ text is not what C text can be.
void refuse(const std::string &path)
{
    using namespace std::string_view_literals;
    Party party;
    const std::string too_long = "/" + std::string(election::path_max, 'x');
    for (string_view bad : {"relative"sv, ""sv, string_view(), "/cut\0short"sv, "/ends\0"sv, string_view(too_long)}) {
        party.handle.go_to_election(bad, "", nullptr, EXPECT(bad_path));
        party.handle.resign(bad, EXPECT(bad_path));
        CHECK(!party.handle.is_master(bad));
        party.handle.fenced_create("/master", bad, "", patience, EXPECT(bad_path));
    }
    party.handle.go_to_election(path, std::string(election::value_max + 1, 'x'), nullptr, EXPECT(bad_value));
    party.handle.watch_master(path, nullptr, EXPECT(bad_callback));
    party.handle.unwatch_master(path, EXPECT(not_there));
    for (auto time : {-1ms, std::chrono::milliseconds(4294967297), std::chrono::milliseconds::max()}) {
        CHECK(!party.handle.wait(path, role::master, time, EXPECT(bad_timeout)));
        CHECK(party.handle.members(path, time, EXPECT(bad_timeout)).empty());
        election::options options;
        options.session_timeout = time;
        CHECK(!election::handle(hosts, options, EXPECT(bad_timeout)));
    }
    CHECK(!party.handle.wait(path, static_cast<role>(7), 1s, EXPECT(bad_role)));
    if (is_manual) {
        CHECK(party.handle.fd(EXPECT(ok)) >= 0);
    } else {
        CHECK(party.handle.fd(EXPECT(not_manual)) == -1);
        CHECK(party.handle.dispatch(0ms, EXPECT(not_manual)) == 0);
    }

    CHECK(!election::handle("", EXPECT(bad_hosts)));
    CHECK(!election::handle("127.0.0.1:1\0,127.0.0.1:2"sv, EXPECT(bad_hosts)));
    auto refused = [](auto member, auto number, rc expected) {
        election::options options;
        options.*member = static_cast<typename std::decay_t<decltype(options.*member)>::value_type>(number);
        std::error_code ec;
        CHECK(!election::handle(hosts, options, ec) && ec == expected);
    };
    refused(&election::options::recipe, 99, rc::bad_recipe);
    refused(&election::options::dispatch, 99, rc::bad_dispatch);
    refused(&election::options::lease_mode, 99, rc::bad_lease_mode);
    refused(&election::options::connect_timeout, 3600001ms, rc::bad_timeout);
    refused(&election::options::grace, 3600001ms, rc::bad_timeout);
    refused(&election::options::lease_margin, 3600001ms, rc::bad_timeout);
    refused(&election::options::tick, 3600001ms, rc::bad_timeout);
    refused(&election::options::acl, 99, rc::bad_acl);
    refused(&election::options::frame_limit_bytes, (1 << 20) - 1, rc::bad_frame_limit);
    auto refused_text = [](auto member, auto entry, rc expected) {
        election::options options;
        (options.*member).push_back(entry);
        std::error_code ec;
        CHECK(!election::handle(hosts, options, ec) && ec == expected);
    };
    const std::string cut_short("digest\0x", 8);
    using election::acl_entry, election::credential, election::perm;
    refused_text(&election::options::auth, credential{"", "a:b"}, rc::bad_auth);
    refused_text(&election::options::auth, credential{cut_short, "a:b"}, rc::bad_auth);
    refused_text(&election::options::more_acl, acl_entry{perm(), "world", "anyone"}, rc::bad_acl);
    refused_text(&election::options::more_acl, acl_entry{perm::all, cut_short, "a:b"}, rc::bad_acl);
    refused_text(&election::options::more_acl, acl_entry{perm::all, "digest", cut_short}, rc::bad_acl);
    for (const std::string &files : {std::string("/no-such-folder/ca.pem"), std::string(",,key"), cut_short}) {
        election::options options;
        options.tls = files;
        options.tls_verify_host = false;
        std::error_code ec;
        CHECK(!election::handle(hosts, options, ec) && ec == rc::bad_tls);
    }
    const std::pair<std::string, std::string> mechanism = {"mechanism", "DIGEST-MD5"};
    for (const auto &parameters : {std::vector{mechanism}, {{"user", cut_short}}, {{"no-such", "x"}}}) {
        election::options options;
        options.sasl = parameters;
        std::error_code ec;
        CHECK(!election::handle(hosts, options, ec) && ec == rc::bad_sasl);
    }

    election::handle none;
    CHECK(!none && none.get() == nullptr && !none.is_master(path) && !none.lease(path));
    none.go_to_election(path, "", [](const election::event &) {}, EXPECT(bad_handle));
    none.close(EXPECT(bad_handle));
}

// The numbers as std::error_code and std::error_condition.
void codes()
{
    const std::error_code timeout = rc::operationtimeout, ok = rc::ok;
    CHECK(timeout && !ok && timeout == rc::operationtimeout && timeout != rc::not_master);
    CHECK(timeout == std::errc::timed_out && timeout.category() == election::category());
    CHECK(std::error_code(rc::not_master) != std::errc::timed_out);
    CHECK(std::error_code(rc::bad_path) == std::errc::invalid_argument);
    CHECK(std::error_code(rc::nodeexists) == std::errc::file_exists);
    CHECK(timeout.message() == election_strerror(ELECTION_OPERATIONTIMEOUT));
    CHECK(string_view(timeout.category().name()) == "election");
    CHECK(election::version() == ELECTION_VERSION);

    using election::token;
    election::verifier verifier(token{7}, EXPECT(ok));
    CHECK(!verifier.admit(token{6}) && verifier.admit(token{7}) && verifier.admit(token{9}));
    CHECK(!verifier.admit(token{8}) && verifier.highest() == token{9});
    election::verifier moved = std::move(verifier);
    CHECK(moved.admit(token{10}) && !verifier.admit(token{11}) && verifier.highest() == token::none);
}

#ifdef __cpp_exceptions
void throwing(const std::string &path)
{
    Inbox<election::event> a;
    Inbox<election::master> b;
    EXPECT_THROW(bad_hosts, "election_open", static_cast<void>(election::handle("")));
    election::handle handle(hosts, as_told());
    {
        Loop loop(handle.get());
        EXPECT_THROW(bad_path, "election_go_to_election", handle.go_to_election("relative"));
        EXPECT_THROW(not_there, "election_resign", handle.resign(path));
        EXPECT_THROW(not_there, "election_set_value", handle.set_value(path, ""));
        EXPECT_THROW(bad_timeout, "election_get_master", handle.get_master(path, 0s));
        EXPECT_THROW(bad_count, "election_watch_members", handle.watch_members(path, -1, nullptr));
        EXPECT_THROW(bad_callback, "election_watch_members",
                     static_cast<void>(election::watch::members(handle, path, 1, nullptr)));
        EXPECT_THROW(not_there, "election_unwatch_members", handle.unwatch_members(path));
        EXPECT_THROW(bad_callback, "election_watch_connection", handle.watch_connection(nullptr));
        EXPECT_THROW(bad_callback, "election_watch_connection",
                     static_cast<void>(election::watch::connection(handle, nullptr)));
        EXPECT_THROW(not_there, "election_unwatch_connection", handle.unwatch_connection());
        EXPECT_THROW(bad_format, "election_dump", handle.dump(static_cast<election::dump_format>(9)));
        EXPECT_THROW(bad_level, "election_set_log", election::set_log(static_cast<election::log_level>(9)));
        CHECK(handle.counters().sessions_opened == 1 && !handle.dump().empty());
        EXPECT_THROW(bad_handle, "election_counters", election::handle().counters());
        EXPECT_THROW(not_there, "election_wait", handle.wait(path, role::master, 1s));
        EXPECT_THROW(bad_timeout, "election_members", handle.members(path, 0s));
        EXPECT_THROW(bad_callback, "election_lead", handle.lead(path, "", nullptr));
        EXPECT_THROW(bad_handle, "election_clear_interrupt", election::handle().clear_interrupt());
        EXPECT_THROW(not_there, "election_unwatch_master", handle.unwatch_master(path));
        EXPECT_THROW(bad_callback, "election_watch_master", handle.watch_master(path, nullptr));
        EXPECT_THROW(bad_callback, "election_watch_master", static_cast<void>(election::watch::master(handle, path, nullptr)));
        EXPECT_THROW(bad_path, "election_go_to_election", static_cast<void>(election::candidacy(handle, "")));
        EXPECT_THROW(not_master, "election_fenced_create", handle.fenced_create(path, path, "", 1s));
        EXPECT_THROW(not_master, "election_fenced_set", handle.fenced_set(path, path, "", 0, 1s));
        EXPECT_THROW(not_master, "election_fenced_delete", handle.fenced_delete(path, path, 0, 1s));
        if (!is_manual) {
            EXPECT_THROW(not_manual, "election_fd", handle.fd());
            EXPECT_THROW(not_manual, "election_dispatch", handle.dispatch());
        }

        handle.go_to_election(path, "x", into(a));
        CHECK(handle.wait(path, role::master, patience));
        CHECK(a.take().role == role::master);
        handle.fenced_create(path, path + "-target", "1", patience);
        handle.fenced_set(path, path + "-target", "2", 0, patience);
        handle.fenced_delete(path, path + "-target", 1, patience);
        CHECK(handle.members(path, patience).size() == 1);
        handle.watch_master(path, into(b));
        CHECK(next_master(b).value == "x");
        handle.unwatch_master(path);
        handle.resign(path);
        expect_end(a.take(), reason::resigned);

        // What a function throws leaves lead() when the place is given up.
        try {
            handle.lead(path, "z", [&](const election::leadership &leadership) {
                CHECK(!leadership.should_stop() && !leadership.wait_stop(1ms) && handle.is_master(path));
                throw leadership.token();
            });
            CHECK(false);
        } catch (election::token token) {
            CHECK(token != election::token::none && !handle.is_master(path));
        }
        CHECK(handle.interrupt() && !election::handle().interrupt());
        EXPECT_THROW(interrupted, "election_lead", handle.lead(path, "", [](const election::leadership &) {}));
        EXPECT_THROW(not_there, "election_wait", handle.wait(path + "-other", role::master, election::forever));
        handle.clear_interrupt();

        election::candidacy candidacy(handle, path);
        CHECK(candidacy.wait(role::master, patience));
        candidacy.set_value("y");
        candidacy.resign();
        EXPECT_THROW(bad_handle, "election_set_value", candidacy.set_value("z"));
        EXPECT_THROW(bad_handle, "election_resign", candidacy.resign());
        EXPECT_THROW(bad_handle, "election_wait", candidacy.wait(role::master, 1s));
        election::watch watch = election::watch::master(handle, path, into(b));
        CHECK(watch && b.take().path == path);
    }
    if (is_manual) {
        CHECK(handle.fd() >= 0);
        // Whatever is on its way.
        while (handle.dispatch(10ms) > 0 || handle.dispatch() > 0) {
        }
    }
    CHECK(election::verifier().highest() == election::token::none);
    handle.close();
    EXPECT_THROW(bad_handle, "election_close", handle.close());
}
#else
// There is no throwing form.
static_assert(!std::is_constructible_v<election::handle, const char *>);
static_assert(!std::is_constructible_v<election::candidacy, election::handle &, const char *>);
static_assert(!std::is_default_constructible_v<election::verifier>);
#endif

static_assert(!std::is_copy_constructible_v<election::handle> && !std::is_copy_assignable_v<election::handle>);
static_assert(std::is_nothrow_move_constructible_v<election::handle> && std::is_nothrow_swappable_v<election::handle>);
static_assert(!std::is_copy_constructible_v<election::candidacy> && !std::is_copy_constructible_v<election::watch>);
static_assert(std::is_nothrow_move_assignable_v<election::candidacy> &&
              std::is_nothrow_move_assignable_v<election::watch>);
static_assert(!std::is_copy_constructible_v<election::verifier> && std::is_move_assignable_v<election::verifier>);
static_assert(std::is_copy_assignable_v<election::event> && std::is_copy_assignable_v<election::options>);

// What moves goes on; what is assigned to ends first.
void move_about(const std::string &path)
{
    Party first, second;
    Inbox<election::event> a, b;
    Inbox<election::master> c;
    {
        election::candidacy candidacy(first.handle, path, "first", into(a), EXPECT(ok));
        CHECK(candidacy && candidacy.path() == path && a.take().role == role::master);
        election::handle moved = std::move(first.handle);
        CHECK(moved && !first.handle && moved.is_master(path) && candidacy.is_master());
        first.handle.resign(path, EXPECT(bad_handle));
        swap(moved, first.handle);
        CHECK(!moved && first.handle.is_master(path));

        election::candidacy other;
        CHECK(!other && !other.is_master() && !other.lease());
        other = std::move(candidacy);
        CHECK(other && !candidacy && other.is_master() && other.lease()->token > election::token::none);
        CHECK(!other.wait(role::slave, 10ms, EXPECT(ok)));
        other = election::candidacy(second.handle, path + "-other", "second", into(b), EXPECT(ok));
        CHECK(!a.empty()); // it has heard so by now
        expect_end(a.take(), reason::resigned);
        CHECK(other.wait(role::master, patience, EXPECT(ok)) && b.take().role == role::master);
    }
    CHECK(!b.empty());
    expect_end(b.take(), reason::resigned);
    CHECK(!election::candidacy(second.handle, "no path", "", nullptr, EXPECT(bad_path)));

    {
        election::watch watch = election::watch::master(second.handle, path, into(c), EXPECT(ok));
        CHECK(watch && c.take().path == path);
        CHECK(!election::watch::master(second.handle, path, into(c), EXPECT(already)));
        watch = election::watch::master(second.handle, path + "-other", into(c), EXPECT(ok));
        CHECK(c.take().path == path + "-other");
        second.handle.unwatch_master(path, EXPECT(not_there));

        // A watch that fails leaves the one that is there alone.
        static_cast<void>(election::watch::master(second.handle, path + "-other", into(c), EXPECT(already)));
        second.handle.watch_master(path + "-other", into(c), EXPECT(already));
#ifdef __cpp_exceptions
        EXPECT_THROW(already, "election_watch_master",
                     static_cast<void>(election::watch::master(second.handle, path + "-other", into(c))));
        second.handle.watch_master(path + "-other", into(c), EXPECT(already));
#endif
    }
    second.handle.unwatch_master(path + "-other", EXPECT(not_there));

    // The handle may go first; then there is nothing to do.
    election::candidacy candidacy(second.handle, path, "", nullptr, EXPECT(ok));
    election::watch watch = election::watch::master(second.handle, path, into(c), EXPECT(ok));
    second.loop.end();
    first.loop.end();
    second.handle = std::move(first.handle);
    CHECK(second.handle && !first.handle && !candidacy.is_master());
    candidacy.resign(EXPECT(bad_handle));
}

// What a function captured is destroyed once, after the last call: also when nothing happened.
void capture(const std::string &path)
{
    Captured::Fate resigned, refused, closed, unwatched, watching;
    Party party;
    party.handle.go_to_election(path, "", Captured(resigned), EXPECT(ok));
    CHECK(party.handle.wait(path, role::master, patience, EXPECT(ok)));
    party.handle.go_to_election(path, "", Captured(refused), EXPECT(already));
    CHECK(refused.calls_at_end.take() == 0);
    CHECK(resigned.calls_at_end.empty());
    party.handle.resign(path, EXPECT(ok));
    CHECK(resigned.calls_at_end.take() == 2);

    Inbox<election::master> news;
    party.handle.watch_master(path, Captured(unwatched), EXPECT(ok));
    party.handle.unwatch_master(path, EXPECT(ok));
    unwatched.calls_at_end.take();
    party.handle.watch_master(path, Captured(watching), EXPECT(ok));
    party.handle.go_to_election(path, "", Captured(closed), EXPECT(ok));
    CHECK(party.handle.wait(path, role::master, patience, EXPECT(ok)));
    party.close(EXPECT(ok));
    // By now, not some time later.
    CHECK(!closed.calls_at_end.empty() && !watching.calls_at_end.empty());
    CHECK(closed.calls_at_end.take() == 2 && watching.calls_at_end.take() >= 1);
    CHECK(refused.calls_at_end.empty() && resigned.calls_at_end.empty() && unwatched.calls_at_end.empty());
}

// What a function refers to must outlive the guard, and nothing else: when the guard is gone, no call is under way and
// none comes. Many rounds, so that a sanitizer sees a call that came too late.
void outlive(const std::string &path)
{
    Party party, other;
    for (int round = 0; round < 20; round++) {
        Inbox<role> roles;
        auto calls = std::make_unique<int>(0);
        std::atomic<bool> is_master{false};
        {
            auto count = [&, own = std::make_unique<int>(round)](const election::event &event) {
                CHECK(*own == round);
                ++*calls;
                is_master = is_master || event.role == role::master;
                roles.put(event.role);
            };
            election::candidacy candidacy(party.handle, path, "", std::move(count), EXPECT(ok));
            election::watch watch = election::watch::master(
                other.handle, path, [&](const election::master &) { roles.put(role::slave); }, EXPECT(ok));
            if (round % 2 == 0)
                CHECK(candidacy.wait(role::master, patience, EXPECT(ok)));
            if (round % 4 == 0)
                candidacy.resign(EXPECT(ok));
        }
        CHECK(*calls >= 1 && *calls <= 2 + round && (is_master || round % 2 == 1));
        calls.reset();
        party.handle.resign(path, EXPECT(not_there));
    }

    // What is detached ends at the same moment, and is called later.
    Captured::Fate detached, unwatched;
    election::candidacy candidacy(party.handle, path, "", Captured(detached), EXPECT(ok));
    election::watch watch = election::watch::master(other.handle, path, Captured(unwatched), EXPECT(ok));
    candidacy.detach(EXPECT(ok));
    watch.detach();
    CHECK(!candidacy && !watch);
    party.handle.resign(path, EXPECT(not_there));
    other.handle.unwatch_master(path, EXPECT(not_there));
    CHECK(detached.calls_at_end.take() >= 1);
    unwatched.calls_at_end.take();
    candidacy.detach(EXPECT(bad_handle));

    // A guard that goes inside a callback of its handle cannot wait there for that callback.
    Inbox<bool> gone;
    std::unique_ptr<election::watch> inside;
    party.handle.go_to_election(path, "", [&](const election::event &event) {
        if (event.role == role::master) {
            inside = std::make_unique<election::watch>(
                election::watch::master(party.handle, path, [](const election::master &) {}, EXPECT(ok)));
            inside.reset();
            gone.put(true);
        }
    }, EXPECT(ok));
    CHECK(gone.take());
    party.handle.unwatch_master(path, EXPECT(not_there));
}

// Any duration, any clock, no overflow.
void wait_in_many_ways(const std::string &path)
{
    using std::chrono::steady_clock, std::chrono::system_clock;
    static_assert(election::duration(1us).ms() == 1 && election::duration(0ms).ms() == 0);
    static_assert(election::duration(1500us).ms() == 2 && election::duration(1h).ms() == 3600000);
    static_assert(election::duration(std::chrono::duration<double>(0.25)).ms() == 250);
    static_assert(election::duration(std::chrono::hours::max()).is_too_long());
    static_assert(election::duration(std::chrono::hours::max()).ms() < 0 && election::forever.ms() == ELECTION_FOREVER);
    static_assert(election::duration(-1ms).ms() != ELECTION_FOREVER);
    static_assert(election::duration(std::chrono::hours::min()).ms() == INT_MIN);
    static_assert(election::duration(-1ns).ms() == INT_MIN);
    Party party;
    CHECK(!party.handle.wait(path, role::master, std::chrono::hours::max(), EXPECT(bad_timeout)));
    CHECK(!party.handle.wait_until(path, role::master, steady_clock::time_point::max(), EXPECT(not_there)));
    election::candidacy candidacy(party.handle, path, "", nullptr, EXPECT(ok));
    CHECK(candidacy.wait_until(role::master, steady_clock::time_point::max(), EXPECT(ok)));
    CHECK(candidacy.wait_until(role::master, system_clock::time_point::min(), EXPECT(ok)));
    CHECK(!candidacy.wait_until(role::slave, system_clock::time_point::min(), EXPECT(ok)));
    CHECK(!candidacy.wait_until(role::slave, candidacy.lease()->until - candidacy.lease()->left(), EXPECT(ok)));
    const auto began = steady_clock::now();
    CHECK(!candidacy.wait_until(role::slave, began + 50ms, EXPECT(ok)) && steady_clock::now() >= began + 50ms);
#ifdef __cpp_exceptions
    CHECK(candidacy.wait_until(role::master, steady_clock::time_point::max()));
#endif
#ifdef __cpp_lib_jthread
    std::stop_source stop;
    CHECK(candidacy.wait(role::master, stop.get_token(), EXPECT(ok)));
    Inbox<bool> came;
    std::jthread waiting([&] { came.put(party.handle.wait(path, role::slave, stop.get_token(), EXPECT(ok))); });
    stop.request_stop();
    CHECK(!came.take() && !candidacy.wait(role::slave, stop.get_token(), EXPECT(ok)));
#endif

    // Times that a server sends.
    for (std::int64_t ms : {INT64_MIN, INT64_MAX, std::int64_t{0}}) {
        election_master_t c = {};
        c.path = c.value = "";
        c.since_ms = ms;
        const system_clock::time_point since = election::detail::from_c(c).since;
        CHECK(ms == 0 ? since == system_clock::time_point() : (since > system_clock::time_point()) == (ms > 0));
    }

    // Values of bytes.
    const std::vector<std::byte> value = {std::byte{1}, std::byte{0}};
    candidacy.set_value(value, EXPECT(ok));
#ifdef __cpp_lib_span
    candidacy.set_value(std::span(value), EXPECT(ok));
#endif
    while (party.handle.get_master(path, patience, EXPECT(ok)).value != string_view("\1\0", 2)) {
    }
}

// A function that runs while master, and what ends its wait.
void lead(const std::string &path)
{
    Party party;
    int led = 0;
    auto work = [&, own = std::make_unique<int>(1)](const election::leadership &leadership) {
        led += *own;
        CHECK(leadership.token() == party.handle.lease(path)->token && !leadership.should_stop());
        CHECK(!leadership.wait_stop(1ms));
        CHECK(party.handle.interrupt());
        CHECK(leadership.wait_stop(std::chrono::hours::max()) && leadership.should_stop());
    };
    CHECK(party.handle.lead(path, "", std::move(work), election::forever, EXPECT(ok)) && led == 1);
    CHECK(!party.handle.lead(path, "", [](const election::leadership &) {}, election::forever, EXPECT(interrupted)));
    party.handle.clear_interrupt(EXPECT(ok));
    CHECK(!party.handle.lead(path, "", nullptr, election::forever, EXPECT(bad_callback)));
#ifdef __cpp_exceptions
    std::string thrown;
    try {
        party.handle.lead(path, "", [](const election::leadership &) { throw std::string("of the program"); });
    } catch (const std::string &what) {
        thrown = what;
    }
    CHECK(thrown == "of the program");
#endif
    CHECK(!party.handle.is_master(path));
}

// Inside a callback of its own a handle cannot be closed. When it is destroyed there, its functions are told nothing any
// more, and the session ends as soon as the callback has returned.
void destroy_inside(const std::string &path)
{
    Captured::Fate captured;
    Inbox<election::event> heard;
    Inbox<std::error_code> closed_inside;
    Inbox<bool> may_go;
    Inbox<int> calls_until_then;
    Party other, party;
    election_t *const number = party.handle.get();
    party.handle.watch_master(path, Captured(captured), EXPECT(ok));
    election::role_function on_role = [&, keep = Captured(captured)](const election::event &event) {
        keep(event);
        std::error_code ec;
        party.handle.close(ec);
        closed_inside.put(ec);
        may_go.take();
        party.loop.end();
        calls_until_then.put(captured.calls);
        election::handle dropped = std::move(party.handle);
    };
    party.handle.go_to_election(path, "", std::move(on_role), EXPECT(ok));
    CHECK(closed_inside.take() == rc::in_callback);
    other.handle.go_to_election(path, "", into(heard), EXPECT(ok));
    CHECK(heard.take().role == role::slave);
    may_go.put(true);
    CHECK(heard.take().role == role::master);
    const int calls = calls_until_then.take();
    CHECK(captured.calls_at_end.take() == calls && captured.calls_at_end.take() == calls);
    CHECK(captured.calls_at_end.empty() && closed_inside.empty());
    // By and by it is closed for everyone.
    for (auto until = std::chrono::steady_clock::now() + patience; election_fd(number) != ELECTION_BAD_HANDLE;) {
        CHECK(std::chrono::steady_clock::now() < until);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

} // namespace

int main(int argc, char **argv)
{
    if (argc < 4) {
        std::cerr << "usage: " << argv[0] << " HOSTS ROOT SESSION_TIMEOUT_MS [manual|loop] [instrumented]" << std::endl;
        return 2;
    }
    hosts = argv[1];
    const std::string root = argv[2];
    session_timeout = std::chrono::milliseconds(std::atoi(argv[3]));
    for (int i = 4; i < argc; i++) {
        is_loop = is_loop || argv[i] == string_view("loop");
        is_manual = is_manual || is_loop || argv[i] == string_view("manual");
    }
    codes();
    live(root + "/life");
    observe(root + "/observe");
    look_inside(root + "/inside");
    keep_out(root + "/kept");
    refuse(root + "/refuse");
    move_about(root + "/move");
    capture(root + "/capture");
    outlive(root + "/outlive");
    wait_in_many_ways(root + "/wait");
    lead(root + "/lead");
    destroy_inside(root + "/destroyed");
#ifdef __cpp_exceptions
    throwing(root + "/throwing");
#endif
}
