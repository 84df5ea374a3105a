"""Keeps an agent's program: starts it, journals what it says before anybody sees it, takes input once, ends its tree.

    serve                         one process an agent, alone by a lock; started by the first attach
    attach [--after EPOCH SEQ]    relays between stdin, stdout and serve's socket; starts serve if need be
    trim --to EPOCH SEQ           removes the segments of which everything is in the log

All is in ~/.vibespace/runner (0700): `socket`, the locks, `program` (what to end after a crash), `taken` (ids of
inputs) and the journal. Only the standard library, and no asyncio: it lives beside every program, in at most 12 MB.

**Protocol**, both ways: a header, which is a line of JSON, then `length` raw bytes when the header has a `length`.
`attach` sends the first frame itself. `ref` of a request comes back in its reply. The end of what a client sends ends
the attachment; what is no request is told as `{"error": TEXT}` and ends it too.

    {"do": "attach", "after": [EPOCH, SEQ], "cwd": PATH}      cwd: where `attach` was begun
        {"hello": EPOCH, "running": BOOL, "first": [EPOCH, SEQ], "last": [EPOCH, SEQ]}
                                    first: what is before it was trimmed; last: the newest there is
    {"do": "start", "argv": [...], "env": {...}, "cwd": PATH, "files": {PATH: TEXT}, "note": ANY}
                                    cwd: without it, that of `attach`; files: put into the home first;
                                    note: stands in the record
        {"reply": "start", "epoch": EPOCH, "started": BOOL}          false: one runs already, and goes on
    {"do": "input", "input": ID, "length": N} + N bytes
        {"reply": "input", "input": ID, "state": STATE}
    {"do": "close"} its stdin, {"do": "end"} it and its tree
        {"reply": ...}
    {"do": "trim", "to": [EPOCH, SEQ]}
        {"reply": "trim", "removed": N}

ID has at most 200 characters and no space.
STATE is `written` (and journalled), `repeated` (was written before), `uncertain` (was begun, and whether the program
has it nobody knows: it is not written again) or `refused` (nothing runs that listens: the id is still free).
Unasked: `{"full": BOOL}` when the volume is full and when there is room again, and each record:

    {"record": KIND, "epoch": EPOCH, "seq": SEQ, "length": N} + N bytes

KIND is `start` (JSON: argv, cwd, note), `stdout` and `stderr` (a line with its newline; the last may lack one), `input`
(its id, a newline, what is written) and `exit`, the last of its epoch (JSON: `code`, or `signal`, or `lost` when the
runner itself was killed). An epoch is one life of the program. Records are ordered by (epoch, seq), and seq counts
from 1.
"""
