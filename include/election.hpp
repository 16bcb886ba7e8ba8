/* election.hpp - master election on Apache ZooKeeper, for C++17 and later: election.h with values, functions and
 * destructors. This header is all of it; link -lelection as for C. The shortest program:
 *
 *     election::handle handle("127.0.0.1:2181");
 *     handle.go_to_election("/master", "10.0.0.7", [](const election::event &event) {
 *         std::cout << name(event.role) << std::endl;
 *     });
 *     ...
 *     while (handle.is_master("/master"))
 *         do_a_piece_of_work();
 *
 * A name here is a name of election.h without its prefix, and election.h documents it: election_resign is
 * handle::resign, ELECTION_REASON_LEASE_EXPIRED is reason::lease_expired. C++ adds:
 *
 * - Errors. Each function that can fail has two forms, as in std::filesystem. One takes a std::error_code & as its
 *   last argument and sets or clears it. The other throws election::error, a std::system_error. Both carry a number
 *   of election::rc and compare with it, and also with std::errc if that has an equivalent:
 *   `error.code() == election::rc::not_master`, `ec == std::errc::timed_out`. With -fno-exceptions only the first
 *   form exists.
 * - Times are any std::chrono durations. The library counts whole milliseconds: a fraction is rounded up. A time that
 *   does not fit an int is rc::bad_timeout; no arithmetic overflows.
 * - Text is copied from a std::string_view. Text that contains a 0 byte is an error (rc::bad_path, rc::bad_hosts and
 *   the like); it is never cut short. Values are bytes and may contain 0 bytes.
 * - A callback is any callable, also one that can only be moved. The argument of a callback owns its strings, and the
 *   callback may keep it. The callable and its captures are destroyed exactly once, after the last call, where the
 *   callbacks run.
 * - If an exception leaves a callback, the program ends (std::terminate), as it does if an exception leaves a thread.
 *   The session ends with the program, and another candidate becomes master. A callback catches its own exceptions.
 * - The destructors close a handle, resign a candidacy and end a watch. Each destructor waits for the last call of its
 *   callback. Only the objects that the callback refers to must outlive the handle, candidacy or watch.
 * - Several threads may call the member functions of one object at the same time. The exceptions are its constructors,
 *   destructor, assignments, swap, and the functions that end a candidacy or a watch.
 * - Files that are compiled with exceptions and files that are compiled without them may be linked into one program.
 *   Each class that has throwing forms is then two types. The linker distinguishes them by name.
 */

#ifndef ELECTION_HPP
#define ELECTION_HPP

#include "election.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <time.h>

namespace election {

// ---- Numbers ------------------------------------------------------------------------------------------------------

/** election_role_t. */
enum class role : int {
    unknown = ELECTION_UNKNOWN,
    slave = ELECTION_SLAVE,
    master = ELECTION_MASTER,
};

/** election_reason_t. A later version of the library may add reasons. */
enum class reason : int {
    elected = ELECTION_REASON_ELECTED,
    following = ELECTION_REASON_FOLLOWING,
    suspended = ELECTION_REASON_SUSPENDED,
    expired = ELECTION_REASON_EXPIRED,
    deleted = ELECTION_REASON_DELETED,
    refused = ELECTION_REASON_REFUSED,
    blocked = ELECTION_REASON_BLOCKED,
    resigned = ELECTION_REASON_RESIGNED,
    closed = ELECTION_REASON_CLOSED,
    failed = ELECTION_REASON_FAILED,
    lease_expired = ELECTION_REASON_LEASE_EXPIRED,
    grace = ELECTION_REASON_GRACE,
    foreign_contender = ELECTION_REASON_FOREIGN_CONTENDER,
    denied = ELECTION_REASON_DENIED,
};

/** election_rc_t; converts to a std::error_code. An event may carry a number of ZooKeeper's that is not listed here. */
enum class rc : int {
    ok = ELECTION_OK,
    connectionloss = ELECTION_CONNECTIONLOSS,
    unimplemented = ELECTION_UNIMPLEMENTED,
    operationtimeout = ELECTION_OPERATIONTIMEOUT,
    badarguments = ELECTION_BADARGUMENTS,
    nonode = ELECTION_NONODE,
    noauth = ELECTION_NOAUTH,
    badversion = ELECTION_BADVERSION,
    nochildrenforephemerals = ELECTION_NOCHILDRENFOREPHEMERALS,
    nodeexists = ELECTION_NODEEXISTS,
    notempty = ELECTION_NOTEMPTY,
    sessionexpired = ELECTION_SESSIONEXPIRED,
    invalidacl = ELECTION_INVALIDACL,
    authfailed = ELECTION_AUTHFAILED,
    closing = ELECTION_CLOSING,
    quotaexceeded = ELECTION_QUOTAEXCEEDED,
    throttledop = ELECTION_THROTTLEDOP,
    bad_handle = ELECTION_BAD_HANDLE,
    bad_hosts = ELECTION_BAD_HOSTS,
    bad_options = ELECTION_BAD_OPTIONS,
    bad_timeout = ELECTION_BAD_TIMEOUT,
    bad_path = ELECTION_BAD_PATH,
    bad_value = ELECTION_BAD_VALUE,
    bad_callback = ELECTION_BAD_CALLBACK,
    bad_result = ELECTION_BAD_RESULT,
    bad_recipe = ELECTION_BAD_RECIPE,
    already = ELECTION_ALREADY,
    not_there = ELECTION_NOT_THERE,
    in_callback = ELECTION_IN_CALLBACK,
    not_ephemeral = ELECTION_NOT_EPHEMERAL,
    resigned = ELECTION_RESIGNED,
    no_resources = ELECTION_NO_RESOURCES,
    internal = ELECTION_INTERNAL,
    lease_expired = ELECTION_LEASE_EXPIRED,
    grace = ELECTION_GRACE,
    foreign_contender = ELECTION_FOREIGN_CONTENDER,
    not_master = ELECTION_NOT_MASTER,
    stale_token = ELECTION_STALE_TOKEN,
    bad_lease_mode = ELECTION_BAD_LEASE_MODE,
    forked = ELECTION_FORKED,
    not_manual = ELECTION_NOT_MANUAL,
    bad_role = ELECTION_BAD_ROLE,
    bad_dispatch = ELECTION_BAD_DISPATCH,
    bad_verifier = ELECTION_BAD_VERIFIER,
    bad_count = ELECTION_BAD_COUNT,
    bad_size = ELECTION_BAD_SIZE,
    bad_format = ELECTION_BAD_FORMAT,
    bad_level = ELECTION_BAD_LEVEL,
    bad_frame_limit = ELECTION_BAD_FRAME_LIMIT,
    bad_auth = ELECTION_BAD_AUTH,
    bad_acl = ELECTION_BAD_ACL,
    bad_tls = ELECTION_BAD_TLS,
    bad_sasl = ELECTION_BAD_SASL,
    interrupted = ELECTION_INTERRUPTED,
    leadership_lost = ELECTION_LEADERSHIP_LOST,
    bad_leadership = ELECTION_BAD_LEADERSHIP,
    deadlock = ELECTION_DEADLOCK,
    in_handler = ELECTION_IN_HANDLER,
};

/** election_recipe_t. */
enum class recipe : int {
    node = ELECTION_RECIPE_NODE,
    queue = ELECTION_RECIPE_QUEUE,
    queue_curator_lock = ELECTION_RECIPE_QUEUE_CURATOR_LOCK,
    queue_kazoo = ELECTION_RECIPE_QUEUE_KAZOO,
    queue_leader_election_support = ELECTION_RECIPE_QUEUE_LEADER_ELECTION_SUPPORT,
    queue_w = ELECTION_RECIPE_QUEUE_W,
    queue_write_lock = ELECTION_RECIPE_QUEUE_WRITE_LOCK,
};

/** election_lease_mode_t. */
enum class lease_mode : int {
    committed = ELECTION_LEASE_COMMITTED,
    answered = ELECTION_LEASE_ANSWERED,
};

/** election_dispatch_t. */
enum class dispatch : int {
    thread = ELECTION_DISPATCH_THREAD,
    manual = ELECTION_DISPATCH_MANUAL,
    loop = ELECTION_DISPATCH_LOOP,
};

/** election_alarm_t. */
enum class alarm : int {
    none = ELECTION_ALARM_NONE,
    too_few = ELECTION_ALARM_TOO_FEW,
    enough = ELECTION_ALARM_ENOUGH,
};

/** election_log_level_t. */
enum class log_level : int {
    off = ELECTION_LOG_OFF,
    error = ELECTION_LOG_ERROR,
    warn = ELECTION_LOG_WARN,
    info = ELECTION_LOG_INFO,
    debug = ELECTION_LOG_DEBUG,
};

/** election_connection_state_t. */
enum class connection_state : int {
    connecting = ELECTION_CONNECTING,
    connected = ELECTION_CONNECTED,
    suspended = ELECTION_SUSPENDED,
    expired = ELECTION_EXPIRED,
    closed = ELECTION_CLOSED,
};

/** election_dump_format_t. */
enum class dump_format : int {
    text = ELECTION_DUMP_TEXT,
    json = ELECTION_DUMP_JSON,
};

/** election_acl_t. */
enum class acl : int {
    open = ELECTION_ACL_OPEN,
    creator = ELECTION_ACL_CREATOR,
    creator_world_read = ELECTION_ACL_CREATOR_WORLD_READ,
};

/** election_perm_t; `|` combines permissions. */
enum class perm : int {
    read = ELECTION_PERM_READ,
    write = ELECTION_PERM_WRITE,
    create = ELECTION_PERM_CREATE,
    del = ELECTION_PERM_DELETE,
    admin = ELECTION_PERM_ADMIN,
    all = ELECTION_PERM_ALL,
};

inline constexpr perm operator|(perm one, perm other) noexcept
{
    return static_cast<perm>(static_cast<int>(one) | static_cast<int>(other));
}

/** The longest path in bytes: ELECTION_PATH_MAX. */
inline constexpr std::size_t path_max = ELECTION_PATH_MAX;

/** The longest value in bytes: ELECTION_VALUE_MAX. */
inline constexpr std::size_t value_max = ELECTION_VALUE_MAX;

/** For the `version` of a fenced write: any version of the znode matches. */
inline constexpr int any_version = -1;

/** The name of a role in election.h and Python: "MASTER". "?" for a number that this header does not know. */
inline constexpr std::string_view name(role which) noexcept
{
    switch (which) {
    case role::unknown: return "UNKNOWN";
    case role::slave: return "SLAVE";
    case role::master: return "MASTER";
    }
    return "?";
}

/** The name of a reason in election.h and Python: "ELECTED". "?" for a number that this header does not know. */
inline constexpr std::string_view name(reason which) noexcept
{
    switch (which) {
    case reason::elected: return "ELECTED";
    case reason::following: return "FOLLOWING";
    case reason::suspended: return "SUSPENDED";
    case reason::expired: return "EXPIRED";
    case reason::deleted: return "DELETED";
    case reason::refused: return "REFUSED";
    case reason::blocked: return "BLOCKED";
    case reason::resigned: return "RESIGNED";
    case reason::closed: return "CLOSED";
    case reason::failed: return "FAILED";
    case reason::lease_expired: return "LEASE_EXPIRED";
    case reason::grace: return "GRACE";
    case reason::foreign_contender: return "FOREIGN_CONTENDER";
    case reason::denied: return "DENIED";
    }
    return "?";
}

/** The name of a state in election.h and Python: "CONNECTED". "?" for a number that this header does not know. */
inline constexpr std::string_view name(connection_state which) noexcept
{
    switch (which) {
    case connection_state::connecting: return "CONNECTING";
    case connection_state::connected: return "CONNECTED";
    case connection_state::suspended: return "SUSPENDED";
    case connection_state::expired: return "EXPIRED";
    case connection_state::closed: return "CLOSED";
    }
    return "?";
}

/** The name of a level in election.h and Python: "WARN". "?" for a number that this header does not know. */
inline constexpr std::string_view name(log_level which) noexcept
{
    switch (which) {
    case log_level::off: return "OFF";
    case log_level::error: return "ERROR";
    case log_level::warn: return "WARN";
    case log_level::info: return "INFO";
    case log_level::debug: return "DEBUG";
    }
    return "?";
}

/** election_version: the version of the loaded library. The version of this header is ELECTION_VERSION. */
inline std::string_view version() noexcept
{
    return election_version();
}

// ---- Errors -------------------------------------------------------------------------------------------------------

namespace detail {

class category final : public std::error_category {
public:
    const char *name() const noexcept override { return "election"; }

