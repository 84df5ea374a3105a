# What sshd_config's SetEnv says, for shells that /etc/profile has just given Debian's own PATH.
export LANG="${LANG:-C.UTF-8}"
export PATH=/etc/vibespace/bin:/home/agent/.local/bin:/home/agent/.cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# What `create --env` was given, after PATH: it may be among it.
[ ! -r /etc/vibespace/environment ] || . /etc/vibespace/environment
