"""Run a long proof: ``python -m proofs --key KEY``, or ``--list``; `proofs.harness` says more."""

import sys

from fedvalue.quiet import silence
from proofs.harness import main

if __name__ == "__main__":
    silence()
    sys.exit(main(sys.argv[1:]))
