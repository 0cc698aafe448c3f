"""The person-image parts, systems, tasks and application that stand on warpkit's ops; installed as `warpkit.models`."""

if __name__ != "warpkit.models":
    raise ImportError(
        "import this package as warpkit.models: the top-level name would make a second copy of every module"
    )
