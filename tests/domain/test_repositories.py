"""What may be named as a repository, and where it lands."""

from __future__ import annotations

import pytest

from vibespace.domain import repositories
from vibespace.errors import InvalidArgument


@pytest.mark.parametrize(
    ("source", "directory"),
    [
        ("https://example.com/team/website.git", "/vibespace/website"),
        ("https://example.com/website/", "/vibespace/website"),
        ("ssh://git@example.com:2222/team/website.git", "/vibespace/website"),
        ("git@example.com:team/website.git", "/vibespace/website"),
        ("git@example.com:website", "/vibespace/website"),
        ("git://example.com/website", "/vibespace/website"),
        ("/home/me/website", "/vibespace/website"),
        ("/home/me/website/.git", "/vibespace/website"),
        ("/srv/website.git", "/vibespace/website"),
        ("/home/me/my site", "/vibespace/my-site"),
        ("/home/me/..hidden", "/vibespace/hidden"),
        ("/home/me/-rf", "/vibespace/rf"),
        ("/", "/vibespace/repository"),
    ],
)
def test_where_it_lands(source: str, directory: str) -> None:
    """URLs and absolute paths are taken, and land under a name that is safe in a shell."""
    assert repositories.check_source(source, "spec.repo") == source
    assert repositories.directory(source) == directory


@pytest.mark.parametrize(
    "source",
    [
        "",
        " ",
        "website",
        "./website",
        "../website",
        "file:///etc",
        "ext::sh -c id",
        "--upload-pack=id",
        "-oProxyCommand=id",
        "-host:website",
        "https://",
        "https://example.com",
        "https:///website",
        "ftp://example.com/website",
        "https://example.com/a\nb",
        "https://example.com/website?access_token=s3cret",
        "https://example.com/website#s3cret",
        "https:/s3cret@example.com/website",
        "token:s3cret@example.com/website",
        "https://[broken/website",
        "https://example.com/" + "x" * 3000,
    ],
)
def test_what_is_no_repository(source: str) -> None:
    """Anything else is refused, naming the field."""
    with pytest.raises(InvalidArgument) as refused:
        repositories.check_source(source, "spec.repo")
    assert (refused.value.reason, refused.value.field) == ("REPOSITORY_INVALID", "spec.repo")


@pytest.mark.parametrize(
    "source",
    [
        "https://me:s3cret@example.com/website",
        "https://s3cret@example.com/website",
        "ssh://git:s3cret@example.com/website",
    ],
)
def test_passwords(source: str) -> None:
    """A URL with a password or token is refused, without repeating it."""
    with pytest.raises(InvalidArgument) as refused:
        repositories.check_source(source, "spec.repo")
    assert refused.value.reason == "REPOSITORY_HAS_PASSWORD"
    assert "s3cret" not in f"{refused.value.message}{refused.value.hint}{refused.value.metadata}"


@pytest.mark.parametrize("branch", ["main", "feature/x", "v1.0", "ünï", "a@b"])
def test_branches(branch: str) -> None:
    """What git takes is taken."""
    assert repositories.check_branch(branch, "spec.branch") == branch


@pytest.mark.parametrize(
    "branch",
    [
        "",
        "-x",
        "--upload-pack=id",
        "/a",
        "a/",
        ".a",
        "a/.b",
        "a..b",
        "a//b",
        "a.lock",
        "a@{1}",
        "@",
        "a b",
        "a~1",
        "a^",
        "a:b",
        "a\n",
        "a\\b",
        "x" * 300,
    ],
)
def test_what_is_no_branch(branch: str) -> None:
    """What git refuses is refused, and what could be taken for an option."""
    with pytest.raises(InvalidArgument) as refused:
        repositories.check_branch(branch, "spec.branch")
    assert refused.value.reason == "BRANCH_INVALID"
