import sys

from dehazelib.cli import main

sys.exit(main())
