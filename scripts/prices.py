#!/usr/bin/env python3
"""Writes src/providers/prices/prices.json from LiteLLM's table of prices (MIT): figures of the providers owf knows.

    python3 scripts/prices.py OWF [WHEEL]

OWF is the program, which reads LiteLLM's table itself (`owf prices --file`); WHEEL a wheel of litellm, fetched with pip when
it is not given. Look at the difference before you commit it.
"""

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

MEMBER = "litellm/model_prices_and_context_window_backup.json"
TARGET = Path(__file__).resolve().parent.parent / "src/providers/prices/prices.json"


def main() -> None:
    owf = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as text:
        work = Path(text)
        if len(sys.argv) > 2:
            wheel = Path(sys.argv[2])
        else:
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(work), "litellm"]
            subprocess.run(pip, check=True)
            wheel = next(work.glob("litellm-*.whl"))
        version = wheel.name.split("-")[1]
        table = work / "litellm.json"
        table.write_bytes(zipfile.ZipFile(wheel).read(MEMBER))
        config = work / "config.toml"
        config.write_text("")
        env = {**os.environ, "OWF_CONFIG": str(config), "OWF_HOME": str(work / "home")}
        subprocess.run([owf, "prices", "--file", str(table)], check=True, env=env)
        written = (work / "prices.json").read_text()
    source = json.loads(written)["source"]
    TARGET.write_text(written.replace(json.dumps(source), json.dumps(f"LiteLLM {version} (MIT)"), 1))


if __name__ == "__main__":
    main()
