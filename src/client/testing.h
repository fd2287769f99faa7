// What the tests of this folder share: a server that says what the test wants, and what it was
// asked.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <chrono>
#include <deque>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "client/command.h"
#include "http/testing.h"

namespace earshot::client {

struct Said {
  std::string method, target, body;
  std::multimap<std::string, std::string> fields;  // names in lowercase
  std::string field(const std::string& name) const {
    const auto found = fields.find(name);
    return found == fields.end() ? "" : found->second;
  }
};

// Answers requests one after the other with what is in the script; with 500 when that is over.
class ScriptedServer {
 public:
  ScriptedServer() : running_(application_) {}

  // After holding it back for so long.
  void answer(int status, std::string body, http::FieldLines fields = {},
              std::chrono::milliseconds hold = {}) {
    const std::lock_guard lock(application_.mutex);
    http::Response response;
    response.status = status;
    response.fields = std::move(fields);
    response.fields.add("content-type", "application/json;charset=UTF-8");
    response.body = std::move(body);
    application_.script.push_back({std::move(response), hold});
  }

  std::string url() const { return "http://" + running_.address(); }

  Server server() const {
    Server server;
    server.url = url();
    server.key = {"ACME", "s3cret-of-a-key"};
    return server;
  }

  std::vector<Said> said() {
    const std::lock_guard lock(application_.mutex);
    return application_.said;
  }

 private:
  struct Scripted {
    http::Response response;
    std::chrono::milliseconds hold;
  };
  struct Script : http::Application {
    std::shared_ptr<http::Body> begin(const http::RequestHead& head, http::Reply reply) override {
      Said said_now{std::string(head.method), std::string(head.target), {}, {}};
      for (const auto& field : head.fields) {
        std::string name(field.name);
        for (char& c : name) c = static_cast<char>(std::tolower(c));
        said_now.fields.emplace(name, field.value);
      }
      return std::make_shared<http::CollectingBody>(
          std::move(reply), [this, said_now](std::string body, http::Reply late) mutable {
            const std::lock_guard lock(mutex);
            said_now.body = std::move(body);
            said.push_back(std::move(said_now));
            if (script.empty()) return late.send(http::text(500, "the script is over"));
            std::this_thread::sleep_for(script.front().hold);
            late.send(std::move(script.front().response));
            script.pop_front();
          });
    }
    http::Response refuse(int status, std::string_view) override {
      return http::text(status, "refused");
    }
    std::mutex mutex;
    std::deque<Scripted> script;  // guarded by mutex
    std::vector<Said> said;       // guarded by mutex
  };

  Script application_;
  http::Running running_;
};

// Where a command writes, as a script has it. Its text is what was written so far.
class Pipe {
 public:
  Pipe() {
    if (::pipe2(ends_, O_CLOEXEC | O_NONBLOCK) != 0) throw std::runtime_error("no pipe");
  }
  ~Pipe() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  Pipe(const Pipe&) = delete;
  int descriptor() const { return ends_[1]; }
  std::string text() { return read_available(ends_[0]); }

  static std::string read_available(int descriptor) {
    std::string text(1 << 20, '\0');
    const auto size = ::read(descriptor, text.data(), text.size());
    text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return text;
  }

 private:
  int ends_[2];
};

// The same, as a person has it.
class Terminal {
 public:
  Terminal() {
    if (::openpty(&own_, &others_, nullptr, nullptr, nullptr) != 0) {
      throw std::runtime_error("no terminal");
    }
    termios settings{};
    ::tcgetattr(others_, &settings);
    settings.c_oflag &= ~static_cast<tcflag_t>(OPOST);  // no CR before LF
    ::tcsetattr(others_, TCSANOW, &settings);
    ::fcntl(own_, F_SETFL, O_NONBLOCK);
  }
  ~Terminal() {
    ::close(own_);
    ::close(others_);
  }
  Terminal(const Terminal&) = delete;
  int descriptor() const { return others_; }
  std::string text() {
    std::string all;
    for (;;) {
      const auto more = Pipe::read_available(own_);
      if (more.empty()) return all;
      all += more;
    }
  }

 private:
  int own_ = -1, others_ = -1;
};

// A file with this text and mode, gone at the end of the test.
class File {
 public:
  explicit File(const std::string& text, mode_t mode = 0600) {
    std::string name = (std::filesystem::temp_directory_path() / "earshot-client-XXXXXX").string();
    ::close(::mkstemp(name.data()));
    path_ = name;
    std::ofstream(path_) << text;
    ::chmod(path_.c_str(), mode);
  }
  ~File() { std::filesystem::remove(path_); }
  File(const File&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace earshot::client
