// A disk that does not sync, for tests.
#pragma once

#include <rocksdb/env.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>

namespace earshot::test {

// A disk whose log can be made to fail.
class FailingEnv final : public rocksdb::EnvWrapper {
 public:
  FailingEnv() : EnvWrapper(rocksdb::Env::Default()) {}
  std::atomic<bool> fail_sync{false};

  rocksdb::Status NewWritableFile(const std::string& name,
                                  std::unique_ptr<rocksdb::WritableFile>* file,
                                  const rocksdb::EnvOptions& file_options) override {
    const rocksdb::Status made = EnvWrapper::NewWritableFile(name, file, file_options);
    if (made.ok() && name.ends_with(".log")) *file = std::make_unique<Log>(std::move(*file), *this);
    return made;
  }

 private:
  class Log final : public rocksdb::WritableFileWrapper {
   public:
    Log(std::unique_ptr<rocksdb::WritableFile> file, FailingEnv& env)
        : WritableFileWrapper(file.get()), file_(std::move(file)), env_(env) {}
    rocksdb::Status Sync() override {
      return env_.fail_sync ? rocksdb::Status::IOError("the disk said no") : file_->Sync();
    }
    rocksdb::Status Fsync() override {
      return env_.fail_sync ? rocksdb::Status::IOError("the disk said no") : file_->Fsync();
    }

   private:
    std::unique_ptr<rocksdb::WritableFile> file_;
    FailingEnv& env_;
  };
};

}  // namespace earshot::test
