#!/bin/sh
# All static gates; silent when all is well.
bin=$1
failed=0
run() {
    output=$("$@" 2>&1) || { echo "--- $*"; echo "$output"; failed=1; }
}
run "$bin/ruff" format --check .
run "$bin/ruff" check .
run "$bin/mypy"
run "$bin/lint-imports"
run "$bin/python" scripts/gates.py
run "$bin/python" -c "import sys, app.web.main; sys.exit('importing app.web.main brings torch' if 'torch' in sys.modules else 0)"
exit $failed
