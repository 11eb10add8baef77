"""``python -m otel_ml``: the same as the ``otel-ml`` command."""

import sys

from otel_ml.cli import main

sys.exit(main())
