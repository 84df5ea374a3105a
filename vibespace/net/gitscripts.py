"""What sh is told to have git do inside, where one command would not do. Constant: all that varies is an argument."""

from __future__ import annotations

BASE = "vibespace.base"
"""Setting of a shared repository: the ref that worktrees begin at."""

MISSING = 3
"""Exit code of LOOK where there is no worktree."""

SHARE = """\
set -e
cd -- "$1"
mv -T -- repository/.git bare
rm -rf -- repository
mv -T -- bare repository
at() { git --git-dir=repository "$@"; }
given=refs/vibespace/given
base=$(at symbolic-ref -q HEAD) || base=
if [ "$2" = sent ]; then
    at for-each-ref --format="create $given/%(refname:lstrip=2) %(objectname)" refs/heads | at update-ref --stdin
fi
if [ -z "$base" ]; then
    base=$given/HEAD
    at update-ref "$base" "$(at rev-parse --verify 'HEAD^{commit}')"
elif [ "$2" = cloned ]; then
    at for-each-ref --format='delete %(refname)' refs/heads | at update-ref --stdin
    at config --remove-section "branch.${base#refs/heads/}" || :
    base=refs/remotes/origin/${base#refs/heads/}
fi
at symbolic-ref HEAD refs/heads/NONE
at config vibespace.base "$base"
at config core.logAllRefUpdates true
at config push.autoSetupRemote true
at config gc.worktreePruneExpire never
at config extensions.worktreeConfig true
at config --worktree core.bare true
at config --unset core.bare
"""
"""$1/repository, a repository with no files yet, becomes a bare one for worktrees; $2 `cloned` or `sent`.

Its HEAD is a branch that nobody has: the one that HEAD is on cannot be checked out anywhere else. Worktrees that agents
make elsewhere are not seen by the others: nothing may take them for gone.
"""

MAKE = """\
set -e
bare=$1 place=$2/$3 name=$3 old=$4 draft=$4$5
at() { git --git-dir="$bare" "$@"; }
there() { at rev-parse -q --verify "$1" >/dev/null; }
add() { at worktree add --quiet "$@"; }
mkdir -p -- "$2"
if [ -f "$place/.git" ]; then
    at worktree repair "$place" >/dev/null 2>&1 || :
fi
rm -rf -- "$old"* || :
at worktree list --porcelain | while read -r word path; do
    case "$word $path" in
        "worktree $old"*) at worktree remove --force --force "$path" ;;
        "worktree $place") [ -e "$path/.git" ] || at worktree remove --force --force "$path" ;;
    esac
done
if [ -e "$place" ] && ! rmdir -- "$place" 2>/dev/null; then
    common=$(git -C "$place" rev-parse --path-format=absolute --git-common-dir 2>/dev/null) || common=
    if [ "$common" != "$(at rev-parse --path-format=absolute --git-common-dir)" ]; then
        echo "$place is there already, and is no worktree of this repository." >&2
        exit 1
    fi
else
    trap 'rm -rf -- "$draft"' EXIT
    mkdir -- "$draft"
    base=$(at config --get vibespace.base) || base=HEAD
    if there "refs/heads/$name"; then
        add "$draft/$name" "$name"
    elif there "refs/remotes/origin/$name"; then
        add --track -b "$name" "$draft/$name" "refs/remotes/origin/$name"
    elif there "$base^{commit}"; then
        add --no-track -b "$name" "$draft/$name" "$base"
    else
        export GIT_AUTHOR_NAME=vibespace GIT_AUTHOR_EMAIL=vibespace@localhost
        export GIT_COMMITTER_NAME=vibespace GIT_COMMITTER_EMAIL=vibespace@localhost
        add --no-checkout --detach "$draft/$name" \
            "$(at commit-tree -m 'Nothing yet' "$(at hash-object -t tree -w --stdin </dev/null)")"
        git -C "$draft/$name" symbolic-ref HEAD "refs/heads/$name"
    fi
    at worktree move "$draft/$name" "$place"
    rmdir -- "$draft"
fi
cd -- "$place"
[ -e "$(git rev-parse --git-dir)/locked" ] || at worktree lock --reason "$name works here" "$place"
if [ -s .gitmodules ]; then
    echo submodules
fi
if ! git config --get-regexp '^filter[.]lfs[.](smudge|process)$' >/dev/null; then
    [ -z "$(git ls-files ':(attr:filter=lfs)' | head -n 1)" ] || echo lfs
fi
"""
"""$1 the repository, $2 where worktrees lie, $3 whose, $4 how drafts of it begin, $5 the rest of this one's name.

Writes a word for each thing that is not in it. The files are checked out in a draft, and moved when all are there. A
commit is made only for a repository without any, as git can begin no worktree without; its branch does not hold it.
"""

LOOK = """\
cd -- "$1" 2>/dev/null && [ -e .git ] || exit 3
set -e
status=$(git --no-optional-locks status --porcelain --untracked-files=normal --ignore-submodules=none)
changed=0
if [ -n "$status" ]; then
    printf '%s\\n' "$status" | tail -n 3 | cut -c 1-200
    changed=$(printf '%s\\n' "$status" | grep -c '')
fi
branch=$(git symbolic-ref -q HEAD) || branch=
branch=${branch#refs/heads/}
base=$(git config --get vibespace.base) || base=HEAD
apart= unpushed=0 modules=
if git rev-parse -q --verify 'HEAD^{commit}' >/dev/null; then
    if git rev-parse -q --verify "$base^{commit}" >/dev/null; then
        apart=$(git rev-list --left-right --count "HEAD...$base")
    fi
    own=$(git rev-parse -q --verify "refs/heads/$2") || own=
    unpushed=$(git rev-list --count HEAD $own --not --remotes --glob='refs/vibespace/given/*' \
        --exclude="$2" --exclude="${branch:-$2}" --branches)
fi
if [ -d "$(git rev-parse --git-dir)/modules" ]; then
    modules=$(git submodule --quiet foreach --recursive 'git rev-list -n 1 HEAD --branches --not --remotes')
fi
case $base in
    refs/vibespace/*) base=$(git rev-parse --short "$base") ;;
    *) base=${base#refs/*/} ;;
esac
echo "= branch $branch"
echo "= base $base"
echo "= apart $apart"
echo "= uncommitted $changed"
echo "= unpushed $unpushed"
echo "= modules $(printf %s "$modules" | grep -c '')"
"""
"""$1 the worktree, $2 whose. Writes the last few lines of its status, then a line for each thing it is asked; ends with
MISSING where there is none. What cannot be found out ends it: it is not to look like nothing.
"""

REMOVE = """\
set -e
bare=$1 place=$2/$3 name=$3 old=$4 draft=$4$5
at() { git --git-dir="$bare" "$@"; }
if [ -e "$place" ] || [ -L "$place" ]; then
    mkdir -- "$draft"
    mv -T -- "$place" "$draft/$name"
fi
rm -rf -- "$old"*
at worktree list --porcelain | while read -r word path; do
    case "$word $path" in "worktree $place" | "worktree $old"*) at worktree remove --force --force "$path" ;; esac
done
if commit=$(at rev-parse -q --verify "refs/heads/$name"); then
    only=$(at rev-list -n 1 "$commit" --not --remotes --glob='refs/vibespace/given/*' --exclude="$name" --branches) ||
        only=unknown
    [ -n "$only" ] || at branch --quiet -D -- "$name" || :
fi
"""
"""As MAKE. Its files leave their place at once, then all else goes: its branch if others have all of it."""
