#include "core/record.h"

namespace earshot::core {
namespace {

// Puts the thing of one record in place, after checking what it needs to be there.
struct Put {
  CompanyId company;
  RecordTarget& target;

  Status operator()(const KeyLine& line) const {
    Key key = line.key;
    const auto stored = TRY(target.find_key(key.access_key));
    if (stored && stored->first != company) return invalid_argument("the access key is taken");
    // The same line again must change nothing, although its secret was hashed with a fresh salt.
    if (stored && line.secret_text && verify_secret(stored->second.secret, *line.secret_text)) {
      key.secret = stored->second.secret;
    }
    return target.put(company, key);
  }
  Status operator()(const ShareLine& line) const {
    TRY(check_pair(line.call, line.user));
    return target.put_share(company, line.call, line.user);
  }
  Status operator()(const GrantLine& line) const {
    TRY(check_pair(line.call, line.user));
    return target.put_grant(company, line.call, line.user, line.grant);
  }
  Status operator()(const Company& thing) const { return target.put(thing); }
  template <class Thing>
  Status operator()(const Thing& thing) const {
    return target.put(company, thing);
  }

  Status check_pair(CallId call, UserId user) const {
    if (!TRY(target.has_call(company, call))) {
      return invalid_argument("call " + to_string(call) + " is not there: put it first");
    }
    if (!TRY(target.has_user(company, user))) {
      return invalid_argument("user " + to_string(user) + " is not there: put it first");
    }
    return {};
  }
};

struct Remove {
  CompanyId company;
  RecordTarget& target;

  Status operator()(const Company&) const { return target.remove_company(company); }
  Status operator()(const KeyLine& line) const {
    const auto stored = TRY(target.find_key(line.key.access_key));
    if (!stored || stored->first != company) return {};
    return target.remove_key(company, line.key.access_key);
  }
  Status operator()(const Workspace& thing) const {
    return target.remove_workspace(company, thing.id);
  }
  Status operator()(const Profile& thing) const { return target.remove_profile(company, thing.id); }
  Status operator()(const User& thing) const { return target.remove_user(company, thing.id); }
  Status operator()(const Call& thing) const { return target.remove_call(company, thing.id); }
  Status operator()(const ShareLine& line) const {
    return target.remove_share(company, line.call, line.user);
  }
  Status operator()(const GrantLine& line) const {
    return target.remove_grant(company, line.call, line.user);
  }
};

}  // namespace

Status apply_record(const Record& record, RecordTarget& target) {
  const bool is_company = std::holds_alternative<Company>(record.thing);
  if (!is_company || record.remove) {
    if (!TRY(target.has_company(record.company))) {
      if (record.remove) return {};
      return invalid_argument("company " + to_string(record.company) +
                              " is not there: put a company line first");
    }
  }
  if (record.remove) return std::visit(Remove{record.company, target}, record.thing);
  return std::visit(Put{record.company, target}, record.thing);
}

}  // namespace earshot::core
