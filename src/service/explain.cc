#include "service/explain.h"

#include <algorithm>
#include <numeric>

#include "base/assert.h"

namespace earshot::service {
namespace {

// Pairs by call, so that a call is read and its part of the tree of managers found once.
struct Questions {
  std::vector<Pair> pairs;         // in the order asked
  std::vector<std::size_t> order;  // of them, by call and user
  std::vector<core::CallUsers> calls;
};

Questions group(std::vector<Pair> pairs) {
  Questions questions{std::move(pairs), {}, {}};
  const auto key = [&](std::size_t i) {
    return std::pair(questions.pairs[i].call, questions.pairs[i].user);
  };
  questions.order.resize(questions.pairs.size());
  std::iota(questions.order.begin(), questions.order.end(), std::size_t{0});
  std::ranges::sort(questions.order, {}, key);
  for (const std::size_t i : questions.order) {
    const auto [call, user] = questions.pairs[i];
    auto& calls = questions.calls;
    if (calls.empty() || calls.back().call != call) calls.push_back({call, {}});
    auto& users = calls.back().users;
    if (users.empty() || users.back() != user) users.push_back(user);
  }
  return questions;
}

CheckAnswer answer(const Questions& questions, store::AccessView view) {
  CheckAnswer answer{view.as_of, std::move(view.directory), {}};
  answer.explanations.resize(questions.pairs.size());
  auto next = questions.order.begin();
  for (const core::PackedEntryPtr& entry : view.entries) {
    core::CallExplainer explainer(*answer.directory, *entry);
    const CallId call = questions.pairs[*next].call;
    for (; next != questions.order.end() && questions.pairs[*next].call == call; ++next) {
      answer.explanations[*next] =
          explainer.explain(questions.pairs[*next].user, answer.as_of.time);
    }
  }
  ASSERT(next == questions.order.end());
  return answer;
}

CallPage page_of(const store::AccessView& view, UserId after, std::size_t limit) {
  CallPage page;
  page.as_of = view.as_of;
  page.directory = view.directory;
  const core::PackedEntry& entry = *view.entries.front();
  page.call_exists = entry.has_call();
  if (!page.call_exists) return page;
  core::CallExplainer explainer(*view.directory, entry);
  const auto users = view.directory->user_ids();
  auto next = std::ranges::upper_bound(users, after);
  for (std::size_t looked_at = 0; next != users.end(); ++next, ++looked_at) {
    if (looked_at == kUsersLookedAtMax || page.users.size() == limit) {
      page.last = *std::prev(next);
      break;
    }
    core::Explanation explanation = explainer.explain(*next, page.as_of.time);
    if (explanation.ways != 0) page.users.emplace_back(*next, std::move(explanation));
  }
  return page;
}

UserPage page_of(const store::UserCallsView& view, UserId user, core::Ways ways,
                 std::size_t limit) {
  UserPage page;
  page.as_of = view.as_of;
  page.directory = view.directory;
  const core::Directory::Member* const member = view.directory->find_user(user);
  page.user_exists = member != nullptr;
  page.is_active = member != nullptr && member->active;
  if (!page.is_active) return page;
  page.last = view.last;
  for (std::size_t i = 0; i < view.calls.size(); ++i) {
    core::Explanation explanation =
        core::explain(*view.directory, *view.entries[i], user, page.as_of.time);
    if ((explanation.ways & ways) == 0) continue;
    page.calls.emplace_back(view.calls[i], std::move(explanation));
    if (page.calls.size() == limit && i + 1 < view.calls.size()) {
      page.last = view.calls[i];
      break;
    }
  }
  return page;
}

}  // namespace

void check(store::Store& store, const auth::Principal& principal, std::vector<Pair> pairs,
           store::Moment moment, core::Revision at_least, CheckDone done) {
  Questions questions = group(std::move(pairs));
  store::AccessCommand command;
  command.company = principal.company();
  command.calls = std::move(questions.calls);
  command.moment = moment;
  command.at_least = at_least;
  command.asker = principal.asker;
  store.read_access(std::move(command), [questions = std::move(questions),
                                         done = std::move(done)](Result<store::AccessView> view) {
    if (!view) return done(std::move(view).error());
    done(answer(questions, std::move(*view)));
  });
}

void explain_call(store::Store& store, const auth::Principal& principal, CallId call, UserId after,
                  std::size_t limit, store::Moment moment, core::Revision at_least,
                  CallPageDone done) {
  ASSERT(limit > 0);
  store::AccessCommand command;
  command.company = principal.company();
  command.calls = {{call, {}}};
  command.everybody = true;
  command.moment = moment;
  command.at_least = at_least;
  command.asker = principal.asker;
  store.read_access(std::move(command),
                    [after, limit, done = std::move(done)](Result<store::AccessView> view) {
                      if (!view) return done(std::move(view).error());
                      done(page_of(*view, after, limit));
                    });
}

void explain_user(store::Store& store, const auth::Principal& principal, UserId user,
                  core::Ways ways, CallId after, std::size_t limit, store::Moment moment,
                  core::Revision at_least, UserPageDone done) {
  ASSERT(limit > 0 && ways != 0);
  constexpr core::Ways kOfUserAlone =
      static_cast<core::Ways>(core::Way::individual) | static_cast<core::Ways>(core::Way::shared);
  store::UserCallsCommand command;
  command.company = principal.company();
  command.user = user;
  command.ways = ways;
  command.after = after;
  // Nearly all that is found by the user's own rows will be told.
  command.calls_max =
      (ways & ~kOfUserAlone) == 0 ? std::min(limit, kCallsLookedAtMax) : kCallsLookedAtMax;
  command.moment = moment;
  command.at_least = at_least;
  command.asker = principal.asker;
  store.read_user_calls(std::move(command), [user, ways, limit, done = std::move(done)](
                                                Result<store::UserCallsView> view) {
    if (!view) return done(std::move(view).error());
    done(page_of(*view, user, ways, limit));
  });
}

}  // namespace earshot::service
