"""Keeps an agent's program: starts it, journals what it says before anybody sees it, takes input once, ends its tree.

    serve                         one process an agent, alone by a lock; started by the first attach
    attach [--after EPOCH SEQ]    relays between stdin, stdout and serve's socket; starts serve if need be
    trim --to EPOCH SEQ           removes the segments of which everything is in the log
    hook                          what a program's hooks run: hands on what they are told, prints what they are answered

All is in ~/.vibespace/runner (0700), or by another name there that VIBESPACE_RUNNER says: `socket`, the locks,
`program` (what to end after a crash), `taken` (ids of inputs) and the journal. Only the standard library, and no
asyncio: it lives beside every program, in at most 12 MB.

**Protocol**, both ways: a header, which is a line of JSON, then `length` raw bytes when the header has a `length`.
`attach` sends the first frame itself. `ref` of a request comes back in its reply. The end of what a client sends ends
the attachment; what is no request is told as `{"error": TEXT}` and ends it too.

    {"do": "attach", "after": [EPOCH, SEQ], "cwd": PATH}      cwd: where `attach` was begun
        {"hello": EPOCH, "running": BOOL, "first": [EPOCH, SEQ], "last": [EPOCH, SEQ]}
                                    first: what is before it was trimmed; last: the newest there is
    {"do": "start", "argv": [...], "env": {...}, "cwd": PATH, "socket": PATH,
     "files": {PATH: TEXT or OBJECT}, "note": ANY, "beyond": EPOCH}
                                    cwd: without it, that of `attach`; files: put into the home first;
                                    note: stands in the record; beyond: its epoch is a later one
        {"reply": "start", "epoch": EPOCH, "started": BOOL}          false: one runs already, and goes on
    {"do": "input", "input": ID, "secret": BOOL, "length": N} + N bytes     secret: only the id is journalled
        {"reply": "input", "input": ID, "state": STATE}
    {"do": "tail", "path": PATH, "find": TEXT}
        {"reply": "tail", "state": STATE}                            with a find
    {"do": "answer", "request": ID, "length": N} + N bytes
        {"reply": "answer", "request": ID, "state": STATE}
    {"do": "close"} its stdin, {"do": "end"} it and its tree
        {"reply": ...}
    {"do": "trim", "to": [EPOCH, SEQ]}
        {"reply": "trim", "removed": N}

Unasked: `{"full": BOOL}` when the volume is full and when there is room again, and each record:

    {"record": KIND, "epoch": EPOCH, "seq": SEQ, "length": N} + N bytes

KIND is `start` (JSON: argv, cwd, socket, note), `stdout` and `stderr` (a line with its newline; the last may lack
one), `input` (its id, a newline, what is written), `exit` (JSON: `code`, or `signal`, with `memory` when the
container's was used up, or `lost` when the runner itself was killed), and those below. An epoch is one life of the
program, of which nothing follows its exit but what hooks and transcript tell; before the first it is 0. Records are
ordered by (epoch, seq), and seq counts from 1.

**Input.** ID has at most 200 characters and no space. Its STATE is `written` (and journalled), `repeated` (was written
before), `uncertain` (was begun, and whether the program has it nobody knows: it is not written again) or `refused`
(nothing runs that listens: the id is still free). One that was written is forgotten when the segment with its `input`
record is trimmed: who trims has that record, and does not send it again.

**Socket.** Without `socket` a program is spoken with by its pipes. With one, a path in the home, it serves WebSockets
there, and the runner is a client of it: each message is a `stdout` record, with a newline added, each input is sent
as a message, without its newline, and what it writes itself is `stderr`. The runner tries until it is connected
(`connected`, JSON: nothing yet); only then input is taken. Lost while the program lives (`disconnected`, JSON: `why`),
the connection is made again, and what was said in between is lost: who greets a program does it after each
`connected`, under an id that is made of that record's place. `close` sends it SIGTERM, by which Codex ends after its
turn, and hears it until then.

**Transcript.** `tail` has each whole line of a file in the home journalled, as `transcript`, from where it had come
before; a line in the making waits, and so does a file that is not there yet. It goes on when the runner was killed,
and after an exit, until another file is named, of which a SessionStart hook tells as well (`transcript_path`): what
is in the former by then comes first, and what is written late into that, when it is there. One that has become
shorter, or is another file, is read again from its beginning. Its STATE is `missing` as long as it is not there, else
`found` or `without`, as TEXT is in one of its first whole lines or not. `mark` (JSON: `path` of the transcript, `at`
which byte the next line of it begins, and for the runner itself `read`, `ended`) is where that changes, and where a
segment begins.

**Hooks.** What the program tells a hook is a `hook` record, one line, with a `request_id` added, after what the
transcript has by then; one that tells of a turn's end waits, for a moment at most, until that has what was said last
in it. A PermissionRequest waits for its `answer`: the bytes that the program is told. Its STATE is `given`, or `gone`
when nobody waits for it. When the hook ends before that, as the person has decided in the dialog, a `hook` record
tells it (`hook_event_name` PermissionRequestGone, `request_id`). A hook for which no runner serves, or whose runner
was killed, says nothing, so that the program asks the person alone.

    {"do": "hook", "request": ID, "waits": BOOL, "length": N} + N bytes
        {"reply": "hook", "length": N} + N bytes                     when it is journalled, or was answered
"""
