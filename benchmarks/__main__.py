"""Run the benchmarks: ``python -m benchmarks [--key KEY] [--out FILE]``; `benchmarks.harness` says more."""

import sys

from benchmarks.harness import main
from fedvalue.quiet import silence

if __name__ == "__main__":
    silence()  # before a row imports Flower
    sys.exit(main(sys.argv[1:]))
