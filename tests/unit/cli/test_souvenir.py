"""What a demo leaves behind can be read, and reaches nobody."""

from pathlib import Path

import pytest
from builders import make_policy, make_target, usd

from bidder.cli.main import main
from bidder.cli.opening import read_settings
from bidder.demo import souvenir
from bidder.domain.ids import AccountName
from bidder.domain.policy import Per, Requirements
from bidder.errors import BadInput


def test_its_configuration_asks_for_what_the_demo_asked_for(tmp_path: Path) -> None:
    """The same account, servers and ceilings, at an address where nobody listens."""
    wanted = make_target(
        "rtx-4090",
        want=2,
        ceiling=usd("2.45"),
        per=Per.GPU,
        requirements=Requirements(gpu_models=("RTX 4090", "RTX 3080 TI")),
    )
    policy = make_policy(wanted, account=AccountName("demo"))
    config = souvenir.write_config(souvenir.folder_for(tmp_path / "new" / "folder"), policy)
    assert main(["check", "-c", str(config)]) == 0
    settings = read_settings(config)
    (target,) = settings.policy.targets
    assert settings.account == "demo"
    assert settings.exchange_url.startswith("http://127.0.0.1:1/")
    assert (target.name, target.want, target.ceiling) == (wanted.name, wanted.want, wanted.ceiling)
    assert target.requirements.gpu_models == wanted.requirements.gpu_models


def test_nothing_is_written_over(tmp_path: Path) -> None:
    """A folder with a database or a configuration in it is another's."""
    for name in (souvenir.DATABASE, souvenir.CONFIG):
        (tmp_path / name).touch()
        with pytest.raises(BadInput, match=f"there is a {name} already"):
            souvenir.folder_for(tmp_path)
        (tmp_path / name).unlink()
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="cannot be made"):
        souvenir.folder_for(tmp_path / "file" / "folder")
    with pytest.raises(BadInput, match=r"cannot be used \(File name too long\)"):
        souvenir.folder_for(tmp_path / ("x" * 300))
