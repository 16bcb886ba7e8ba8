// What the header promises of the order between threads, told to ThreadSanitizer, which cannot see it inside a library that
// is not compiled for it: what was written before a call is seen by the callbacks that it asks for; what one callback has
// written by the next, and by free_ctx; and what they all have written by whoever has closed the handle, or has waited for
// what is finished.
//
// Linked with --wrap=FUNCTION: the program calls __wrap_FUNCTION here, and __real_FUNCTION is the library's.

#include "election.h"

#include <sanitizer/tsan_interface.h>

namespace {

template <typename Function> struct Handed {
    Function function;
    void *ctx;
    election_free_fn free_ctx;
};

// Where everybody who closes a handle meets everybody who has run a callback.
char all_callbacks;

template <typename Seen> void call(const Seen *seen, void *context)
{
    auto *handed = static_cast<Handed<void (*)(const Seen *, void *)> *>(context);
    __tsan_acquire(handed);
    handed->function(seen, handed->ctx);
    __tsan_release(handed);
    __tsan_release(&all_callbacks);
}

template <typename Seen> void free_handed(void *context)
{
    auto *handed = static_cast<Handed<void (*)(const Seen *, void *)> *>(context);
    __tsan_acquire(handed);
    if (handed->free_ctx != nullptr)
        handed->free_ctx(handed->ctx);
    delete handed;
    __tsan_release(&all_callbacks);
}

template <typename Seen, typename Call>
int hand_over(void (*function)(const Seen *, void *), void *ctx, election_free_fn free_ctx, Call real)
{
    auto *handed = new Handed<void (*)(const Seen *, void *)>{function, ctx, free_ctx};
    __tsan_release(handed);
    int rc = real(function == nullptr ? nullptr : call<Seen>, handed, free_handed<Seen>);
    if (rc != ELECTION_OK)
        delete handed;
    return rc;
}

} // namespace

extern "C" {

decltype(go_to_election) __real_go_to_election, __wrap_go_to_election;
decltype(go_to_election) __real_election_go_to_election, __wrap_election_go_to_election;
decltype(watch_master) __real_watch_master, __wrap_watch_master;
decltype(watch_master) __real_election_watch_master, __wrap_election_watch_master;
decltype(election_watch_members) __real_election_watch_members, __wrap_election_watch_members;
decltype(election_watch_connection) __real_election_watch_connection, __wrap_election_watch_connection;
decltype(election_close) __real_election_close, __wrap_election_close;
decltype(election_wait_finished) __real_election_wait_finished, __wrap_election_wait_finished;

int __wrap_go_to_election(election_t *handle, const char *path, const void *value, size_t value_len,
                          election_role_fn on_role, void *ctx, election_free_fn free_ctx)
{
    return hand_over(on_role, ctx, free_ctx, [&](auto function, void *handed, auto free_handed) {
        return __real_go_to_election(handle, path, value, value_len, function, handed, free_handed);
    });
}

int __wrap_watch_master(election_t *handle, const char *path, election_master_fn on_master, void *ctx,
                        election_free_fn free_ctx)
{
    return hand_over(on_master, ctx, free_ctx, [&](auto function, void *handed, auto free_handed) {
        return __real_watch_master(handle, path, function, handed, free_handed);
    });
}

int __wrap_election_go_to_election(election_t *handle, const char *path, const void *value, size_t value_len,
                                   election_role_fn on_role, void *ctx, election_free_fn free_ctx)
{
    return hand_over(on_role, ctx, free_ctx, [&](auto function, void *handed, auto free_handed) {
        return __real_election_go_to_election(handle, path, value, value_len, function, handed, free_handed);
    });
}

int __wrap_election_watch_master(election_t *handle, const char *path, election_master_fn on_master, void *ctx,
                                 election_free_fn free_ctx)
{
    return hand_over(on_master, ctx, free_ctx, [&](auto function, void *handed, auto free_handed) {
        return __real_election_watch_master(handle, path, function, handed, free_handed);
    });
}

int __wrap_election_watch_members(election_t *handle, const char *path, int enough, election_members_fn on_members,
                                  void *ctx, election_free_fn free_ctx)
{
    return hand_over(on_members, ctx, free_ctx, [&](auto function, void *handed, auto free_handed) {
        return __real_election_watch_members(handle, path, enough, function, handed, free_handed);
    });
}

int __wrap_election_watch_connection(election_t *handle, election_connection_fn on_connection, void *ctx,
                                     election_free_fn free_ctx)
{
    return hand_over(on_connection, ctx, free_ctx, [&](auto function, void *handed, auto free_handed) {
        return __real_election_watch_connection(handle, function, handed, free_handed);
    });
}

int __wrap_election_wait_finished(election_t *handle, int timeout_ms)
{
    int rc = __real_election_wait_finished(handle, timeout_ms);
    __tsan_acquire(&all_callbacks);
    return rc;
}

int __wrap_election_close(election_t *handle)
{
    int rc = __real_election_close(handle);
    __tsan_acquire(&all_callbacks);
    return rc;
}
}