    std::string message(int number) const override { return election_strerror(number); }

    std::error_condition default_error_condition(int number) const noexcept override
    {
        switch (static_cast<rc>(number)) {
        case rc::connectionloss: return std::errc::not_connected;
        case rc::operationtimeout: return std::errc::timed_out;
        case rc::interrupted: return std::errc::interrupted;
        case rc::unimplemented: return std::errc::function_not_supported;
        case rc::nonode: return std::errc::no_such_file_or_directory;
        case rc::nodeexists: return std::errc::file_exists;
        case rc::notempty: return std::errc::directory_not_empty;
        case rc::noauth:
        case rc::authfailed: return std::errc::permission_denied;
        case rc::in_callback:
        case rc::deadlock: return std::errc::resource_deadlock_would_occur;
        case rc::no_resources: return std::errc::resource_unavailable_try_again;
        case rc::badarguments:
        case rc::invalidacl:
        case rc::bad_handle:
        case rc::bad_hosts:
        case rc::bad_options:
        case rc::bad_timeout:
        case rc::bad_path:
        case rc::bad_value:
        case rc::bad_callback:
        case rc::bad_result:
        case rc::bad_recipe:
        case rc::bad_lease_mode:
        case rc::bad_role:
        case rc::bad_dispatch:
        case rc::bad_count:
        case rc::bad_size:
        case rc::bad_format:
        case rc::bad_level:
        case rc::bad_frame_limit:
        case rc::bad_auth:
        case rc::bad_acl:
        case rc::bad_tls:
        case rc::bad_sasl:
        case rc::bad_leadership:
        case rc::bad_verifier: return std::errc::invalid_argument;
        default: return {number, *this};
        }
    }
};

} // namespace detail

/** The category of the numbers of election::rc, with election_strerror for the messages. */
inline const std::error_category &category() noexcept
{
    static const detail::category only;
    return only;
}

/** election_explain: a sentence for the number that a function has just returned on this thread. */
inline std::string explain(const std::error_code &ec)
{
    return ec.category() == category() ? election_explain(ec.value()) : ec.message();
}

inline std::error_code make_error_code(rc number) noexcept
{
    return {static_cast<int>(number), category()};
}

#ifdef __cpp_exceptions
/** The exception: `code()` is the number, `what()` begins with the function of election.h that returned it. */
class error : public std::system_error {
public:
    using std::system_error::system_error;
};
#endif

// ---- Values and times ---------------------------------------------------------------------------------------------

/** A fencing token: a newer master has a larger one. To send or store a token, static_cast it to std::int64_t. */
enum class token : std::int64_t { none = 0 };

/** The number of a ZooKeeper session. */
enum class session_id : std::int64_t { none = 0 };

/** Whole milliseconds, the unit of election.h, made from any duration: a fraction is rounded up. */
class duration {
public:
    template <typename Rep, typename Period>
    constexpr duration(std::chrono::duration<Rep, Period> time) noexcept
        : duration(std::chrono::duration<long double, std::milli>(time).count())
    {
    }

    /** A timeout that never ends, for wait, lead, wait_stop and dispatch: `election::forever`. */
    static constexpr duration endless() noexcept
    {
        duration time(0.0L);
        time.ms_ = ELECTION_FOREVER;
        return time;
    }

