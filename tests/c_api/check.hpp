// What the C++ programs of this folder share: checks that name their line, and what callbacks heard. A program that
// succeeds says nothing at all.

#ifndef CHECK_HPP
#define CHECK_HPP

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <iostream>
#include <mutex>
#include <utility>

// For what comes in milliseconds on an idle machine, and must come.
inline constexpr auto patience = std::chrono::seconds(30);

inline void check(bool holds, const char *file, int line, const char *what)
{
    if (holds)
        return;
    std::cerr << file << ':' << line << ": does not hold: " << what << std::endl;
    std::_Exit(1);
}

#define CHECK(what) check((what), __FILE__, __LINE__, #what)

// A queue between the callback thread and the main thread.
template <typename T> class Inbox {
public:
    void put(T item)
    {
        std::lock_guard<std::mutex> guard(mutex_);
        items_.push_back(std::move(item));
        news_.notify_all();
    }

    T take()
    {
        std::unique_lock<std::mutex> guard(mutex_);
        CHECK(news_.wait_for(guard, patience, [this] { return !items_.empty(); }));
        T item = std::move(items_.front());
        items_.pop_front();
        return item;
    }

    bool empty()
    {
        std::lock_guard<std::mutex> guard(mutex_);
        return items_.empty();
    }

private:
    std::mutex mutex_;
    std::condition_variable news_;
    std::deque<T> items_;
};

#endif
