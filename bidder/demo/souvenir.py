"""What a demo leaves behind where asked: its database, and a configuration that reads it."""

from pathlib import Path

from bidder.domain.money import plain
from bidder.domain.policy import Policy
from bidder.errors import BadInput

DATABASE = "bidder.db"
CONFIG = "config.yaml"
# Port 1 of this machine: whoever runs a daemon from this file reaches nobody.
_NOWHERE = "http://127.0.0.1:1/v1"


def folder_for(asked: Path) -> Path:
    """Return the folder, made where it is not there; raises BadInput where it cannot be used."""
    try:
        found = next((name for name in (DATABASE, CONFIG) if (asked / name).exists()), None)
    except OSError as exc:
        raise BadInput(f"--save {asked}: cannot be used ({exc.strerror}); name another folder") from exc
    if found is not None:
        raise BadInput(f"--save {asked}: there is a {found} already; name another folder")
    try:
        asked.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise BadInput(f"--save {asked}: cannot be made ({exc.strerror}); name another folder") from exc
    return asked


def write_config(folder: Path, policy: Policy) -> Path:
    """Write the configuration of a demo that is over, for the commands that only look."""
    lines = [
        "# Left by `bidder demo --save`, for report, advise, history and explain. It trades nowhere.",
        "mode: live",
        f"account: {{name: {policy.account}, token_env: BIDDER_DEMO_TOKEN}}",
        f'exchange: {{url: "{_NOWHERE}"}}',
        f"database: {DATABASE}",
        "strategies:",
    ]
    for target in policy.targets:
        models = ", ".join(target.requirements.gpu_models)
        price = plain(target.ceiling.price.amount)
        lines += [
            f"  - name: {target.name}",
            f"    want: {target.want}",
            f"    ceiling: {{usd: {price}, per: {target.ceiling.per.value}}}",
            f"    servers: {{gpu: [{models}]}}",
            f"    launch: {{image: {target.launch.image}}}",
        ]
    path = folder / CONFIG
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return path
