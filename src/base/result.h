// Result, Status, Error and TRY: what a function returns when failure is to be expected.
// Exceptions mean a bug or exhaustion and are caught once, at the edge.
#pragma once

#include <boost/system/result.hpp>
#include <stdexcept>
#include <string>
#include <utility>

namespace earshot {

enum class Code {
  invalid_argument = 1,  // the caller's input is wrong; the message says where
  not_found,             // something named does not exist; the message says which
  unavailable,           // try again later: overloaded, draining, or the store cannot commit
  conflict,              // in use, or there already
  gone,                  // it was there, and is kept no longer; the message says from where on
  denied,                // whoever asks may not, or may not any more
  internal,              // a fault of ours or of the machine; never shown to clients
};

struct Error {
  Code code = Code::internal;
  std::string message;  // for operators and logs; a client sees only what the API chooses to show
};

// Needed by boost::system::result when value() is called on an error, which is a bug of ours.
[[noreturn]] inline void throw_exception_from_error(const Error& error,
                                                    const boost::source_location&) {
  throw std::runtime_error("value() of an error: " + error.message);
}

template <class T>
class [[nodiscard]] Result : public boost::system::result<T, Error> {
 public:
  using boost::system::result<T, Error>::result;
};

using Status = Result<void>;

inline Error invalid_argument(std::string message) {
  return {Code::invalid_argument, std::move(message)};
}
inline Error not_found(std::string message) { return {Code::not_found, std::move(message)}; }
inline Error unavailable(std::string message) { return {Code::unavailable, std::move(message)}; }
inline Error conflict(std::string message) { return {Code::conflict, std::move(message)}; }
inline Error gone(std::string message) { return {Code::gone, std::move(message)}; }
inline Error denied(std::string message) { return {Code::denied, std::move(message)}; }
inline Error internal(std::string message) { return {Code::internal, std::move(message)}; }

}  // namespace earshot

// The value of a Result, or a return of its error. A statement expression (g++, clang); never
// around co_await, which g++ 12 cannot compile there. Each has a name of its own, so that one may
// stand inside another.
#define TRY(expression) TRY_COUNTED_(expression, __COUNTER__)
#define TRY_COUNTED_(expression, number) TRY_NUMBERED_(expression, number)
#define TRY_NUMBERED_(expression, number) TRY_AS_(expression, try_result_##number##_)
#define TRY_AS_(expression, name)             \
  __extension__({                             \
    auto&& name = (expression);               \
    if (!name) [[unlikely]]                   \
      return std::move(name).error();         \
    ::earshot::detail::take(std::move(name)); \
  })

namespace earshot::detail {
template <class T>
T take(Result<T>&& result) {
  return std::move(*result);
}
inline void take(Status&&) {}
}  // namespace earshot::detail
