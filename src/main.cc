// The program's entry. All that it does is in cli/.
#include "cli/run.h"

int main(int argc, char** argv) { return earshot::cli::run(argc, argv); }
