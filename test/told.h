// What the program says of access, in the words of the model.
#pragma once

#include <string>
#include <vector>

#include "core/decide.h"
#include "core/explain.h"
#include "model.h"

namespace earshot::test {

std::string text_of(core::Refusal refusal);

// As far as the model tells it.
Told told_by(const core::Explanation& why);

std::string text_of(const Told& told);

std::string text_of(core::PairOutcome outcome);

std::vector<PairTold> told_by(const std::vector<core::PairResult>& results);

std::string text_of(const std::vector<PairTold>& told);

}  // namespace earshot::test
