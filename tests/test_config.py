"""What config.yaml may say, and what is said about one that cannot be right."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from vibespace import config
from vibespace.config import Settings, load
from vibespace.errors import InvalidArgument


@pytest.mark.parametrize(
    "content", ["", "# all\n# of it\n", "engine:\n", "engine:\n  # socket: /x\nimage: ~\n", "---\n"]
)
def test_nothing_set_is_the_defaults(tmp_path: Path, content: str) -> None:
    """Not there, empty, commented out: the defaults hold."""
    path = tmp_path / "config.yaml"
    assert load(path) == Settings()
    path.write_text(content)
    assert load(path) == Settings()


def test_what_is_set_is_taken(tmp_path: Path) -> None:
    """As YAML and as the JSON that it includes; a quoted number is text."""
    path = tmp_path / "config.yaml"
    path.write_text("engine: {socket: /x}\nimage:\n  base: '12'\n")
    assert load(path) == Settings(engine_socket="/x", image_base="12")
    path.write_text("network:\n  allow: [10.0.0.0/8:80, 'fd00:0::/8:443', 10.0.0.0/8:80]\n")
    assert load(path) == Settings(network_allow=("10.0.0.0/8:80", "fd00::/8:443"))
    path.write_text("network: {allow: []}\n")
    assert load(path) == Settings()


def test_the_template_shows_every_setting(tmp_path: Path) -> None:
    """With all its lines uncommented it sets all there is, to something that can be; it fits a terminal."""
    path = tmp_path / "config.yaml"
    assert [line for line in config.TEMPLATE.splitlines() if len(line) > 80] == []
    lines = [line.removeprefix("#").removeprefix(" ") for line in config.TEMPLATE.splitlines()[2:]]
    path.write_text("\n".join(lines))
    told = yaml.safe_load(path.read_text())
    assert {f"{group}_{key}" for group, keys in told.items() for key in keys} == {f.name for f in fields(Settings)}
    load(path)


@pytest.mark.parametrize(
    ("content", "place", "said"),
    [
        ("engine:\n  sokcet: /x\n", "2:3", "there is no setting 'engine.sokcet'. Did you mean 'engine.socket'?"),
        ("image: {}\nimgae:\n  base: x\n", "3:3", "there is no setting 'imgae.base'. Did you mean 'image.base'?"),
        ("colour:\n  of: sky\n", "2:3", "there is no setting 'colour.of'. There are engine.socket, image.base"),
        ("engine:\n  socket: 7\n", "2:11", "'engine.socket' must be text."),
        ("engine:\n  socket: [/x]\n", "2:11", "'engine.socket' must be text."),
        ("engine:\n  socket: /x\n  socket: /y\n", "3:3", "'engine.socket' is set twice."),
        ("network:\n  allow: 10.0.0.0/8:80\n", "2:10", "'network.allow' must be a list."),
        ("network:\n  allow: [10.0.0.0/8:80, 7]\n", "2:26", "an entry of 'network.allow' must be text."),
        (
            "network:\n  allow:\n  - 10.0.0.0/8\n",
            "3:5",
            "'10.0.0.0/8' is no CIDR:PORT, such as '192.",
        ),
        ("network:\n  allow: ['10.0.0.1:80']\n", "2:11", "'10.0.0.1:80' is no CIDR:PORT"),
        ("network:\n  allow: ['fe80::1%eth0/128:80']\n", "2:11", "'fe80::1%eth0/128:80' is no CIDR:PORT"),
        ("network:\n  allow: ['10.0.0.0/8:65536']\n", "2:11", "'10.0.0.0/8:65536' is no CIDR:PORT"),
        ("network:\n  allow: ['10.0.0.1/8:80']\n", "2:11", "10.0.0.1/8 has host bits set."),
        ("network:\n  allow: ['10.0.0.0/99:80']\n", "2:11", "does not appear to be an IPv4 or IPv6 network."),
        ("engine: /x\n", "1:9", "there must be settings by name below 'engine'."),
        ("- engine\n", "1:1", "there must be settings by name, such as 'engine:'."),
        ("engine:\n  socket: 'x\n", "3:1", "is not YAML: found unexpected end of stream."),
        ("engine:\n\tsocket: x\n", "2:1", "is not YAML: found character '\\t' that cannot start any token."),
        ("a: b: c\n", "1:5", "is not YAML: mapping values are not allowed here."),
        ("engine: \x00\n", "", "is not YAML: "),
        ("!!python/object/apply:os.system ['false']\n", "1:1", "there must be settings by name"),
    ],
)
def test_what_is_wrong_is_shown_where_it_stands(tmp_path: Path, content: str, place: str, said: str) -> None:
    """File, line and column, what is wrong there, and what was perhaps meant."""
    path = tmp_path / "config.yaml"
    path.write_text(content)
    with pytest.raises(InvalidArgument) as refused:
        load(path)
    sentence = f"{refused.value.message} {refused.value.hint}"
    assert sentence.startswith(f"{path}:{place}" if place else f"{path} ")
    assert said in sentence


def test_what_cannot_be_read(tmp_path: Path) -> None:
    """A directory and bytes that are no text are told of by the file's name."""
    folder, binary = tmp_path / "folder", tmp_path / "binary"
    folder.mkdir()
    binary.write_bytes(b"\xff\xfe\xfa")
    for path in (folder, binary):
        with pytest.raises(InvalidArgument, match=f"{path} cannot be read: "):
            load(path)
