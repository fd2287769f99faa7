"""The data of the benches: who and what is in it, by formula. It measures nothing. population.h says
the same in C++, and bench_records writes the records.

Sellers host the calls and take part in them; listeners hold the grants and get the new ones. Every
user stands in a tree of managers and holds a profile that covers the calls of those below, so that
a give costs the whole rule; but no seller stands below a listener, so that every give is a change.

Grants of the data are pairs of a call and a listener whose numbers have an even sum. The benches
give pairs of an odd sum, in a sequence without repetition: at place p stand call p % calls and
listener 2 * (p // calls) + (call + 1) % 2, and after p comes (p + stride) % pairs.
"""

import dataclasses
import functools
import math

SELLERS = 1000
LISTENERS = 4000  # even, so that each call has as many listeners of either sum
REPORTS = 8  # that a manager has
CHECKED_CALLS = 100_000
SECRET = "a-secret-of-the-benches-alone"
MASK = 2**64 - 1
DIRECTORY_RECORDS = 4 + SELLERS + LISTENERS  # of a company: it, its key, workspace, profile, users


def scatter(number):
    number = (number + 0x9E3779B97F4A7C15) & MASK
    number = (number ^ (number >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    number = (number ^ (number >> 27)) * 0x94D049BB133111EB & MASK
    return number ^ (number >> 31)


def scattered_id(number):
    """Of 19 digits, so that all requests of a kind are equally long."""
    return str(10**18 + scatter(number) % (2**63 - 10**18))


def call_id(company, number):
    return scattered_id(company << 40 | number)


def listener_id(company, number):
    return scattered_id(company << 40 | 1 << 36 | SELLERS + number)


def access_key(company):
    return f"BENCH{company}"


@dataclasses.dataclass(frozen=True)
class Dataset:
    calls_count: int = 200_000  # of each company
    grants_per_call: int = 5
    companies: int = 1

    @property
    def name(self):
        return f"{self.companies}x{self.calls_count}x{self.grants_per_call}"

    @property
    def grants(self):
        return self.companies * self.calls_count * self.grants_per_call

    @property
    def records(self):
        return self.companies * (DIRECTORY_RECORDS + self.calls_count * (1 + self.grants_per_call))

    @functools.cached_property
    def calls(self):
        """Ids of the first company's, as text."""
        return [call_id(1, number) for number in range(self.calls_count)]

    @functools.cached_property
    def listeners(self):
        return [listener_id(1, number) for number in range(LISTENERS)]

    @functools.cached_property
    def checks(self):
        """Pairs of call and user to check, and whether each is allowed: of a call somebody to whom
        it was given, the manager of its host, who hears it by a profile, and somebody for whom the
        tree is searched in vain. Of each kind all answers have the same length, but for a few."""
        pairs = []
        for number in range(0, self.calls_count, max(1, self.calls_count // CHECKED_CALLS)):
            call = self.calls[number]
            first = scatter(scatter(1) ^ number)
            holder = 2 * (first % (LISTENERS // 2)) + number % 2
            host = scatter((scatter(1) + number) & MASK) % SELLERS
            stranger = 2 * (number % (LISTENERS // 2)) + (number + 1) % 2
            pairs.append((call, self.listeners[holder], True))
            if host > 0:
                manager = scattered_id(1 << 40 | 1 << 36 | (host - 1) // REPORTS)
                pairs.append((call, manager, True))
            pairs.append((call, self.listeners[stranger], False))
        return pairs

    @property
    def pairs(self):
        return self.calls_count * LISTENERS // 2

    @functools.cached_property
    def stride(self):
        """Coprime to the number of pairs, so that all are met, and far from a simple part of it."""
        stride = self.pairs * 618_034 // 1_000_000
        while math.gcd(stride, self.pairs) != 1:
            stride += 1
        return stride

    def place(self, number):
        return number * self.stride % self.pairs

    def pair(self, number):
        """The ids of call and user of the give of this number, in the first company."""
        place = self.place(number)
        call = place % self.calls_count
        listener = 2 * (place // self.calls_count) + (call + 1) % 2
        return self.calls[call], self.listeners[listener]
