"""Whether an image can be an agent's computer: a script, run in it, says what is not as docs/images.md asks."""

from __future__ import annotations

from typing import Any

from vibespace.engine import bodies
from vibespace.engine.base import USER_ID

SECONDS = 60.0
"""What a look may take, the start of the container included."""

NO_SHELL = "a shell at /bin/sh that runs on this machine"

SCRIPT = r"""
lacks() { printf '{"lacks": "%s"}\n' "$1"; }
user=
while IFS=: read -r name _ uid gid _ home shell; do
  [ "$name" = agent ] && user="$uid:$gid:$home:$shell"
done 2>/dev/null </etc/passwd
[ "$user" = 1000:1000:/home/agent:/bin/bash ] ||
  lacks "a user agent with uid and gid 1000, home /home/agent and shell /bin/bash"
[ -x /bin/bash ] || lacks /bin/bash
[ -x /usr/sbin/sshd ] || lacks "/usr/sbin/sshd (openssh-server)"
for program in git env timeout grep cut claude codex; do
  command -v "$program" >/dev/null 2>&1 || lacks "the program $program"
done
for file in entry sshd_config bashrc; do
  [ -r "/etc/vibespace/$file" ] || lacks "/etc/vibespace/$file"
done
[ -x /etc/vibespace/entry ] || [ ! -r /etc/vibespace/entry ] || lacks "the right to execute /etc/vibespace/entry"
read -r first 2>/dev/null </etc/bash.bashrc
[ "$first" = ". /etc/vibespace/bashrc" ] || lacks "'. /etc/vibespace/bashrc' as first line of /etc/bash.bashrc"
for directory in /vibespace /home/agent; do
  [ -d "$directory" ] && [ -w "$directory" ] || lacks "a directory $directory that belongs to agent"
done
[ -e /lib64/ld-linux-x86-64.so.2 ] || [ -e /lib/ld-linux-aarch64.so.1 ] || lacks "the GNU C library, which claude needs"
echo '{"done": true}'
"""


def container(log_id: str, image: str) -> dict[str, Any]:
    """A container that says what it lacks, a line of JSON each, and ends: no network, no volumes, no powers.

    With a terminal, because only then engines send what was written as it is.
    """
    return {
        "Image": image,
        "Entrypoint": ["/bin/sh", "-c", SCRIPT],
        "Cmd": [],
        "User": f"{USER_ID}:{USER_ID}",
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        "Tty": True,
        "Labels": bodies.labels(log_id, "examination"),
        "HostConfig": {"NetworkMode": "none", "CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges"]},
    }