    /** The argument for election.h. For a time that is negative or does not fit an int: a number that is refused. */
    constexpr int ms() const noexcept { return ms_; }

    /** Whether the time does not fit an int. */
    constexpr bool is_too_long() const noexcept { return ms_ == too_long; }

private:
    static constexpr int negative = INT_MIN, too_long = INT_MIN + 1;

    // Floating point numbers do not overflow.
    explicit constexpr duration(long double ms) noexcept
        : ms_(ms > INT_MAX ? too_long : ms >= 0 ? static_cast<int>(ms) : negative)
    {
        if (ms_ >= 0 && ms_ < ms)
            ms_++;
    }

    int ms_;
};

/** For the timeout of wait, lead, wait_stop and dispatch: ELECTION_FOREVER. */
inline constexpr duration forever = duration::endless();

/** The clock of the lease. It runs while the machine is suspended; std::chrono::steady_clock does not. */
struct lease_clock {
    using duration = std::chrono::nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<lease_clock>;
    static constexpr bool is_steady = true;

    static time_point now() noexcept
    {
        timespec now = {};
        clock_gettime(CLOCK_BOOTTIME, &now);
        return time_point(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
    }
};

namespace detail {

template <typename T>
inline constexpr bool is_byte = std::is_same_v<std::remove_cv_t<T>, std::byte> ||
                                std::is_same_v<std::remove_cv_t<T>, char> ||
                                std::is_same_v<std::remove_cv_t<T>, unsigned char>;

template <typename T> using element = std::remove_pointer_t<decltype(std::data(std::declval<const T &>()))>;

} // namespace detail

/** A view of a value: text, or bytes (std::span, std::vector, std::array of std::byte or unsigned char). */
class bytes {
public:
    constexpr bytes() noexcept = default;

    template <typename Text, std::enable_if_t<std::is_convertible_v<const Text &, std::string_view>, int> = 0>
    constexpr bytes(const Text &text) noexcept : bytes(std::string_view(text))
    {
    }

    template <typename Range, std::enable_if_t<!std::is_convertible_v<const Range &, std::string_view> &&
                                                   detail::is_byte<detail::element<Range>>,
                                               int> = 0>
    constexpr bytes(const Range &range) noexcept : data_(std::data(range)), size_(std::size(range))
    {
    }

    constexpr bytes(std::string_view text) noexcept : data_(text.data()), size_(text.size()) {}

    constexpr const void *data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }

private:
    const void *data_ = nullptr;
    std::size_t size_ = 0;
};

// ---- Events -------------------------------------------------------------------------------------------------------

/** The event of a candidate: election_event_t. */
struct event {
    std::string path;
    election::role role;
    election::reason reason;
    election::rc rc;
    std::string value;
    election::token token;
};

/** The event of an observer: election_master_t. */
struct master {
    std::string path;
    election::rc rc;
    std::string value;
    election::token token;
    election::session_id session_id;
    /** On the clock of the ZooKeeper leader. */
    std::chrono::system_clock::time_point since;
};

/** A candidate that stands at a path: election_member_t. */
struct member {
    std::string name;
    std::string value;
    election::token token;
    election::session_id session_id;
    /** On the clock of the ZooKeeper leader. */
    std::chrono::system_clock::time_point since;
};

/** The event of a watcher of the members: election_members_t. */
struct members {
    std::string path;
    election::rc rc;
    /** The master first, then the other candidates in the order in which they become master. */
    std::vector<member> members;
    election::alarm alarm;
};

/** The result of election_lease for a master. */
struct mastership {
    election::token token;
    /** The lease holds until this time, unless the library learns otherwise before. */
    lease_clock::time_point until;

    /** The time from now to `until`; 0 if `until` has passed. */
    lease_clock::duration left() const noexcept
    {
        return std::max(until - lease_clock::now(), lease_clock::duration::zero());
    }
};

/**
 * A mastership during which handle::lead runs a function: election_leadership_t. It may be copied, and any thread may
 * use it.
 */
class leadership {
public:
    explicit leadership(const election_leadership_t *number) noexcept : number_(number) {}

    /** election_should_stop; true if the leadership is over. */
    bool should_stop() const noexcept { return election_should_stop(number_) != 0; }

    /**
     * election_wait_stop. False if the timeout ends or one hour has passed: the function may continue. True if the
     * function should stop, or if a signal handler ran on this thread.
     */
    bool wait_stop(duration timeout) const noexcept
    {
        const int ms = timeout.is_too_long() ? 3600000 : std::min(timeout.ms(), 3600000);
        if (ms < 1 && ms != ELECTION_FOREVER)
            return should_stop();
        return election_wait_stop(number_, ms) != ELECTION_OPERATIONTIMEOUT;
    }

    /** election_leadership_token; token::none if the leadership is over. */
    election::token token() const noexcept { return election::token(election_leadership_token(number_)); }

private:
    const election_leadership_t *number_;
};

/** The state of the connection of a handle: election_connection_t. */
struct connection {
    connection_state state;
    election::rc rc;
    election::session_id session_id;
    std::chrono::milliseconds session_timeout;
    /** Why the handle has no connection; empty while nothing is wrong, or while the cause is unknown. */
    std::string cause;
};

/** One record of the log: election_log_t. */
struct log_record {
    log_level level;
    std::string message;
    /** Empty if the record is about no path. */
    std::string path;
    /** The result of handle::get(); nullptr if the record is about no handle. The handle may be closed by now. */
    election_t *handle;
    election::session_id session_id;
    std::chrono::system_clock::time_point at;
};

/** Counts of the actions of a handle since it was opened: election_counters_t, unchanged. */
using counters = election_counters_t;

namespace detail {

// Whether a callable is empty: a null pointer, an empty std::function.
template <typename Callable> constexpr bool is_empty(const Callable &callable) noexcept
{
    if constexpr (std::is_constructible_v<Callable, std::nullptr_t> && std::is_constructible_v<bool, const Callable &>)
        return !static_cast<bool>(callable);
    else
        return static_cast<void>(callable), false;
}

} // namespace detail

/** A callback. Like std::move_only_function of C++23, it also holds a callable that can only be moved. */
template <typename News> class function {
public:
    function() noexcept = default;
    function(std::nullptr_t) noexcept {}

    template <typename Callable, std::enable_if_t<!std::is_same_v<std::decay_t<Callable>, function> &&
                                                      std::is_invocable_v<std::decay_t<Callable> &, const News &>,
                                                  int> = 0>
    function(Callable &&callable)
    {
        if (!detail::is_empty(callable))
            held_ = std::make_unique<holder<std::decay_t<Callable>>>(std::forward<Callable>(callable));
    }

    explicit operator bool() const noexcept { return held_ != nullptr; }

    void operator()(const News &news) { held_->call(news); }

private:
    struct base {
        base() = default;
        base(const base &) = delete;
        base &operator=(const base &) = delete;
        virtual ~base() = default;
        virtual void call(const News &news) = 0;
    };

    template <typename Callable> struct holder final : base {
        template <typename From> explicit holder(From &&from) : callable(std::forward<From>(from)) {}
        void call(const News &news) override { static_cast<void>(callable(news)); }
        Callable callable;
    };

    std::unique_ptr<base> held_;
};

/** Receives each record of the log. */
using log_function = function<log_record>;

/** Receives each state of the connection. */
using connection_function = function<connection>;

/** Receives each role of a candidate. */
using role_function = function<event>;

/** Does the work of a master; see handle::lead. */
using lead_function = function<leadership>;

/** Receives each master. */
using master_function = function<master>;

/** Receives each list of the members. */
using members_function = function<members>;

// ---- Options ------------------------------------------------------------------------------------------------------

/** The arguments of election_options_add_auth. For the scheme "digest", `auth` is "user:password". */
struct credential {
    std::string scheme;
    std::string auth;
};

/** The arguments of election_options_add_acl. */
struct acl_entry {
    perm permissions;
    std::string scheme;
    std::string id;
};

/**
 * The options of a handle. A field that is not set has the default of election_options_new. C++20 can set fields by
 * name in the call: `handle(hosts, {.session_timeout = 5s, .grace = 2s})`. Later versions may add fields at the end.
 */
struct options {
    std::optional<duration> session_timeout = std::nullopt;
    std::optional<duration> connect_timeout = std::nullopt;
    std::optional<election::recipe> recipe = std::nullopt;
    std::optional<election::dispatch> dispatch = std::nullopt;
    std::optional<duration> grace = std::nullopt;
    std::optional<election::lease_mode> lease_mode = std::nullopt;
    std::optional<duration> lease_margin = std::nullopt;
    std::optional<duration> tick = std::nullopt;
    std::vector<credential> auth = {};
    std::optional<election::acl> acl = std::nullopt;
    /** Added to `acl`. If `acl` is not set, these entries are the whole ACL. */
    std::vector<acl_entry> more_acl = {};
    /** The string of election_options_set_tls, "ca,cert,key,password". If it is not set, connections are not encrypted. */
    std::optional<std::string> tls = std::nullopt;
    std::optional<bool> tls_verify_host = std::nullopt;
    std::optional<int> frame_limit_bytes = std::nullopt;
    /** Names and values for election_options_set_sasl, for example {{"mechanism", "DIGEST-MD5"}, {"user", "app"}}. */
    std::vector<std::pair<std::string, std::string>> sasl = {};
};

// ---- Between C++ and C --------------------------------------------------------------------------------------------

namespace detail {

inline void answer(int number, std::error_code &ec) noexcept
{
    ec = make_error_code(static_cast<rc>(number));
}

#ifdef __cpp_exceptions
// The start of what(): the function, and the text of election_explain if it says more than the number.
inline std::string because(const char *function, const std::error_code &ec)
{
    const std::string said = explain(ec);
    return said == ec.message() ? function : function + (": " + said);
}

// Calls the form with an error_code, and throws its error.
template <typename Call> auto or_throw(const char *function, Call call)
{
    std::error_code ec;
    if constexpr (std::is_void_v<decltype(call(ec))>) {
        call(ec);
        if (ec)
            throw error(ec, because(function, ec));
    } else {
        auto result = call(ec);
        if (ec)
            throw error(ec, because(function, ec));
        return result;
    }
}
#endif

// A path with a 0 byte after it. If the text cannot be a path: NULL, which the C function refuses.
class c_path {
public:
    explicit c_path(std::string_view path) noexcept
        : fits_(path.size() <= path_max && path.find('\0') == std::string_view::npos)
    {
        if (fits_)
            *std::copy(path.begin(), path.end(), text_) = '\0';
    }

