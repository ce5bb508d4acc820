"""What bars say while workers make environments."""

from __future__ import annotations

from nbray.ids import DRIVER_FLAG, client_id
from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.core.client.setting_up import SILENT, SettingsUp
from nbray.wire.messages import SettingUp

ONE, TWO, FAR = client_id(1, 5), client_id(1, 6), client_id(2, 5)


def said(of, now):
    return of.sentences(now, lambda node: f" on node {node}" if node == 2 else "")


def test_what_goes_on_is_said_once_with_its_latest_line_and_time() -> None:
    of = SettingsUp()
    assert of.told(SettingUp(ONE, "c", "pip installs x"), 10.0)
    assert not of.told(SettingUp(TWO, "c", "pip installs x", "Collecting x"), 11.0)
    assert not of.told(SettingUp(ONE, "c", "pip installs x"), 12.0)
    assert of.told(SettingUp(FAR, "d", "pip installs y"), 12.0)
    assert said(of, 13.0) == {
        "c": ["Environment: pip installs x, 3 s: Collecting x"],
        "d": ["Environment: pip installs y on node 2, 1 s"],
    }
    for worker in (ONE, TWO, FAR):
        of.told(SettingUp(worker, "c", ""), 14.0)
    assert said(of, 14.0) == {}


def test_who_is_silent_has_ended() -> None:
    of = SettingsUp()
    of.told(SettingUp(ONE, "c", "pip installs x"), 10.0)
    assert said(of, 10.0 + SILENT) == {}


def test_a_driver_says_it_in_its_reasons_and_once_to_who_prints() -> None:
    brain = ClientBrain(client_id(1, DRIVER_FLAG | 1), 1, lambda kind, text, cause=b"": b"")
    told: list[str] = []
    brain.begins = told.append
    brain.handle(SettingUp(ONE, "c", "pip installs x", "Collecting x"), 10.0)
    brain.handle(SettingUp(ONE, "c", "pip installs x", "Building x"), 11.0)
    assert told == ["pip installs x"]
    assert brain.reasons(12.0) == {"c": ["Environment: pip installs x, 2 s: Building x"]}
