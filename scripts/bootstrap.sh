#!/bin/sh
# Makes .venv with the locked dependencies and llmcp itself. Finds a Python >= 3.12 on its own; PYTHON=/path/to/python overrides.
set -eu
cd "$(dirname "$0")/.."

fits() {
    [ -n "$1" ] && "$1" -c 'import sys; raise SystemExit(sys.version_info < (3, 12))' 2>/dev/null
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        fits "$PYTHON" && { echo "$PYTHON"; return; }
        echo "error: PYTHON=$PYTHON is not a Python >= 3.12" >&2
        return 1
    fi
    for name in python3.13 python3.12 python3.14 python3 python; do
        path=$(command -v "$name" 2>/dev/null || true)
        if fits "$path"; then echo "$path"; return; fi
    done
    for path in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[3-9]*/bin/python "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.12*/bin/python \
        /opt/homebrew/bin/python3.1[2-9] /usr/local/bin/python3.1[2-9]; do
        if fits "$path"; then echo "$path"; return; fi
    done
    if command -v uv >/dev/null 2>&1; then
        path=$(uv python find '>=3.12' 2>/dev/null || true)
        if fits "$path"; then echo "$path"; return; fi
    fi
    echo "error: no Python >= 3.12 found" >&2
    echo "cause: looked for python3.12 and later on PATH, under pyenv and with uv" >&2
    echo "hint: install one (\`apt install python3.12-venv\`, \`brew install python\`, \`pyenv install 3.13\`) or say \`make PYTHON=/path/to/python\`" >&2
    return 1
}

lock=requirements/dev.txt
stamp=.venv/.llmcp-stamp
want=$(cat "$lock" pyproject.toml | cksum)
if [ -x .venv/bin/python ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want $(pwd)" ]; then
    exit 0
fi

python=$(find_python)
echo "bootstrap: $("$python" --version) at $python" >&2
if ! "$python" -m venv --clear .venv; then
    echo "error: this Python cannot make virtual environments" >&2
    echo "hint: on Debian and Ubuntu, \`apt install python3-venv\` (of the same version)" >&2
    exit 1
fi
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
# Start-up time is mostly imports: have the byte code ready, also where the environment forbids writing it later.
.venv/bin/python -m compileall -q src/llmcp
printf '%s' "$want $(pwd)" > "$stamp"
