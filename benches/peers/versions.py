"""Which peers can be imported: one JSON object, a version by package, null for what is not there."""

import importlib
import json
import platform
from importlib.metadata import version

PACKAGES = ["torch", "transformers", "peft", "xllamacpp", "gguf"]


def found(package):
    try:
        importlib.import_module(package)
        return version(package)
    except Exception:  # a package that breaks on import is no more use than none
        return None


versions = {"python": platform.python_version()} | {package: found(package) for package in PACKAGES}
if versions["xllamacpp"]:
    import xllamacpp

    versions["llama.cpp"] = xllamacpp.get_system_info().strip(" |")
print(json.dumps(versions))
