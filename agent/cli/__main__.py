"""``python -m meshcache.agent.cli``: what `meshcache mount --daemon` starts."""

import sys

from meshcache.agent.cli import main

sys.exit(main())
