#!/bin/bash
# An emulated 64-bit ARM: makes FOLDER/python, a Python with the libraries of requirements.txt, for
#   pytest --python FOLDER/python tests/pipeline/test_bytes.py -k python
# On Debian, with qemu-user-static; it takes minutes, and the test a quarter of an hour.
#   bash tests/support/arm.sh FOLDER
set -euo pipefail
mkdir -p "$1"/{root,state,cache/archives/partial}
folder=$(realpath "$1"); root=$folder/root; touch "$folder/state/status"

# Debian's packages of the same release, unpacked and not installed.
apt() {
    apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State="$folder/state" \
        -o Dir::State::status="$folder/state/status" -o Dir::Cache="$folder/cache" "$@"
}
apt update
apt install --download-only --yes --no-install-recommends python3 libstdc++6 libgomp1
for package in "$folder"/cache/archives/*.deb; do dpkg -x "$package" "$root"; done

# All wheels; antlr4 has none, and no stage imports it.
awk '/^[^ ]/ {skip = /^antlr4/} !skip' requirements.txt > "$folder/requirements.txt"
python=$(basename "$(readlink "$root/usr/bin/python3")")
platforms=$(printf -- '--platform manylinux%s_aarch64 ' _2_{17..36} 2014)
# shellcheck disable=SC2086
"${PYTHON:-.venv/bin/python}" -m pip install --quiet --no-deps --only-binary=:all: --implementation cp $platforms \
    --python-version "${python#python}" --target "$folder/site" -r "$folder/requirements.txt"

cat > "$folder/python" << EOF
#!/bin/sh
PYTHONPATH="\$PYTHONPATH:$folder/site" exec qemu-aarch64-static -cpu max -L "$root" "$root/usr/bin/$python" "\$@"
EOF
chmod +x "$folder/python"