    operator const char *() const noexcept { return fits_ ? text_ : nullptr; }

private:
    bool fits_;
    char text_[path_max + 1];
};

// Text for C. If the text contains a 0 byte: NULL, which the C function refuses.
inline const char *c_text(const std::string &text) noexcept
{
    return text.find('\0') == std::string::npos ? text.c_str() : nullptr;
}

// A time from a server or a file. If this machine's clock cannot hold it, the result is the nearest time that it can.
inline std::chrono::system_clock::time_point time_since_1970(std::int64_t ms) noexcept
{
    using std::chrono::milliseconds, std::chrono::system_clock;
    constexpr auto earliest = std::chrono::duration_cast<milliseconds>(system_clock::duration::min());
    constexpr auto latest = std::chrono::duration_cast<milliseconds>(system_clock::duration::max());
    return system_clock::time_point(std::clamp(milliseconds(ms), earliest, latest));
}

inline event from_c(const election_event_t &c)
{
    return {c.path, static_cast<role>(c.role), static_cast<reason>(c.reason), static_cast<rc>(c.rc),
            {c.value, c.value_len}, token(c.token)};
}

inline master from_c(const election_master_t &c)
{
    return {c.path, static_cast<rc>(c.rc), {c.value, c.value_len}, token(c.token),
            session_id(c.session_id), time_since_1970(c.since_ms)};
}

inline member from_c(const election_member_t &c)
{
    return {c.name, {c.value, c.value_len}, token(c.token), session_id(c.session_id), time_since_1970(c.since_ms)};
}

inline members from_c(const election_members_t &c)
{
    members all{c.path, static_cast<rc>(c.rc), {}, static_cast<alarm>(c.alarm)};
    all.members.reserve(c.count);
    std::for_each(c.members, c.members + c.count, [&](const election_member_t *one) {
        all.members.push_back(from_c(*one));
    });
    return all;
}

inline connection from_c(const election_connection_t &c)
{
    return {static_cast<connection_state>(c.state), static_cast<rc>(c.rc), session_id(c.session_id),
            std::chrono::milliseconds(c.session_timeout_ms), c.cause == nullptr ? "" : c.cause};
}

inline log_record from_c(const election_log_t &c)
{
    return {static_cast<log_level>(c.level), c.message, c.path == nullptr ? "" : c.path, c.handle,
            session_id(c.session_id), time_since_1970(c.at_ms)};
}

// A callback and the type of its argument. The C library holds a listener as a ctx and frees it.
template <typename News> class listener {
public:
    listener(function<News> hears, std::shared_ptr<const std::atomic<bool>> is_mute)
        : hears_(std::move(hears)), is_mute_(std::move(is_mute))
    {
    }

    template <typename C> static void tell(const C *news, void *ctx) noexcept
    {
        auto *self = static_cast<listener *>(ctx);
        if (!*self->is_mute_)
            self->hears_(from_c(*news));
    }

    static void free(void *ctx) noexcept { delete static_cast<listener *>(ctx); }

private:
    function<News> hears_;
    std::shared_ptr<const std::atomic<bool>> is_mute_;
};

// Calls a function of C that takes a listener. On success the C library owns the listener. C gets NULL for an empty
// function.
template <typename News, typename C, typename Call>
void listen(function<News> hears, const std::shared_ptr<std::atomic<bool>> &is_mute,
            std::error_code &ec, Call call)
{
    using its = listener<News>;
    void (*const nobody)(const C *, void *) = nullptr;
    if (!hears)
        return answer(call(nobody, nullptr, nullptr), ec);
    auto ctx = std::make_unique<its>(std::move(hears), is_mute);
    answer(call(&its::template tell<C>, ctx.get(), &its::free), ec);
    if (!ec)
        static_cast<void>(ctx.release());
}

inline int open(const std::string &hosts, const options &from, election_t **handle) noexcept
{
    std::unique_ptr<election_options_t, void (*)(election_options_t *)> options(election_options_new(),
                                                                                election_options_free);
    int number = options ? ELECTION_OK : ELECTION_INTERNAL;
    auto set = [&](int (*setter)(election_options_t *, int), auto value) {
        if (number != ELECTION_OK || !value)
            return;
        if constexpr (std::is_enum_v<typename decltype(value)::value_type>)
            number = setter(options.get(), static_cast<int>(*value));
        else
            number = setter(options.get(), value->ms());
    };
    set(election_options_set_session_timeout_ms, from.session_timeout);
    set(election_options_set_connect_timeout_ms, from.connect_timeout);
    set(election_options_set_recipe, from.recipe);
    set(election_options_set_dispatch, from.dispatch);
    set(election_options_set_grace_ms, from.grace);
    set(election_options_set_lease_mode, from.lease_mode);
    set(election_options_set_lease_margin_ms, from.lease_margin);
    set(election_options_set_tick_ms, from.tick);
    set(election_options_set_acl, from.acl);
    for (const credential &each : from.auth)
        if (number == ELECTION_OK)
            number = election_options_add_auth(options.get(), c_text(each.scheme), each.auth.data(), each.auth.size());
    for (const acl_entry &each : from.more_acl)
        if (number == ELECTION_OK)
            number = election_options_add_acl(options.get(), static_cast<int>(each.permissions), c_text(each.scheme),
                                              c_text(each.id));
    if (number == ELECTION_OK && from.tls)
        number = election_options_set_tls(options.get(), c_text(*from.tls));
    if (number == ELECTION_OK && from.tls_verify_host)
        number = election_options_set_tls_verify_host(options.get(), *from.tls_verify_host ? 1 : 0);
    if (number == ELECTION_OK && from.frame_limit_bytes)
        number = election_options_set_frame_limit_bytes(options.get(), *from.frame_limit_bytes);
    for (const auto &[name, value] : from.sasl)
        if (number == ELECTION_OK)
            number = election_options_set_sasl(options.get(), c_text(name), c_text(value));
    return number == ELECTION_OK ? election_open(c_text(hosts), options.get(), handle) : number;
}

inline std::optional<mastership> lease(const election_t *handle, std::string_view path) noexcept
{
    // The clock is read before the call, so that `until` is never later than the end of the lease.
    const lease_clock::time_point now = lease_clock::now();
    std::int64_t number, left_ns;
    if (election_lease(handle, c_path(path), &number, &left_ns) != 1)
        return std::nullopt;
    const lease_clock::duration longest = lease_clock::time_point::max() - now;
    return mastership{token(number), now + std::min(std::chrono::nanoseconds(left_ns), longest)};
}

inline bool wait(election_t *handle, std::string_view path, role which, duration timeout, std::error_code &ec) noexcept
{
    const int number = election_wait(handle, c_path(path), static_cast<int>(which), timeout.ms());
    answer(number == ELECTION_OPERATIONTIMEOUT ? ELECTION_OK : number, ec);
    return number == ELECTION_OK;
}

// Waits repeatedly. Before each wait, `next` returns its timeout, or nothing to end.
template <typename Next>
bool wait_in_parts(election_t *handle, std::string_view path, role which, std::error_code &ec, Next next)
{
    for (std::optional<duration> part = next(); part; part = next())
        if (wait(handle, path, which, *part, ec) || ec)
            return !ec;
    return false;
}

template <typename Clock, typename Duration>
bool wait_until(election_t *handle, std::string_view path, role which, std::chrono::time_point<Clock, Duration> until,
                std::error_code &ec)
{
    using ms = std::chrono::duration<long double, std::milli>; // it does not overflow
    const ms shortest(1), longest(3600000);
    bool is_last = false;
    return wait_in_parts(handle, path, which, ec, [&]() -> std::optional<duration> {
        if (is_last)
            return std::nullopt;
        const ms left = ms(until.time_since_epoch()) - ms(Clock::now().time_since_epoch());
        is_last = left <= longest;
        return std::clamp(left, shortest, longest);
    });
}

template <typename StopToken>
bool wait_unless(election_t *handle, std::string_view path, role which, const StopToken &stop, std::error_code &ec)
{
    ec = make_error_code(rc::ok);
    return wait_in_parts(handle, path, which, ec, [&]() -> std::optional<duration> {
        if (stop.stop_requested())
            return std::nullopt;
        return std::chrono::milliseconds(10);
    });
}

// A std::stop_token of C++20, or a type that has the same member.
template <typename StopToken>
using if_stop_token = std::enable_if_t<std::is_convertible_v<decltype(std::declval<const StopToken &>().stop_requested()), bool>>;

// Waits until no callback of a resigned candidacy or an ended watch runs any more. Signals do not end the wait. Inside
// a callback the function does not wait, because the callback would wait for itself.
inline void wait_finished(election_t *handle) noexcept
{
    int number = ELECTION_OPERATIONTIMEOUT;
    while (number == ELECTION_OPERATIONTIMEOUT || number == ELECTION_INTERRUPTED)
        number = election_wait_finished(handle, 3600000);
}

} // namespace detail

// ---- The log of the process ---------------------------------------------------------------------------------------

/** election_set_log. With log_level::off, the function may be empty. */
inline void set_log(log_level level, log_function on_record, std::error_code &ec)
{
    detail::listen<log_record, election_log_t>(
        std::move(on_record), std::make_shared<std::atomic<bool>>(false), ec,
        [&](auto function, void *ctx, auto free_ctx) {
            return election_set_log(static_cast<int>(level), function, ctx, free_ctx);
        });
}

#ifdef __cpp_exceptions
inline void set_log(log_level level, log_function on_record = nullptr)
{
    detail::or_throw("election_set_log", [&](std::error_code &ec) { set_log(level, std::move(on_record), ec); });
}
#endif

// With exceptions these classes have throwing forms; without exceptions they do not. So each is two types with two
// names.
#ifdef __cpp_exceptions
inline namespace with_exceptions {
#else
inline namespace without_exceptions {
#endif

// ---- The handle ---------------------------------------------------------------------------------------------------

/**
 * One session with ZooKeeper, and the elections on it: election_t. It can be moved. A handle that was made without
 * hosts, was moved from, or could not be opened is false, and its functions return what election.h returns for NULL.
 *
 * The destructor calls election_close and ignores its result. To get the result, call close() before.
 * A handle cannot be closed inside its own callback. The destructor may still run there, for example if the callback
 * held the last reference to the owner of the handle. Then no callback of the handle is called any more. A new thread
 * closes the handle as soon as the callback has returned, and destroys the remaining callbacks. If that thread cannot
 * be made, the program ends (std::terminate).
 */
class [[nodiscard]] handle {
public:
    handle() noexcept = default;

    /** election_open. */
    handle(std::string_view hosts, const options &with, std::error_code &ec) { open(hosts, with, ec); }
    handle(std::string_view hosts, std::error_code &ec) { open(hosts, {}, ec); }

    handle(handle &&other) noexcept
        : handle_(std::exchange(other.handle_, nullptr)), is_mute_(std::move(other.is_mute_))
    {
    }

    handle &operator=(handle &&other) noexcept
    {
        handle(std::move(other)).swap(*this);
        return *this;
    }

    ~handle()
    {
        if (handle_ == nullptr)
            return;
        const int closed = election_close(handle_);
        if (closed != ELECTION_IN_CALLBACK && closed != ELECTION_DEADLOCK)
            return;
        *is_mute_ = true;
        std::thread([handle = handle_] { election_close(handle); }).detach();
    }

    void swap(handle &other) noexcept
    {
        std::swap(handle_, other.handle_);
        std::swap(is_mute_, other.is_mute_);
    }

    explicit operator bool() const noexcept { return handle_ != nullptr; }

    /** The handle for the functions of election.h. This object still owns it and closes it. */
    election_t *get() const noexcept { return handle_; }

    /**
     * election_close, for its result, or to close before the destructor does. The object keeps its handle, and the
     * functions of that handle return rc::bad_handle from then on. So another thread may use the object meanwhile.
     */
    void close(std::error_code &ec) noexcept { detail::answer(election_close(handle_), ec); }

    /** go_to_election. `on_role` may be empty. */
    void go_to_election(std::string_view path, bytes value, role_function on_role, std::error_code &ec)
    {
        detail::listen<event, election_event_t>(
            std::move(on_role), is_mute_, ec, [&](auto function, void *ctx, auto free_ctx) {
                return election_go_to_election(handle_, detail::c_path(path), value.data(), value.size(), function,
                                               ctx, free_ctx);
            });
    }

    /** election_resign. */
    void resign(std::string_view path, std::error_code &ec) noexcept
    {
        detail::answer(election_resign(handle_, detail::c_path(path)), ec);
    }

    /** election_set_value. */
    void set_value(std::string_view path, bytes value, std::error_code &ec) noexcept
    {
        detail::answer(election_set_value(handle_, detail::c_path(path), value.data(), value.size()), ec);
    }

    /** election_is_master: compares the clock with the lease at the time of the call; allocates nothing. */
    [[nodiscard]] bool is_master(std::string_view path) const noexcept
    {
        return election_is_master(handle_, detail::c_path(path)) == 1;
    }

    /** election_lease; nullopt if this handle is not master. */
    [[nodiscard]] std::optional<mastership> lease(std::string_view path) const noexcept
    {
        return detail::lease(handle_, path);
    }

    /** election_wait. False if the role did not come in time, which is no error here. Also false with an error. */
    bool wait(std::string_view path, role which, duration timeout, std::error_code &ec) noexcept
    {
        return detail::wait(handle_, path, which, timeout, ec);
    }

    /** The same, until a point in time of any clock. If it has passed, the function still checks the role once. */
    template <typename Clock, typename Duration>
    bool wait_until(std::string_view path, role which, std::chrono::time_point<Clock, Duration> until,
                    std::error_code &ec) noexcept
    {
        return detail::wait_until(handle_, path, which, until, ec);
    }

    /**
     * The same, without a timeout. If a stop is requested through `stop`, a std::stop_token, it returns false within
     * 10 ms.
     */
    template <typename StopToken, typename = detail::if_stop_token<StopToken>>
    bool wait(std::string_view path, role which, const StopToken &stop, std::error_code &ec) noexcept
    {
        return detail::wait_unless(handle_, path, which, stop, ec);
    }

    /**
     * election_lead: calls `function` on this thread while this handle is master. True if the mastership lasted until
     * `function` had returned. False without an error if the mastership ended before: to stand again, call lead()
     * again. False with an error: `function` was not called. Unlike callbacks, `function` may throw: the exception
     * leaves lead() after lead() has resigned.
     */
    bool lead(std::string_view path, bytes value, lead_function function, duration timeout, std::error_code &ec)
    {
        work led = {std::move(function)};
        const int number = election_lead(handle_, detail::c_path(path), value.data(), value.size(),
                                         led.function ? do_work : nullptr, &led, timeout.ms(), nullptr);
        detail::answer(number == ELECTION_LEADERSHIP_LOST ? ELECTION_OK : number, ec);
#ifdef __cpp_exceptions
        if (led.thrown)
            std::rethrow_exception(led.thrown);
#endif
        return number == ELECTION_OK;
    }

    /**
     * election_interrupt. A signal handler may call it if no thread moves the object meanwhile. True if the handle was
     * interrupted: the handle is open, and this process opened it.
     */
    bool interrupt() const noexcept { return election_interrupt(handle_) == ELECTION_OK; }

    /** election_clear_interrupt. */
    void clear_interrupt(std::error_code &ec) noexcept { detail::answer(election_clear_interrupt(handle_), ec); }

    /** election_fd; -1 with an error. */
    int fd(std::error_code &ec) const noexcept { return result(election_fd(handle_), -1, ec); }

    /** election_dispatch: the number of events and ends of events that it passed on; 0 with an error. */
    int dispatch(duration timeout, std::error_code &ec) noexcept
    {
        return result(election_dispatch(handle_, timeout.ms()), 0, ec);
    }

    /** election_fenced_create. */
    void fenced_create(std::string_view path, std::string_view target, bytes value,
                       duration timeout, std::error_code &ec) noexcept
    {
        detail::answer(election_fenced_create(handle_, detail::c_path(path), detail::c_path(target), value.data(),
                                              value.size(), timeout.ms()),
                       ec);
    }

    /** election_fenced_set. */
    void fenced_set(std::string_view path, std::string_view target, bytes value, int version,
                    duration timeout, std::error_code &ec) noexcept
    {
        detail::answer(election_fenced_set(handle_, detail::c_path(path), detail::c_path(target), value.data(),
                                           value.size(), version, timeout.ms()),
                       ec);
    }

    /** election_fenced_delete. */
    void fenced_delete(std::string_view path, std::string_view target, int version,
                       duration timeout, std::error_code &ec) noexcept
    {
        detail::answer(election_fenced_delete(handle_, detail::c_path(path), detail::c_path(target), version,
                                              timeout.ms()),
                       ec);
    }

    /** election_members: the candidates that stand at `path`, the master first. Empty with an error. */
    std::vector<member> members(std::string_view path, duration timeout, std::error_code &ec) const
    {
        std::vector<member> found;
        election_member_fn show = [](const election_member_t *one, void *ctx) noexcept {
            static_cast<std::vector<member> *>(ctx)->push_back(detail::from_c(*one));
        };
        detail::answer(election_members(handle_, detail::c_path(path), show, &found, timeout.ms()), ec);
        return found;
    }

    /** election_get_master: asks once for the master. `rc` says whether there is a master, or is the error. */
    master get_master(std::string_view path, duration timeout, std::error_code &ec) const
    {
        master found = {};
        election_master_fn show = [](const election_master_t *one, void *ctx) noexcept {
            *static_cast<master *>(ctx) = detail::from_c(*one);
        };
        detail::answer(election_get_master(handle_, detail::c_path(path), show, &found, timeout.ms()), ec);
        if (ec)
            found.rc = static_cast<rc>(ec.value());
        return found;
    }

    /** watch_master. */
    void watch_master(std::string_view path, master_function on_master, std::error_code &ec)
    {
        detail::listen<master, election_master_t>(
            std::move(on_master), is_mute_, ec, [&](auto function, void *ctx, auto free_ctx) {
                return election_watch_master(handle_, detail::c_path(path), function, ctx, free_ctx);
            });
    }

    /** election_unwatch_master. */
    void unwatch_master(std::string_view path, std::error_code &ec) noexcept
    {
        detail::answer(election_unwatch_master(handle_, detail::c_path(path)), ec);
    }

    /** election_watch_members. */
    void watch_members(std::string_view path, int enough, members_function on_members, std::error_code &ec)
    {
        detail::listen<election::members, election_members_t>(
            std::move(on_members), is_mute_, ec, [&](auto function, void *ctx, auto free_ctx) {
                return election_watch_members(handle_, detail::c_path(path), enough, function, ctx, free_ctx);
            });
    }

    /** election_unwatch_members. */
    void unwatch_members(std::string_view path, std::error_code &ec) noexcept
    {
        detail::answer(election_unwatch_members(handle_, detail::c_path(path)), ec);
    }

    /** election_watch_connection. */
    void watch_connection(connection_function on_connection, std::error_code &ec)
    {
        detail::listen<connection, election_connection_t>(
            std::move(on_connection), is_mute_, ec, [&](auto function, void *ctx, auto free_ctx) {
                return election_watch_connection(handle_, function, ctx, free_ctx);
            });
    }

    /** election_unwatch_connection. */
    void unwatch_connection(std::error_code &ec) noexcept
    {
        detail::answer(election_unwatch_connection(handle_), ec);
    }

    /** election_wait_finished. */
    void wait_finished(duration timeout, std::error_code &ec) noexcept
    {
        detail::answer(election_wait_finished(handle_, timeout.ms()), ec);
    }

    /** election_counters. All 0 with an error. */
    election::counters counters(std::error_code &ec) const noexcept
    {
        election::counters so_far = {};
        so_far.size = sizeof so_far;
        detail::answer(election_counters(handle_, &so_far), ec);
        return so_far;
    }

    /** election_connect_failure. Empty with an error. */
    std::string connect_failure(std::error_code &ec) const
    {
        std::string text(4096, '\0');
        detail::answer(election_connect_failure(handle_, &text[0], text.size()), ec);
        text.resize(text.find('\0'));
        return text;
    }

    /** election_dump. Empty with an error. */
    std::string dump(dump_format format, std::error_code &ec) const
    {
        char *text = nullptr;
        detail::answer(election_dump(handle_, static_cast<int>(format), &text), ec);
        const std::unique_ptr<char, void (*)(char *)> owner(text, election_dump_free);
        return text == nullptr ? std::string() : std::string(text);
    }

#ifdef __cpp_exceptions
    // The same functions; these throw election::error.

    explicit handle(std::string_view hosts, const options &with = {})
    {
        detail::or_throw("election_open", [&](std::error_code &ec) { open(hosts, with, ec); });
    }

    void close()
    {
        detail::or_throw("election_close", [&](std::error_code &ec) { close(ec); });
    }

    void go_to_election(std::string_view path, bytes value = {}, role_function on_role = nullptr)
    {
        detail::or_throw("election_go_to_election", [&](std::error_code &ec) {
            go_to_election(path, value, std::move(on_role), ec);
        });
    }

    void resign(std::string_view path)
    {
        detail::or_throw("election_resign", [&](std::error_code &ec) { resign(path, ec); });
    }

    void set_value(std::string_view path, bytes value)
    {
        detail::or_throw("election_set_value", [&](std::error_code &ec) { set_value(path, value, ec); });
    }

    bool wait(std::string_view path, role which, duration timeout)
    {
        return detail::or_throw("election_wait", [&](std::error_code &ec) { return wait(path, which, timeout, ec); });
    }

    template <typename Clock, typename Duration>
    bool wait_until(std::string_view path, role which, std::chrono::time_point<Clock, Duration> until)
    {
        return detail::or_throw("election_wait", [&](std::error_code &ec) { return wait_until(path, which, until, ec); });
    }

    template <typename StopToken, typename = detail::if_stop_token<StopToken>>
    bool wait(std::string_view path, role which, const StopToken &stop)
    {
        return detail::or_throw("election_wait", [&](std::error_code &ec) { return wait(path, which, stop, ec); });
    }

    bool lead(std::string_view path, bytes value, lead_function function, duration timeout = forever)
    {
        return detail::or_throw("election_lead", [&](std::error_code &ec) {
            return lead(path, value, std::move(function), timeout, ec);
        });
    }

    void clear_interrupt()
    {
        detail::or_throw("election_clear_interrupt", [&](std::error_code &ec) { clear_interrupt(ec); });
    }

    int fd() const
    {
        return detail::or_throw("election_fd", [&](std::error_code &ec) { return fd(ec); });
    }

    int dispatch(duration timeout = std::chrono::milliseconds::zero())
    {
        return detail::or_throw("election_dispatch", [&](std::error_code &ec) { return dispatch(timeout, ec); });
    }

    void fenced_create(std::string_view path, std::string_view target, bytes value, duration timeout)
    {
        detail::or_throw("election_fenced_create", [&](std::error_code &ec) {
            fenced_create(path, target, value, timeout, ec);
        });
    }

    void fenced_set(std::string_view path, std::string_view target, bytes value, int version,
                    duration timeout)
    {
        detail::or_throw("election_fenced_set", [&](std::error_code &ec) {
            fenced_set(path, target, value, version, timeout, ec);
        });
    }

    void fenced_delete(std::string_view path, std::string_view target, int version, duration timeout)
    {
        detail::or_throw("election_fenced_delete", [&](std::error_code &ec) {
            fenced_delete(path, target, version, timeout, ec);
        });
    }

    std::vector<member> members(std::string_view path, duration timeout) const
    {
        return detail::or_throw("election_members", [&](std::error_code &ec) { return members(path, timeout, ec); });
    }

    master get_master(std::string_view path, duration timeout) const
    {
        return detail::or_throw("election_get_master", [&](std::error_code &ec) {
            return get_master(path, timeout, ec);
        });
    }

    void watch_master(std::string_view path, master_function on_master)
    {
        detail::or_throw("election_watch_master", [&](std::error_code &ec) { watch_master(path, std::move(on_master), ec); });
    }

    void unwatch_master(std::string_view path)
    {
        detail::or_throw("election_unwatch_master", [&](std::error_code &ec) { unwatch_master(path, ec); });
    }

    void watch_members(std::string_view path, int enough, members_function on_members)
    {
        detail::or_throw("election_watch_members", [&](std::error_code &ec) {
            watch_members(path, enough, std::move(on_members), ec);
        });
    }

    void unwatch_members(std::string_view path)
    {
        detail::or_throw("election_unwatch_members", [&](std::error_code &ec) { unwatch_members(path, ec); });
    }

    void watch_connection(connection_function on_connection)
    {
        detail::or_throw("election_watch_connection", [&](std::error_code &ec) {
            watch_connection(std::move(on_connection), ec);
        });
    }

    void unwatch_connection()
    {
        detail::or_throw("election_unwatch_connection", [&](std::error_code &ec) { unwatch_connection(ec); });
    }

    void wait_finished(duration timeout)
    {
        detail::or_throw("election_wait_finished", [&](std::error_code &ec) { wait_finished(timeout, ec); });
    }

    election::counters counters() const
    {
        return detail::or_throw("election_counters", [&](std::error_code &ec) { return counters(ec); });
    }

    std::string dump(dump_format format = dump_format::text) const
    {
        return detail::or_throw("election_dump", [&](std::error_code &ec) { return dump(format, ec); });
    }

    std::string connect_failure() const
    {
        return detail::or_throw("election_connect_failure",
                                [&](std::error_code &ec) { return connect_failure(ec); });
    }
#endif

private:
    void open(std::string_view hosts, const options &with, std::error_code &ec)
    {
        is_mute_ = std::make_shared<std::atomic<bool>>(false);
        detail::answer(detail::open(std::string(hosts), with, &handle_), ec);
    }

    // The ctx that lead() passes to C: the function, and its exception.
    struct work {
        lead_function function;
#ifdef __cpp_exceptions
        std::exception_ptr thrown = nullptr;
#endif
    };

    static int do_work(const election_leadership_t *number, void *ctx) noexcept
    {
        auto *self = static_cast<work *>(ctx);
#ifdef __cpp_exceptions
        try {
            self->function(leadership(number));
        } catch (...) {
            self->thrown = std::current_exception();
        }
#else
        self->function(leadership(number));
#endif
        return 0;
    }

    // A number that is a result if it is not negative, and an error if it is.
    static int result(int number, int otherwise, std::error_code &ec) noexcept
    {
        detail::answer(std::min(number, 0), ec);
        return number < 0 ? otherwise : number;
    }

    election_t *handle_ = nullptr;
    // Set if the handle is destroyed inside its own callback: no callback is called any more.
    std::shared_ptr<std::atomic<bool>> is_mute_;
};

inline void swap(handle &one, handle &other) noexcept
{
    one.swap(other);
}

// ---- Candidacies and watches --------------------------------------------------------------------------------------

/**
 * Stands for master as long as it lives. The destructor calls election_resign and waits for the last call of `on_role`
 * (reason::resigned). Inside a callback the destructor does not wait. Because the destructor waits, it must not run
 * while its thread holds a lock that `on_role` takes. The handle may be destroyed first, or moved.
 */
class [[nodiscard]] candidacy {
public:
    candidacy() noexcept = default;

    [[nodiscard]] candidacy(handle &on, std::string_view path, bytes value, role_function on_role, std::error_code &ec)
        : path_(path)
    {
        on.go_to_election(path, value, std::move(on_role), ec);
        if (!ec)
            handle_ = on.get();
    }

    candidacy(candidacy &&other) noexcept
        : handle_(std::exchange(other.handle_, nullptr)), path_(std::move(other.path_))
    {
    }

    candidacy &operator=(candidacy &&other) noexcept
    {
        candidacy old(std::move(other));
        std::swap(handle_, old.handle_);
        std::swap(path_, old.path_);
        return *this;
    }

    ~candidacy()
    {
        std::error_code ignored;
        resign(ignored);
    }

    /** Whether this object stands and has not resigned. */
    explicit operator bool() const noexcept { return handle_ != nullptr; }

    const std::string &path() const noexcept { return path_; }

    /** handle::is_master. */
    [[nodiscard]] bool is_master() const noexcept { return election_is_master(handle_, path_.c_str()) == 1; }

    /** handle::lease. */
    [[nodiscard]] std::optional<mastership> lease() const noexcept { return detail::lease(handle_, path_); }

    /** handle::wait. */
    bool wait(role which, duration timeout, std::error_code &ec) const noexcept
    {
        return detail::wait(handle_, path_, which, timeout, ec);
    }

    /** handle::wait_until. */
    template <typename Clock, typename Duration>
    bool wait_until(role which, std::chrono::time_point<Clock, Duration> until, std::error_code &ec) const noexcept
    {
        return detail::wait_until(handle_, path_, which, until, ec);
    }

    /** handle::wait with a std::stop_token. */
    template <typename StopToken, typename = detail::if_stop_token<StopToken>>
    bool wait(role which, const StopToken &stop, std::error_code &ec) const noexcept
    {
        return detail::wait_unless(handle_, path_, which, stop, ec);
    }

    /** handle::set_value. */
    void set_value(bytes value, std::error_code &ec) noexcept
    {
        detail::answer(election_set_value(handle_, path_.c_str(), value.data(), value.size()), ec);
    }

    /** Resigns and waits, as the destructor does. */
    void resign(std::error_code &ec) noexcept
    {
        election_t *const on = handle_;
        detach(ec);
        // Wait even if detach() failed: another thread may have resigned already, or may be closing the handle now.
        if (on != nullptr)
            detail::wait_finished(on);
    }

    /** Resigns without waiting. `on_role` is called a moment later, so what it refers to must outlive the handle. */
    void detach(std::error_code &ec) noexcept
    {
        detail::answer(election_resign(std::exchange(handle_, nullptr), path_.c_str()), ec);
    }

#ifdef __cpp_exceptions
    // The same functions; these throw election::error.

    [[nodiscard]] explicit candidacy(handle &on, std::string_view path, bytes value = {},
                                     role_function on_role = nullptr)
        : path_(path)
    {
        on.go_to_election(path, value, std::move(on_role));
        handle_ = on.get();
    }

    bool wait(role which, duration timeout) const
    {
        return detail::or_throw("election_wait", [&](std::error_code &ec) { return wait(which, timeout, ec); });
    }

    template <typename Clock, typename Duration>
    bool wait_until(role which, std::chrono::time_point<Clock, Duration> until) const
    {
        return detail::or_throw("election_wait", [&](std::error_code &ec) { return wait_until(which, until, ec); });
    }

    template <typename StopToken, typename = detail::if_stop_token<StopToken>>
    bool wait(role which, const StopToken &stop) const
    {
        return detail::or_throw("election_wait", [&](std::error_code &ec) { return wait(which, stop, ec); });
    }

    void set_value(bytes value)
    {
        detail::or_throw("election_set_value", [&](std::error_code &ec) { set_value(value, ec); });
    }

    void resign()
    {
        detail::or_throw("election_resign", [&](std::error_code &ec) { resign(ec); });
    }

    void detach()
    {
        detail::or_throw("election_resign", [&](std::error_code &ec) { detach(ec); });
    }
#endif

private:
    election_t *handle_ = nullptr; // a number, so the library distinguishes a closed handle from all others
    std::string path_;
};

/**
 * Watches as long as it lives. The destructor ends the watch and waits for the last call of its callback. Inside a
 * callback the destructor does not wait. Because the destructor waits, it must not run while its thread holds a lock
 * that the callback takes. The handle may be destroyed first, or moved.
 */
class [[nodiscard]] watch {
public:
    watch() noexcept = default;

    /** election_watch_master, and election_unwatch_master in the destructor. */
    [[nodiscard]] static watch master(handle &on, std::string_view path, master_function on_master,
                                      std::error_code &ec)
    {
        watch made(path, election_unwatch_master);
        on.watch_master(path, std::move(on_master), ec);
        return made.begun(on, ec);
    }

    /** election_watch_members, and election_unwatch_members in the destructor. */
    [[nodiscard]] static watch members(handle &on, std::string_view path, int enough, members_function on_members,
                                       std::error_code &ec)
    {
        watch made(path, election_unwatch_members);
        on.watch_members(path, enough, std::move(on_members), ec);
        return made.begun(on, ec);
    }

    /** election_watch_connection, and election_unwatch_connection in the destructor; `path()` is empty. */
    [[nodiscard]] static watch connection(handle &on, connection_function on_connection, std::error_code &ec)
    {
        watch made({}, [](election_t *handle, const char *) { return election_unwatch_connection(handle); });
        on.watch_connection(std::move(on_connection), ec);
        return made.begun(on, ec);
    }

    watch(watch &&other) noexcept
        : handle_(std::exchange(other.handle_, nullptr)), path_(std::move(other.path_)), unwatch_(other.unwatch_)
    {
    }

    watch &operator=(watch &&other) noexcept
    {
        watch old(std::move(other));
        std::swap(handle_, old.handle_);
        std::swap(path_, old.path_);
        std::swap(unwatch_, old.unwatch_);
        return *this;
    }

    ~watch()
    {
        election_t *const on = handle_;
        detach();
        if (on != nullptr)
            detail::wait_finished(on);
    }

    /** Whether this object watches. */
    explicit operator bool() const noexcept { return handle_ != nullptr; }

    const std::string &path() const noexcept { return path_; }

    /** Ends the watch without waiting. The callback may be called once more, so what it refers to must outlive the
     * handle. */
    void detach() noexcept
    {
        if (handle_ != nullptr)
            unwatch_(std::exchange(handle_, nullptr), path_.c_str());
    }

#ifdef __cpp_exceptions
    // The same functions; these throw election::error.

    [[nodiscard]] static watch master(handle &on, std::string_view path, master_function on_master)
    {
        return detail::or_throw("election_watch_master", [&](std::error_code &ec) {
            return master(on, path, std::move(on_master), ec);
        });
    }

    [[nodiscard]] static watch members(handle &on, std::string_view path, int enough, members_function on_members)
    {
        return detail::or_throw("election_watch_members", [&](std::error_code &ec) {
            return members(on, path, enough, std::move(on_members), ec);
        });
    }

    [[nodiscard]] static watch connection(handle &on, connection_function on_connection)
    {
        return detail::or_throw("election_watch_connection", [&](std::error_code &ec) {
            return connection(on, std::move(on_connection), ec);
        });
    }
#endif

private:
    using unwatch_function = int (*)(election_t *, const char *);

    watch(std::string_view path, unwatch_function unwatch) : path_(path), unwatch_(unwatch) {}

    // A watch that failed has no handle, so its destructor does not end another watch at the path.
    watch begun(const handle &on, const std::error_code &ec) noexcept
    {
        if (!ec)
            handle_ = on.get();
        return std::move(*this);
    }

    election_t *handle_ = nullptr;
    std::string path_;
    unwatch_function unwatch_ = nullptr;
};

// ---- The verifier -------------------------------------------------------------------------------------------------

/** Refuses the tokens of old masters, in the program that receives the writes: election_verifier_t. It can be moved. */
class [[nodiscard]] verifier {
public:
    /** election_verifier_new. The only error is rc::internal. */
    verifier(token highest, std::error_code &ec) noexcept
        : verifier_(election_verifier_new(static_cast<std::int64_t>(highest)))
    {
        ec = make_error_code(verifier_ ? rc::ok : rc::internal);
    }

    /** election_verifier_admit: whether to accept a write with this token. False if the verifier was moved from. */
    [[nodiscard]] bool admit(token which) noexcept
    {
        return election_verifier_admit(verifier_.get(), static_cast<std::int64_t>(which)) == ELECTION_OK;
    }

    /** election_verifier_highest. */
    token highest() const noexcept { return token(election_verifier_highest(verifier_.get())); }

#ifdef __cpp_exceptions
    // The same functions; these throw election::error.

    explicit verifier(token highest = token::none)
        : verifier_(election_verifier_new(static_cast<std::int64_t>(highest)))
    {
        if (!verifier_)
            throw error(make_error_code(rc::internal), "election_verifier_new");
    }
#endif

private:
    struct deleter {
        void operator()(election_verifier_t *freed) const noexcept { election_verifier_free(freed); }
    };

    std::unique_ptr<election_verifier_t, deleter> verifier_;
};

} // namespace with_exceptions or without_exceptions
} // namespace election

template <> struct std::is_error_code_enum<election::rc> : std::true_type {};

#endif // ELECTION_HPP
